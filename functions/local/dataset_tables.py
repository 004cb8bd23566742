"""What people read of a dataset on a terminal: its labels, lengths, sources and overlaps as tables."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from local.dataset_report import Lengths, Report, Sizes, read_report
from local.datasets import BUILDS, DESCRIPTION, MAKE_ONE, SPLITS, Description, find_datasets

MAX_COLUMNS = 12
"""Categories that fit side by side into 100 characters; of more, each line names its largest only."""

_LARGEST = 4


def print_datasets(as_json: bool, data_directory: Path | None = None) -> None:
    """Print which datasets were built here, and which grew in a data folder."""
    datasets = find_datasets(BUILDS, data_directory)
    if as_json:
        _print_json([{"folder": str(folder), "description": description} for folder, description in datasets])
    else:
        Console().print(datasets_table(datasets))


def print_report(folder: Path, as_json: bool) -> None:
    """Print all that is to be known of a dataset. Raises UnreadableDataset."""
    with Console(stderr=True).status("Reading every row"):
        report = read_report(folder)
    if as_json:
        _print_json(report)
    else:
        Console().print(report_tables(report))


def datasets_table(datasets: Sequence[tuple[Path, Description]]) -> RenderableType:
    """Return the datasets that were built here, a line each, and how one is made."""
    if not datasets:
        return Text(f"No dataset in {BUILDS}/*/dataset: {MAKE_ONE}.")
    table = _table("dataset", "name", "version", *SPLITS, left=3)
    for folder, description in datasets:
        counts = [f"{description.rows.get(split, 0):,}" for split in SPLITS]
        names = (str(folder), description.name, description.version)
        table.add_row(*(Text(_printable(name)) for name in names), *counts)
    return Group(table, Text(), Text("Look at one: moderato dataset show FOLDER"))


def report_tables(report: Report) -> RenderableType:
    """Return all that is to be known of a dataset."""
    parts = [
        _head(report),
        _lengths_table("split", report.splits),
        _documents(report),
        _labels_table(report),
        _co_occurrence(report),
        _sources_table(report),
        _positives(report),
        _lengths_table("source", report.source_sizes),
        _overlaps(report),
    ]
    return Group(*(line for part in parts if part is not None for line in (part, Text())))


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")


def _head(report: Report) -> RenderableType:
    verified = (
        Text("verified: every file is as it was written", style="green")
        if report.verified
        else Text(f"not verified: {DESCRIPTION} gives no digests of files", style="yellow")
    )
    rows = sum(size.rows for size in report.splits.values())
    return Group(
        Text(_printable(f"{report.name} {report.version}"), style="bold"),
        Text(_printable(f"{rows:,} rows; parent: {report.parent or 'none'}")),
        Text(_printable(f"sha256 {report.digest}")),
        verified,
        Text(_printable(report.folder), style="dim"),
    )


def _documents(report: Report) -> RenderableType | None:
    if not any(report.documents.values()):
        return None
    counts = ", ".join(f"{count:,} in {split}" for split, count in report.documents.items())
    return Text(f"Rows are sentences of documents: {counts}.")


def _labels_table(report: Report) -> RenderableType:
    table = _table("category", "split", "positive", "share", "negative", "unknown", "soft", left=2)
    for category, by_split in report.categories.items():
        for number, (split, counts) in enumerate(by_split.items()):
            known = counts.positives + counts.negatives
            table.add_row(
                Text("" if number else _printable(category)),
                split,
                f"{counts.positives:,}",
                _share(counts.positives / known if known else None),
                *(f"{count:,}" for count in (counts.negatives, counts.unknown, counts.soft)),
            )
    return Group(
        table, _note("share: of the known labels; soft: annotators did not agree, so the label is between 0 and 1")
    )


def _co_occurrence(report: Report) -> RenderableType:
    others = {
        category: {other: share for other, share in shares.items() if other != category and share}
        for category, shares in report.co_occurrence.items()
    }
    if not any(others.values()):
        return Text("No text has two categories.")
    note = _note("of the positives of a line's category, the share that has the other too, where that is known")
    if len(others) > MAX_COLUMNS:
        return Group(_largest_table("category", "occurs with", others, _share), note)
    table = _table("category", *map(str, range(1, len(others) + 1)))
    for number, (category, shares) in enumerate(report.co_occurrence.items(), start=1):
        cells = ["." if other == category else _share(shares[other]) for other in report.co_occurrence]
        table.add_row(Text(f"{number} {_printable(category)}"), *cells)
    return Group(table, note)


def _sources_table(report: Report) -> Table:
    table = _table("source", "rows", "natural", "copies out", "near copies out")
    table.add_column("licence", no_wrap=False)
    for name, source in report.sources.items():
        counts = (source.rows, source.natural, source.duplicates_removed, source.near_duplicates_removed)
        table.add_row(Text(_printable(name)), *map(_count, counts), Text(_printable(source.licence)))
    return table


def _positives(report: Report) -> RenderableType:
    categories = list(report.categories)
    positives = {name: source.positives for name, source in report.sources.items()}
    if len(categories) > MAX_COLUMNS:
        return _largest_table("source", "positives", positives, "{:,}".format)
    names = ", ".join(f"{number} {_printable(category)}" for number, category in enumerate(categories, start=1))
    table = _table("positives of", *map(str, range(1, len(categories) + 1)))
    for name, counts in positives.items():
        table.add_row(Text(_printable(name)), *(f"{counts[category]:,}" for category in categories))
    return Group(table, _note(names))


def _largest_table(
    what: str, has: str, figures: Mapping[str, Mapping[str, float]], write: Callable[[float], str]
) -> Table:
    table = _table(what, has, left=2)
    for name, by_category in figures.items():
        largest = sorted(by_category.items(), key=lambda item: -item[1])[:_LARGEST]
        cells = ", ".join(f"{_printable(category)} {write(figure)}" for category, figure in largest if figure)
        table.add_row(Text(_printable(name)), Text(cells or "-"))
    return table


def _lengths_table(what: str, sizes: Mapping[str, Sizes]) -> Table:
    spread = ("\n95 %", "\nlongest")
    table = _table(f"\n{what}", "\nrows", "characters\nmedian", *spread, "words\nmedian", *spread)
    for name, size in sizes.items():
        table.add_row(Text(_printable(name)), f"{size.rows:,}", *_lengths(size.characters), *_lengths(size.words))
    return table


def _lengths(lengths: Lengths | None) -> list[str]:
    return (
        ["-"] * 3 if lengths is None else [f"{length:,}" for length in (lengths.median, lengths.p95, lengths.longest)]
    )


def _overlaps(report: Report) -> RenderableType:
    sources = report.sources.values()
    copies = _sum(source.duplicates_removed for source in sources)
    near = _sum(source.near_duplicates_removed for source in sources)
    shared = report.texts_in_several_splits
    return Group(
        Text(f"Texts in more than one split: {shared:,}", style="red" if shared else "green"),
        Text(f"Left out when it was built: copies {copies}, near copies of held-out texts {near}"),
    )


def _sum(counts: Iterable[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"{sum(known):,}" if known else "unknown"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _table(*columns: str, left: int = 1) -> Table:
    """A table whose columns after the first few hold figures."""
    headers = [Column(name, justify="left" if number < left else "right") for number, name in enumerate(columns)]
    return Table(*headers, box=None, pad_edge=False)


def _note(text: str) -> Text:
    return Text(text, style="dim")


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _printable(name: str) -> str:
    # A name out of a file may hold escape sequences that would drive the reader's terminal.
    return "".join(character if character.isprintable() else " " for character in name)
