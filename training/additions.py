"""What moderators add to a dataset: accepted labels as they come in, and as a dataset version keeps them."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from moderato.acceptance import AcceptedLabel, decode
from training.config import RecipeError

ADDITIONS = "additions.jsonl"
"""One line a label that a dataset version has, its parents' labels included."""
CORRECTIONS = "corrections"
"""The split of the labels that are held out: what a model is asked that never saw them."""
LEFT_OUT = "left_out.jsonl"
"""One line a label that was offered to this version and is not in it, with the reason; it holds no text."""

_Line = TypeVar("_Line")


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """A label that a dataset version has: its row, and all that led to it."""

    row: str
    """The id of the row that was made of it."""
    split: str
    """`train`, or `corrections` where it is held out."""
    review_id: str
    decision_id: str | None
    feedback_ids: list[str]
    annotators: list[str]
    method: str
    values: dict[str, bool | None]
    """By category; None where nobody decided."""
    created: str
    reversed: list[str] = []
    """The categories in which the label overturned a decision."""


class LeftOut(msgspec.Struct, frozen=True):
    """A label that a version was offered and does not have."""

    review_id: str
    reason: str


def comes_from(each: Addition | AcceptedLabel, ids: Collection[str]) -> bool:
    """Whether a label is about one of these decisions, reviews or feedback."""
    return not {each.review_id, each.decision_id, *each.feedback_ids}.isdisjoint(ids)


def read_accepted(path: Path, categories: Sequence[str]) -> list[AcceptedLabel]:
    """The accepted labels of a file, the oldest first.

    Raises RecipeError that names the file and the line of what is no label of these categories; it holds no text.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    found = [_accepted(line, f"{path} line {number}", categories) for number, line in numbered]
    twice = next((name for name, count in Counter(label.review_id for label in found).items() if count > 1), None)
    if twice is not None:
        raise RecipeError(f"{path} has review {twice!r} more than once; a review has one label")
    return sorted(found, key=lambda label: (label.created, label.review_id))


def read_additions(folder: Path) -> list[Addition]:
    """The labels that a dataset version has; a dataset that never grew has none."""
    return _read(folder / ADDITIONS, Addition)


def read_left_out(folder: Path) -> list[LeftOut]:
    """The labels that a dataset version was offered and does not have."""
    return _read(folder / LEFT_OUT, LeftOut)


def versions_with(versions: Collection[Path], ids: Collection[str]) -> list[Path]:
    """Those of the dataset versions that hold a row of one of these decisions, reviews or feedback."""
    return [folder for folder in versions if any(comes_from(each, ids) for each in read_additions(folder))]


def _accepted(line: bytes, where: str, categories: Sequence[str]) -> AcceptedLabel:
    try:
        label = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{where} is not an accepted label: {error}") from None
    unknown = sorted(label.values.keys() - set(categories))
    if unknown:
        raise RecipeError(f"{where}: the dataset has no category {unknown[0]!r}; it has {', '.join(categories)}")
    return label


def _read(path: Path, kind: type[_Line]) -> list[_Line]:
    if not path.is_file():
        return []
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
