"""The texts of a gate: a dataset's frozen test set and its past reversals, proved to be those of its description."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moderato.artifact import DatasetRecord
from training.additions import ADDITIONS, read_additions

TEST = "test.jsonl"
CORRECTIONS = "corrections.jsonl"
DESCRIPTION = "dataset.json"

POSITIVE = 0.5
"""A soft label from here on counts as positive."""


class CannotCompare(Exception):
    """The two models cannot be compared; the message is one sentence for the person who asked."""


class Text(msgspec.Struct, frozen=True):
    """A text and what is known of it: probability by category, None or absent = unknown."""

    text: str
    labels: dict[str, float | None]
    natural: bool = True
    id: str = ""
    reversed: tuple[str, ...] = ()
    """The categories in which the label overturned a decision; of corrections alone."""

    def bits(self, categories: Sequence[str]) -> list[float]:
        """Return 1, 0 or NaN for each category."""
        known = [self.labels.get(name) for name in categories]
        return [float("nan") if label is None else float(label >= POSITIVE) for label in known]


@dataclass(frozen=True)
class GateTexts:
    """What challengers of a dataset are measured on."""

    dataset: DatasetRecord
    test_sha256: str
    test: Sequence[Text]
    """The natural mix of classes."""
    corrections: Sequence[Text]
    """Labels that moderators' corrections led to, and that were never trained on."""


def read_texts(dataset: Path) -> GateTexts:
    """Read what a dataset holds for the gate. Raises CannotCompare naming the file that is missing or not the same."""
    try:
        description = msgspec.json.decode((dataset / DESCRIPTION).read_bytes())
        record = msgspec.convert(description, DatasetRecord)
        files = msgspec.convert(description.get("files", {}), dict[str, str])
    except (OSError, ValueError, AttributeError):
        raise CannotCompare(f"{dataset} is not a dataset: {DESCRIPTION} is missing or cannot be read") from None
    test, test_sha256 = _read(dataset / TEST, files)
    natural = [text for text in test if text.natural]
    if not natural:
        raise CannotCompare(f"{dataset / TEST} has no text of the natural mix, so there is nothing to measure on")
    return GateTexts(record, test_sha256, natural, _corrections(dataset, files))


def _corrections(dataset: Path, files: Mapping[str, str]) -> list[Text]:
    """The held-out labels, each with the categories in which it overturned a decision."""
    if not (dataset / CORRECTIONS).is_file():
        return []
    texts, _ = _read(dataset / CORRECTIONS, files)
    _verified(dataset / ADDITIONS, files)
    reversals = {each.row: tuple(each.reversed) for each in read_additions(dataset)}
    return [msgspec.structs.replace(text, reversed=reversals.get(text.id, ())) for text in texts]


def _read(path: Path, files: Mapping[str, str]) -> tuple[list[Text], str]:
    content, digest = _verified(path, files)
    try:
        return msgspec.json.Decoder(Text).decode_lines(content), digest
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CannotCompare(f"{path} has a line that is not a row of a dataset: {_kind(error)}") from None


def _verified(path: Path, files: Mapping[str, str]) -> tuple[bytes, str]:
    """What a file holds, and its digest: the one that the description gives."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotCompare(f"{path} cannot be read: {error.strerror}") from None
    found, expected = hashlib.sha256(content).hexdigest(), files.get(path.name)
    if expected is None:
        raise CannotCompare(f"{path} is none of the files that {DESCRIPTION} describes")
    if found != expected:
        raise CannotCompare(
            f"{path} is not the file that {DESCRIPTION} describes: "
            f"its sha256 starts with {found[:12]} instead of {expected[:12]}"
        )
    return content, found


def _kind(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
