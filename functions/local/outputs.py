"""Results as files: CSV or JSON Lines, complete or not there at all."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from local.scoring import Result

SUFFIXES = (".csv", ".jsonl")

Write = Callable[[Result], None]


class UnwritableFile(Exception):
    """The results cannot be written where they are wanted; the message is one sentence for the person who named it."""


@contextmanager
def results_file(path: Path, categories: Sequence[str]) -> Iterator[Write]:
    """Give a function that writes a result; `path` appears, or is replaced, only when all went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield csv_writer(file, categories) if path.suffix.lower() == ".csv" else jsonl_writer(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UnwritableFile(f"{path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def jsonl_writer(file: TextIO) -> Write:
    """Return a function that writes a result as one line of JSON."""

    def write(result: Result) -> None:
        file.write(msgspec.json.encode(result).decode() + "\n")

    return write


def csv_writer(file: TextIO, categories: Sequence[str]) -> Write:
    """Write the header, and return a function that writes a result as one row, with a column for each category."""
    rows = csv.writer(file)
    rows.writerow(["line", "id", "text", "action", "reasons", *categories])

    def write(result: Result) -> None:
        reasons = " ".join(reason.category for reason in result.reasons)
        scores = [result.scores[category] for category in categories]
        rows.writerow([result.line, result.id or "", result.text, result.action, reasons, *scores])

    return write
