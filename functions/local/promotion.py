"""The history of promotions: what was compared, promoted and rolled back, a line of promotions.jsonl each."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from moderato.artifact import DatasetRecord

HISTORY = "promotions.jsonl"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of champion and challenger side by side, and whether the challenger's is good enough."""

    name: str
    champion: float | None = None
    challenger: float | None = None
    limit: str = ""
    """What is asked of the challenger, in words; empty where nothing is."""
    passed: bool = True
    rows: int | None = None
    """How many texts it was taken on."""
    interval: tuple[float, float] | None = None
    """95 % interval of challenger minus champion, by paired bootstrap."""


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two models; `sha256` is the digest that its manifest is sealed with."""

    name: str
    version: str
    sha256: str
    dataset: DatasetRecord


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `training.promote.compare` found."""

    champion: Contestant
    challenger: Contestant
    dataset: DatasetRecord
    """Whose frozen test set and past reversals the two were measured on."""
    test_sha256: str
    figures: list[Figure]
    passed: bool
    reasons: list[str] = []
    """Why not, a sentence each."""
    notes: list[str] = []
    """What was not measured, and why."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: a model was `compared` with the champion, `promoted`, or `rolled back` to."""

    kind: str
    created: str
    model: str | None = None
    """Name and version; None = the model that came with Moderato."""
    instead_of: str | None = None
    sha256: str | None = None
    """Digest of the model's manifest."""
    directory: str | None = None
    """Where a challenger was when it was compared."""
    evidence: str | None = None
    """Of a comparison its own id, of a promotion the id of the comparison that it rests on."""
    comparison: Comparison | None = None


def append(data_directory: Path, event: Event) -> None:
    """Add a line; it is on the disk when this returns. Raises OSError."""
    data_directory.mkdir(parents=True, exist_ok=True)
    path = data_directory / HISTORY
    with path.open("a+b") as file:
        # A line that a crash cut short must not swallow this one.
        is_torn = file.seek(0, os.SEEK_END) > 0 and _last_byte(path) != b"\n"
        file.write((b"\n" if is_torn else b"") + msgspec.json.encode(event) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(data_directory: Path) -> Iterator[Event]:
    """Yield the lines, oldest first; one that a crash cut short is left out."""
    try:
        lines = (data_directory / HISTORY).read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
