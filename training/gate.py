"""The gate between a challenger and the champion's place: what is asked of it, figure by figure, and why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from moderato.artifact import DatasetRecord

Interval = tuple[float, float]


MEAN_AUC = "mean ROC AUC"
MACRO_F1 = "macro-F1"
REVERSALS = "past reversals right"
CORRECTED = "held-out corrections, labels right"
TELLING = (MEAN_AUC, MACRO_F1, REVERSALS, CORRECTED)
"""The figures that tell how good a model is; the others say what it may not cost."""


@dataclass(frozen=True)
class Gate:
    """How much worse than the champion a challenger may be. A better model may lose a little in one place; a gate that
    forgives nothing would stand still, and one that forgives much would drift down a step at a time.
    """

    test_auc: float = 0.005
    """Loss of mean ROC AUC on the frozen test set: what learning one slice may cost all other texts."""
    macro_f1: float = 0.01
    """Loss of macro-F1 at the shipped thresholds, which move a little with every calibration."""
    category_auc: float = 0.02
    """Loss of one category's ROC AUC, unless the paired interval says that it may be none: rare categories have few
    positive texts, and their area jumps."""
    reversals: int = 20
    """Past reversals from which the challenger must be strictly better: it was trained to learn from such. They are
    where a label overturned what the champion of its time had said of a category."""
    corrections: float = 0.02
    """Loss of the share of right labels, and of right actions, on all held-out corrections, what was confirmed
    included, unless the paired interval says that it may be none: a mended category may cost a little beside it, and
    corrections are few."""
    identity: float = 0.02
    """Gain of the share of friendly identity phrases that are flagged: people get hurt by each of them."""
    tricks: float = 0.05
    """Loss of the share of disguised abusive texts that are still flagged, over all families."""
    latency: float = 0.25
    """Gain of the median time for a text: beyond it, a deployment's memory and cost no longer fit."""
    size_bytes: int = 25_000_000
    """Size of the directory, unless the champion is larger itself: what fits a repository and a cold start."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of champion and challenger side by side, and whether the challenger's is good enough."""

    name: str
    champion: float | None
    challenger: float | None
    limit: str
    """What is asked of the challenger, in words; empty where nothing is."""
    passed: bool
    rows: int | None = None
    """How many texts it was taken on."""
    interval: Interval | None = None
    """95 % interval of challenger minus champion, by paired bootstrap."""


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two models."""

    name: str
    version: str
    sha256: str
    """The digest that its manifest is sealed with."""
    dataset: DatasetRecord


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Champion and challenger side by side, on the same texts."""

    champion: Contestant
    challenger: Contestant
    dataset: DatasetRecord
    """Whose frozen test set and past corrections they were measured on."""
    test_sha256: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """What was not measured, and why."""

    @property
    def passed(self) -> bool:
        """Whether the challenger may have the champion's place."""
        return all(figure.passed for figure in self.figures)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a challenger is promoted, and why not: a sentence for each figure that is not good enough."""

    promoted: bool
    reasons: tuple[str, ...]


def verdict(comparison: Comparison) -> Verdict:
    """Return what a comparison comes to."""
    return Verdict(
        promoted=comparison.passed,
        reasons=tuple(_sentence(figure) for figure in comparison.figures if not figure.passed),
    )


def not_lower(
    name: str, champion: float, challenger: float, loss: float, rows: int, interval: Interval | None = None
) -> Figure:
    """Return a figure that may fall by at most so much; 0 = not at all."""
    return Figure(
        name=name,
        champion=_rounded(champion),
        challenger=_rounded(challenger),
        limit=f"at most {loss:g} lower" if loss else "not lower",
        passed=_difference(champion, challenger) >= -loss,
        rows=rows,
        interval=interval,
    )


def not_surely_lower(
    name: str, champion: float, challenger: float, loss: float, rows: int, interval: Interval | None
) -> Figure:
    """Return a figure that may fall by more than so much only where the interval of the difference holds zero."""
    figure = not_lower(name, champion, challenger, loss, rows, interval)
    may_be_chance = interval is None or interval[1] >= 0
    limit = f"{figure.limit}, or within chance"
    return msgspec.structs.replace(figure, limit=limit, passed=figure.passed or may_be_chance)


def not_higher(name: str, champion: float, challenger: float, gain: float, rows: int) -> Figure:
    """Return a figure that may rise by at most so much."""
    return Figure(
        name=name,
        champion=_rounded(champion),
        challenger=_rounded(challenger),
        limit=f"at most {gain:g} higher",
        passed=_difference(champion, challenger) <= gain,
        rows=rows,
    )


def better_on_reversals(champion: float, challenger: float, reversals: int, gate: Gate) -> Figure:
    """Return the share of past reversals that is right, by text and category: strictly better where there are many,
    unless the champion has them all.
    """
    must_rise = reversals >= gate.reversals and champion < 1
    figure = not_lower(REVERSALS, champion, challenger, 0, reversals)
    if not must_rise:
        return figure
    return msgspec.structs.replace(figure, limit="higher", passed=_difference(champion, challenger) > 0)


def better_somewhere(figures: Sequence[Figure]) -> Figure:
    """Return in how many of the figures that tell how good a model is the challenger is better: one at least, for a
    model that is as good changes nothing but the risk.
    """
    compared = [each for each in figures if each.name in TELLING and each.champion is not None]
    better = sum((each.challenger or 0) > (each.champion or 0) for each in compared)
    return Figure(
        name="figures in which it is better",
        champion=None,
        challenger=float(better),
        limit=f"at least 1 of {len(compared)}",
        passed=better > 0,
    )


def not_slower(champion: float, challenger: float, gate: Gate, rows: int) -> Figure:
    """Return the median milliseconds for a text."""
    return Figure(
        name="latency, ms for a text",
        champion=round(champion, 2),
        challenger=round(challenger, 2),
        limit=f"at most {gate.latency:.0%} higher",
        passed=challenger <= champion * (1 + gate.latency),
        rows=rows,
    )


def not_larger(champion: int, challenger: int, gate: Gate) -> Figure:
    """Return the size of the directory, in MB."""
    limit = max(gate.size_bytes, champion)
    return Figure(
        name="size, MB",
        champion=round(champion / 1e6, 2),
        challenger=round(challenger / 1e6, 2),
        limit=f"at most {limit / 1e6:.2f}",
        passed=challenger <= limit,
    )


def golden(is_right: bool, rows: int) -> Figure:
    """Return whether the challenger gives its own golden answers on this machine."""
    return Figure(
        name="golden answers",
        champion=None,
        challenger=1.0 if is_right else 0.0,
        limit="all as they were when it was made",
        passed=is_right,
        rows=rows,
    )


def _difference(champion: float, challenger: float) -> float:
    # What arithmetic adds in the last digits decides nothing. A figure that is not a number is never good enough.
    return round(challenger - champion, 9) if math.isfinite(challenger) else math.nan


def _rounded(figure: float) -> float:
    return round(figure, 4)


def _sentence(figure: Figure) -> str:
    if figure.champion is None:
        return f"{figure.name}: not {figure.limit}."
    return (
        f"{figure.name}: {figure.challenger:g} against the champion's {figure.champion:g}; it must be {figure.limit}."
    )
