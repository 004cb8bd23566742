"""What people read on a terminal: tables of results, and of a model's figures."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from local.scoring import Result
from moderato.artifact import FileRecord, Manifest, Metric
from moderato.policy import Policy

_COLOURS = {"allow": "green", "review": "yellow", "block": "red"}
_BAR_CHARACTERS = 24


def result_table(result: Result, policy: Policy) -> RenderableType:
    """Return one result in full: the action, and each category's score beside its thresholds."""
    table = Table("category", "score", "", "review from", "block from", box=None, pad_edge=False)
    for category, score in sorted(result.scores.items(), key=lambda item: -item[1]):
        threshold = policy.thresholds.get(category)
        review, block = (None, None) if threshold is None else (threshold.review, threshold.block)
        colour = _colour_of(category, result)
        bar = Text("█" * round(score * _BAR_CHARACTERS), style=colour)
        table.add_row(Text(category, style=colour), f"{score:.3f}", bar, _number(review), _number(block))
    return Group(_action(result.action), table)


def results_table(results: Sequence[Result]) -> Table:
    """Return many results, a line each."""
    table = Table("line", "action", "category", "score", "text", box=None, pad_edge=False)
    for result in results:
        category, score = max(result.scores.items(), key=lambda item: item[1])
        text = Text(printable(result.text), no_wrap=True, overflow="ellipsis")
        table.add_row(str(result.line), _action(result.action), category, f"{score:.3f}", text)
    return table


def counts_line(counts: Mapping[str, int], bad_rows: int) -> str:
    """Return how many texts got which action, in words."""
    actions = ", ".join(f"{counts.get(action, 0)} {action}" for action in _COLOURS)
    return f"Texts: {sum(counts.values())} ({actions})" + (f"; bad rows skipped: {bad_rows}" if bad_rows else "")


def model_tables(manifest: Manifest, directory: str) -> RenderableType:
    """Return what a model is, how good it is, and which files it consists of."""
    return Group(
        Text(f"{manifest.name} {manifest.version}", style="bold"),
        Text(manifest.description),
        Text(f"from {manifest.encoder.name}, trained on {manifest.dataset.name} {manifest.dataset.version}"),
        Text(directory, style="dim"),
        Text(),
        _categories_table(manifest),
        Text(),
        _files_table(manifest.files),
    )


def printable(text: str) -> str:
    """Return the start of a text as one line that is safe to print."""
    # A text may hold escape sequences that would drive the reader's terminal.
    return "".join(character if character.isprintable() else " " for character in text[:200])


def _categories_table(manifest: Manifest) -> Table:
    table = Table(Column("category", no_wrap=True), box=None, pad_edge=False)
    for name in ("review from", "block from", "ROC AUC", "precision", "recall", "positives"):
        table.add_column(name, justify="right", no_wrap=True)
    for category in manifest.categories:
        thresholds = [_number(category.review, 3), _number(category.block, 3)]
        table.add_row(category.name, *thresholds, *_figures(manifest.metrics.get(category.name)))
    return table


def _figures(metric: Metric | None) -> list[str]:
    if metric is None:
        return ["-"] * 4
    shares = [f"{share:.3f}" for share in (metric.roc_auc, metric.precision, metric.recall)]
    return [*shares, f"{metric.positives:,}/{metric.rows:,}"]


def _files_table(files: Mapping[str, FileRecord]) -> Table:
    table = Table("file", "bytes", "sha256", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, record in sorted(files.items()):
        table.add_row(name, f"{record.size:,}", record.sha256[:16])
    return table


def _action(action: str) -> Text:
    return Text(action, style=f"bold {_COLOURS[action]}")


def _colour_of(category: str, result: Result) -> str:
    actions = [reason.action for reason in result.reasons if reason.category == category]
    return _COLOURS[actions[0]] if actions else "default"


def _number(value: float | None, decimals: int = 2) -> str:
    return "never" if value is None else f"{value:.{decimals}f}"
