"""Drift: how far recent scores are from the reference of their model, and whether chance explains it.

What is compared are distributions, so nothing here needs a text.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import msgspec

from moderato.agreement import Share, weighted_share, wilson
from moderato.artifact import Reference, ScoreDistribution

LEAST_SHARE = 0.04
"""What a bin holds of the reference at least, save the last one: a finer one would be told by chance."""

LEAST_WIDTH = 0.5
"""How wide a bin is at least, in log-odds. Most texts are harmless and their scores close together, near 0: deciles are
so narrow there that last digits, in which one kind of CPU differs from another, would count as drift."""

HIGHEST_INDEX = 0.2
"""An index above this is worth an alarm. Siddiqi (Credit Risk Scorecards, 2006) calls one below 0.1 no change and one
above 0.25 a shift of the population; 0.2, in between, is the customary alarm."""

CHANCE = 0.999
"""How much of what chance does to an index has to be exceeded."""

FEWEST_TEXTS = 100
"""Below this effective number nothing is said: some ten bins have ten texts each then, and what chance does to an index
is larger than what most platforms do to it."""

_SHARE_DECIMALS = 6
_SMALLEST_SCORE = 5e-7
"""Half of a score's last digit: what log-odds take 0 for."""
_HALF_A_TEXT = 0.5


