"""Texts to score, read one by one from a CSV, JSON Lines or text file; a bad row is an item too, and stops nothing."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec

from moderato.contracts import MAX_TEXT_CHARACTERS

SUFFIXES = (".csv", ".jsonl", ".txt")
DEFAULT_COLUMN = "text"


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the message is one sentence for the person who named it."""


@dataclass(frozen=True)
class Row:
    """A text and the line that it ends on, counted from 1; `id` is the row's own name where it has one."""

    line: int
    text: str
    id: str | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that holds no text to score, and why; the reason never holds what the row says."""

    line: int
    why: str


def read(path: Path, text_column: str | None = None) -> Iterator[Row | BadRow]:
    """Yield the rows of `path`, whose ending says what it is. UnreadableFile is raised before the first row."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UnreadableFile(f"{path}: a file to score ends in {', '.join(SUFFIXES)}")
    if suffix == ".csv":
        yield from _csv_rows(path, text_column or DEFAULT_COLUMN)
    elif suffix == ".jsonl":
        yield from _jsonl_rows(path, text_column or DEFAULT_COLUMN)
    else:
        yield from _txt_rows(path)


def count_lines(path: Path) -> int:
    """Return the number of lines, which is where reading ends. Raises UnreadableFile."""
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) + 1
    except OSError as error:
        raise _unreadable(path, error) from None


def check(line: int, text: str, identifier: str | None = None) -> Row | BadRow:
    """Return the text as a row to score, or why it cannot be scored."""
    if not text.strip():
        return BadRow(line, "the text is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        return BadRow(line, f"the text has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are scored")
    if any("\ud800" <= character <= "\udfff" for character in text + (identifier or "")):
        return BadRow(line, "the row is not valid UTF-8")
    return Row(line, text, identifier)


def _csv_rows(path: Path, column: str) -> Iterator[Row | BadRow]:
    csv.field_size_limit(16 * 1024 * 1024)
    with _open(path, newline="") as file:
        rows = csv.reader(file)
        try:
            header = next(rows, [])
        except csv.Error:
            raise UnreadableFile(f"{path}: its first line is not the header of a CSV file") from None
        if column not in header:
            raise UnreadableFile(_no_column(path, column, header))
        places = {name: place for place, name in reversed(list(enumerate(header)))}
        while True:
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error:
                yield BadRow(rows.line_num, "this is not a row of a CSV file")
                continue
            if fields:
                yield _csv_row(rows.line_num, fields, places[column], places.get("id"))


def _no_column(path: Path, column: str, header: list[str]) -> str:
    if not header:
        return f"{path} is empty: a CSV file begins with a line that names its columns"
    return f"{path} has no column {column!r}; choose one of {', '.join(map(repr, header))} by --text-column"


def _csv_row(line: int, fields: list[str], text_place: int, id_place: int | None) -> Row | BadRow:
    if text_place >= len(fields):
        return BadRow(line, f"the row has {len(fields)} fields and the text would be field {text_place + 1}")
    has_id = id_place is not None and id_place < len(fields)
    return check(line, fields[text_place], fields[id_place] if has_id and id_place is not None else None)


def _jsonl_rows(path: Path, column: str) -> Iterator[Row | BadRow]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _jsonl_row(number, line, column)


def _jsonl_row(number: int, line: str, column: str) -> Row | BadRow:
    try:
        row = msgspec.json.decode(line.encode(errors="surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return BadRow(number, "this is not JSON in UTF-8")
    if not isinstance(row, dict) or not isinstance(row.get(column), str):
        return BadRow(number, f"this is not a JSON object with a string under {column!r} (--text-column names another)")
    identifier = row.get("id")
    return check(number, row[column], str(identifier) if isinstance(identifier, str | int) else None)


def _txt_rows(path: Path) -> Iterator[Row | BadRow]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield check(number, line.rstrip("\n"))


def _open(path: Path, newline: str | None = None) -> TextIO:
    # Bytes that are not UTF-8 become lone surrogates here, so that one bad row does not end the reading.
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    return UnreadableFile(f"{path} cannot be read: {error.strerror}")
