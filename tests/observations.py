"""Observations for tests of drift: so many texts with a score of one category."""

from collections.abc import Mapping

from moderato.artifact import Reference, ScoreDistribution
from moderato.drift import Observation

CATEGORY = "insult"
REVIEW = 0.5
"""From here on the texts of these tests are flagged."""


def texts(counts: Mapping[float, int], weight: float = 1.0) -> list[Observation]:
    """Return so many texts of each score."""
    return [one for score, count in counts.items() for one in [text(score, weight)] * count]


def text(score: float, weight: float = 1.0) -> Observation:
    """Return a text, flagged from `REVIEW` on."""
    return Observation({CATEGORY: score}, frozenset({CATEGORY} if score >= REVIEW else ()), weight)


def half_and_half(count: int = 1_000) -> Reference:
    """Return a reference of so many texts, half of them below and half of them above 0.5."""
    distribution = ScoreDistribution(edges=(0.5,), shares=(0.5, 0.5), mean=0.5, flag_rate=0.5)
    return Reference(
        texts=count, flag_rate=0.5, reversal_rate=0.2, judged_flags=50, categories={CATEGORY: distribution}
    )
