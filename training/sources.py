"""Files of texts as labelled texts: CSV, TSV, JSON or JSON Lines, plain or gzipped, read as a recipe says."""

import csv
import fnmatch
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from training import config
from training.config import Recipe, RecipeError, Source
from training.summary import cut

Labels = dict[str, float | None]
"""Category to probability 0..1; None = this source does not say."""

Record = Mapping[str, str]

MAX_NAMES = 12
"""Columns that an error names at most."""

_COLUMN_NAME = re.compile(r"\w[\w.:/-]{0,39}")


@dataclass(frozen=True)
class Labelled:
    """A text with what its source says of it; `document` names the text that it was cut from, if it was."""

    text: str
    labels: Labels
    document: str | None = None


def read(recipe: Recipe, source: Source, folder: Path) -> Iterator[Labelled]:
    """Every text of one source, with a label or None for each category of the recipe.

    Raises RecipeError naming the file, the line and the mend: no such file or column, a label outside 0..1.
    """
    path = folder / source.file
    if not path.is_file():
        raise RecipeError(
            f"{recipe.file}: source {source.name!r} needs {path}, which is not there; put it there or set DATA_DIR"
        )
    for line, record in _records(path, source):
        where = f"{path} line {line}"
        if _is_chosen(record, where, recipe, source):
            yield from _labelled(recipe, source, record, where)


def _labelled(recipe: Recipe, source: Source, record: Record, where: str) -> Iterator[Labelled]:
    text = "\n".join(_cell(record, column, where, recipe, source) for column in _texts(source))
    if source.without and _has_word(text, source.without):
        return
    if source.summary is not None:
        summary = _cell(record, source.summary, where, recipe, source)
        for sentence, label in cut(text, summary):
            yield Labelled(sentence, dict.fromkeys(recipe.categories, float(label)), document=text)
    elif source.label is not None:
        labels = _one_of(recipe, source, _cell(record, source.label, where, recipe, source), where)
        if labels is not None:
            yield Labelled(text, labels)
    else:
        said = {name: _label(record, how, where, recipe, source) for name, how in source.labels.items()}
        yield Labelled(text, {category: said.get(category) for category in recipe.categories})


def _label(record: Record, how: config.Mapping, where: str, recipe: Recipe, source: Source) -> float | None:
    if how.value is not None:
        return how.value
    if how.votes is not None and how.of is not None:
        return _share(record, how.votes, how.of, where, recipe, source)
    cell = _cell(record, how.column or "", where, recipe, source)
    if how.positive is None:
        return _probability(cell, how.column or "", where)
    if cell in map(str, how.positive):
        return 1.0
    return 0.0 if how.negative is None or cell in map(str, how.negative) else None


def _probability(cell: str, column: str, where: str) -> float | None:
    """A cell as a label; an empty one is unknown."""
    if not cell.strip():
        return None
    try:
        label = float(cell)
    except ValueError:
        raise RecipeError(
            f"{where}: column {column!r} holds no number; name the cells that mean 1 with positive = [...]"
        ) from None
    if not 0 <= label <= 1:
        raise RecipeError(f"{where}: column {column!r} is {label:g}; a label is a probability from 0 to 1")
    return label


def _share(record: Record, votes: str, of: str, where: str, recipe: Recipe, source: Source) -> float | None:
    """The share of the annotators who said yes; unknown where nobody was asked."""
    voters = _sum(record, of, where, recipe, source)
    if not voters:
        return None
    share = round(_sum(record, votes, where, recipe, source) / voters, 4)
    if not 0 <= share <= 1:
        raise RecipeError(
            f"{where}: {votes!r} is {share:g} of {of!r}, which is no share; "
            "name the columns of those who said yes and of all who were asked"
        )
    return share


def _sum(record: Record, pattern: str, where: str, recipe: Recipe, source: Source) -> float:
    columns = [pattern] if pattern in record else fnmatch.filter(record, pattern)
    if not columns:
        _cell(record, pattern, where, recipe, source)
    return sum(_votes(record[column], column, where) for column in columns)