@dataclass(frozen=True)
class Observation:
    """One text's scores, the categories that it was flagged for, and how many texts it stands for."""

    scores: Mapping[str, float]
    flagged: Collection[str]
    weight: float = 1.0


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share in the reference and recently, each with its 95 % interval; None where there is nothing to tell it by."""

    reference: Share | None
    recent: Share | None

    @property
    def differs(self) -> bool:
        """Whether the intervals have nothing in common."""
        if self.reference is None or self.recent is None:
            return False
        before, now = self.reference.interval, self.recent.interval
        return now.low > before.high or now.high < before.low


class CategoryDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One category: its index, the highest that is no drift, and both distributions over the reference's bins."""

    category: str
    index: float
    highest: float
    """0.2, or more where chance alone would exceed that with so few texts."""
    drifts: bool
    reference: ScoreDistribution
    recent: ScoreDistribution


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the scores, the flags and the reversals since the reference was taken."""

    effective_texts: float
    categories: list[CategoryDrift]
    flag_rate: Rate
    reversal_rate: Rate

    @property
    def drifting(self) -> list[CategoryDrift]:
        """The categories that drift."""
        return [each for each in self.categories if each.drifts]

    @property
    def largest_index(self) -> float:
        """The largest index of any category."""
        return max(each.index for each in self.categories)


def effective_size(weights: Iterable[float]) -> float:
    """Return how many equal draws know as much: (sum w)^2 / sum w^2 (Kish, Survey Sampling, 1965, 11.7)."""
    weights = list(weights)
    squares = sum(weight**2 for weight in weights)
    return sum(weights) ** 2 / squares if squares else 0.0


def describe(observations: Sequence[Observation], categories: Collection[str], reversals: Sequence[bool]) -> Reference:
    """Return these texts, one at least, as a reference: each category's scores in bins of its own.

    `reversals` says of each judged flag whether it was wrong.
    """
    total = sum(one.weight for one in observations)
    flagged = sum(one.weight for one in observations if one.flagged)
    return Reference(
        texts=math.floor(effective_size(one.weight for one in observations)),
        flag_rate=round(flagged / total, _SHARE_DECIMALS),
        reversal_rate=round(sum(reversals) / len(reversals), _SHARE_DECIMALS) if reversals else None,
        judged_flags=len(reversals),
        categories={name: _distribution(observations, name, _edges(observations, name)) for name in categories},
    )


def compare(reference: Reference, observations: Sequence[Observation], reversals: Sequence[bool]) -> Drift:
    """Compare recent texts with a reference; `reversals` says of each judged flag whether it was overturned.

    A category drifts where its index is above both 0.2 and what chance exceeds once in a thousand times. At least
    `FEWEST_TEXTS` effective texts are needed for that to mean anything; the caller sees to it.
    """
    size = effective_size(one.weight for one in observations)
    flags = [(bool(one.flagged), 1 / one.weight) for one in observations]
    return Drift(
        effective_texts=size,
        categories=[
            _compare(name, before, reference.texts, observations, size) for name, before in reference.categories.items()
        ],
        flag_rate=Rate(reference=_share(reference.flag_rate, reference.texts), recent=weighted_share(flags)),
        reversal_rate=Rate(
            reference=_share(reference.reversal_rate, reference.judged_flags),
            recent=weighted_share([(reversal, 1.0) for reversal in reversals]),
        ),
    )


def stability_index(
    reference: Sequence[float], reference_texts: float, recent: Sequence[float], recent_texts: float
) -> float:
    """Return the population stability index of two distributions over the same bins: sum (q - p) ln(q / p).

    It is symmetric (Jeffreys' divergence), 0 where they are equal. An empty bin would make it infinite, however few
    texts were looked at; so each bin counts half a text more than it holds (Jeffreys' prior for shares), which matters
    less the more texts there are.
    """
    before, now = _smoothed(reference, reference_texts), _smoothed(recent, recent_texts)
    return sum((q - p) * math.log(q / p) for p, q in zip(before, now, strict=True))


def highest_by_chance(bins: int, reference_texts: float, recent_texts: float) -> float:
    """Return the index that two samples of one distribution exceed once in a thousand times.

    That is (1/n + 1/m) times the chi-square quantile with bins - 1 degrees of freedom (Yurdakul and Naranjo,
    Statistical properties of the population stability index, Journal of Risk Model Validation 14(4), 2020).
    """
    return (1 / reference_texts + 1 / recent_texts) * _chi_square_quantile(bins - 1)


def _compare(
    name: str, before: ScoreDistribution, texts: int, observations: Sequence[Observation], size: float
) -> CategoryDrift:
    now = _distribution(observations, name, before.edges)
    index = stability_index(before.shares, texts, now.shares, size)
    highest = max(HIGHEST_INDEX, highest_by_chance(len(before.shares), texts, size))
    return CategoryDrift(
        category=name, index=index, highest=highest, drifts=index > highest, reference=before, recent=now
    )


def _edges(observations: Sequence[Observation], name: str) -> tuple[float, ...]:
    """Return where a category's bins begin, from the second on; a bin ends once it is full and wide enough.

    Every bin begins with a score that was seen, so none is empty; texts that share a score share a bin. Where all are
    so close that there is one bin, what leaves it has a bin on either side: or no score could ever drift.
    """
    by_score: dict[float, float] = defaultdict(float)
    for one in observations:
        by_score[one.scores[name]] += one.weight
    full = sum(by_score.values()) * LEAST_SHARE * (1 - 1e-9)  # weights add up inexactly
    lowest, highest = _log_odds(min(by_score)), _log_odds(max(by_score))
    edges, held, began = list[float](), 0.0, lowest
    for score, weight in sorted(by_score.items()):
        if held >= full and _log_odds(score) - began >= LEAST_WIDTH:
            edges.append(score)
            held, began = 0.0, _log_odds(score)
        held += weight
    return tuple(edges) or (_score(lowest - LEAST_WIDTH), _score(highest + LEAST_WIDTH))


def _distribution(observations: Sequence[Observation], name: str, edges: Sequence[float]) -> ScoreDistribution:
    total = sum(one.weight for one in observations)
    weights = [0.0] * (len(edges) + 1)
    for one in observations:
        weights[bisect_right(edges, one.scores[name])] += one.weight
    mean = sum(one.weight * one.scores[name] for one in observations) / total
    flagged = sum(one.weight for one in observations if name in one.flagged) / total
    return ScoreDistribution(
        edges=tuple(edges),
        shares=tuple(round(weight / total, _SHARE_DECIMALS) for weight in weights),
        mean=round(mean, _SHARE_DECIMALS),
        flag_rate=round(flagged, _SHARE_DECIMALS),
    )


def _log_odds(score: float) -> float:
    inside = min(max(score, _SMALLEST_SCORE), 1 - _SMALLEST_SCORE)
    return math.log(inside / (1 - inside))


def _score(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _smoothed(shares: Sequence[float], texts: float) -> list[float]:
    whole = texts + _HALF_A_TEXT * len(shares)
    return [(share * texts + _HALF_A_TEXT) / whole for share in shares]


def _chi_square_quantile(degrees: int) -> float:
    """Return the quantile at `CHANCE` by Wilson and Hilferty (PNAS 17, 1931, 684-688).

    It is 3 % too high with one degree of freedom, 0.7 % with nine; the library that has it exactly weighs 100 MB.
    """
    if degrees < 1:
        return 0.0
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + NormalDist().inv_cdf(CHANCE) * math.sqrt(spread)) ** 3


def _share(share: float | None, count: int) -> Share | None:
    return None if share is None or not count else Share(share, wilson(share, count), count)
