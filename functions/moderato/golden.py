"""Golden answers: texts whose scores were written down when a model was made, and which it has to give everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moderato.errors import BrokenModel

GOLDEN = "golden.jsonl"

GOLDEN_TOLERANCE = 0.04
"""How far a score may be from its golden answer: int8 products differ by up to this between kinds of CPU."""


class Golden(msgspec.Struct, frozen=True):
    """A text and the score that it has in each category."""

    text: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Miss:
    """A category whose score is too far from its golden answer."""

    category: str
    expected: float
    found: float


def read_golden(path: Path) -> list[Golden]:
    """Return the golden answers of a file, in its order. Raises BrokenModel for a file that holds none."""
    lines = path.read_text(encoding="utf-8").split("\n")  # U+2028 is no end of a line here
    try:
        golden = [msgspec.json.decode(line, type=Golden) for line in lines if line]
    except msgspec.DecodeError:
        raise BrokenModel(f"{path} has a line that is no golden answer: expected a text and its scores") from None
    if not golden:
        raise BrokenModel(f"{path} has no golden answer: expected at least one")
    return golden


def misses(golden: Golden, found: Mapping[str, float]) -> list[Miss]:
    """Return the categories that are off by more than `GOLDEN_TOLERANCE`; `found` has the same categories."""
    pairs = [Miss(category, score, found[category]) for category, score in golden.scores.items()]
    # Said this way round so that a score that is no number misses too.
    return [pair for pair in pairs if not abs(pair.found - pair.expected) <= GOLDEN_TOLERANCE]