def _votes(cell: str, column: str, where: str) -> float:
    """A count; `1, 1` is how ConvAbuse writes that an annotator was asked twice."""
    try:
        return sum(float(count) for count in cell.split(",") if count.strip())
    except ValueError:
        raise RecipeError(f"{where}: column {column!r} holds no count of votes") from None


def _one_of(recipe: Recipe, source: Source, cell: str, where: str) -> Labels | None:
    """The category that a cell names, as one 1 among zeros; None where the recipe leaves such rows out."""
    category = source.names.get(cell, cell)
    if category == "":
        return None
    if category not in recipe.categories:
        raise RecipeError(
            f"{where}: the cell of {source.label!r} names no category of {recipe.file}; "
            "add it to categories, or to this source's names"
        )
    return {name: float(name == category) for name in recipe.categories}


def _has_word(text: str, words: Sequence[str]) -> bool:
    return re.search(rf"\b({'|'.join(map(re.escape, words))})\b", text, re.IGNORECASE) is not None


def _texts(source: Source) -> Sequence[str]:
    return (source.text,) if isinstance(source.text, str) else source.text


def _is_chosen(record: Record, where: str, recipe: Recipe, source: Source) -> bool:
    return all(
        _cell(record, column, where, recipe, source) in {str(cell) for cell in cells}
        for column, cells in source.where.items()
    )


def _cell(record: Record, column: str, where: str, recipe: Recipe, source: Source) -> str:
    if column not in record:
        raise RecipeError(
            f"{where}: no column {column!r}, there are {_names(record)}; mend source {source.name!r} in {recipe.file}"
        )
    return record[column]


def _names(record: Record) -> str:
    """The columns as an error may tell them: in a file without a header, what stands for a name is somebody's text."""
    names = [name for name in record if _COLUMN_NAME.fullmatch(name)][:MAX_NAMES]
    hidden = len(record) - len(names)
    return ", ".join([*names, *([f"{hidden} more (without a header, give `columns`)"] if hidden else [])])


def _records(path: Path, source: Source) -> Iterator[tuple[int, Record]]:
    """Each record with the line that it ends on."""
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1].lower()
    with _open(path) as file:
        try:
            if kind in ("json", "jsonl"):
                yield from _json_records(file, path)
            else:
                yield from _table_records(file, path, source, "\t" if kind == "tsv" else ",")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not UTF-8; save it as UTF-8") from None
        except csv.Error as error:
            raise RecipeError(f"{path} cannot be read as a table ({error}); save it as CSV or TSV") from None
        except (gzip.BadGzipFile, zlib.error, EOFError):
            raise RecipeError(f"{path} is not a whole gzip file; fetch it again") from None


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _table_records(file: IO[str], path: Path, source: Source, delimiter: str) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(10_000_000)
    rows = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if source.quoted else csv.QUOTE_NONE)
    columns = list(source.columns) if source.columns is not None else next(rows, [])
    for row in rows:
        if row and len(row) != len(columns):
            raise RecipeError(
                f"{path} line {rows.line_num}: {len(row)} cells, but {len(columns)} columns; "
                "quote a cell that holds the delimiter, or set quoted = false where quotes are plain characters"
            )
        if row:
            yield rows.line_num, dict(zip(columns, row, strict=True))


def _json_records(file: IO[str], path: Path) -> Iterator[tuple[int, Record]]:
    """JSON Lines, or one JSON array of objects."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line + file.read() if number == 1 and line.lstrip().startswith("[") else line)
        except json.JSONDecodeError as error:
            raise RecipeError(f"{path} line {number}: not JSON ({error.msg}); write one object a line") from None
        for index, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, dict):
                raise RecipeError(f"{path} line {number}: not a JSON object; write one object a line")
            yield number + index, {key: _plain(cell) for key, cell in entry.items()}


def _plain(cell: object) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, bool) else str(cell)
