"""Levels: labels that form a hierarchy, measured as one decision a level, as OLID's tasks A, B and C are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.config import Level
from training.evaluation import Estimate, Table
from training.figures import CLASS_FIGURES, Counts, Floats, class_figures, estimate, measure

NOTE = (
    "Macro-F1 as in SemEval 2019 task 6 (Zampieri et al. 2019). A level of one category is decided by the threshold "
    "whose macro-F1 was highest on validation, one of several by the highest score in relation to how frequent the "
    "category is, as far as that helped on validation; a level below another is measured on the texts that truly have "
    "the category above it."
)

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of a category's frequency is divided out of its score before scores are compared: none to all."""


@dataclass(frozen=True)
class LevelResult:
    """How well one level is decided; a level that no text is known for has no figures."""

    name: str
    classes: tuple[str, ...]
    threshold: float | None
    """None where the highest score decides."""
    rows: int
    macro_f1: Estimate | None
    f1: Mapping[str, float]
    """By class."""
    confusion: tuple[tuple[int, ...], ...]
    """How many texts: (true class, decided class)."""


@dataclass(frozen=True)
class _Decided:
    """The texts that a level is known for."""

    classes: tuple[str, ...]
    true: Counts  # (text,): number of the class
    scores: Floats  # (text, category)


def fit_levels(levels: Sequence[Level], categories: Sequence[str], scores: Floats, labels: Floats) -> dict[str, float]:
    """The threshold of each level of one category, by the level's name: where macro-F1 is highest on these texts.

    `scores` and `labels` are (text, category), as in `measure_levels`. Without a text to fit on, it is 0.5.
    """
    return {
        level.name: _best_threshold(_known(level, categories, scores, labels))
        for level in levels
        if len(level.categories) == 1
    }


def fit_scales(levels: Sequence[Level], categories: Sequence[str], scores: Floats, labels: Floats) -> Floats:
    """What to divide each category's scores by before levels are fitted and measured, shape (category,).

    Calibrated scores of a rare category seldom are the highest, and macro-F1 counts it like the others. So the
    categories of a level are divided by a power of their frequency, the one with the highest macro-F1 on these texts.
    """
    scales = np.ones(len(categories))
    for level in levels:
        texts = _known(level, categories, scores, labels)
        if len(level.categories) > 1 and len(texts.true):
            scales[[categories.index(name) for name in level.categories]] = _best_scales(texts)
    return scales


def measure_levels(
    levels: Sequence[Level],
    categories: Sequence[str],
    scores: Floats,
    labels: Floats,
    thresholds: Mapping[str, float],
    seed: int = 20,
) -> list[LevelResult]:
    """Each level on the texts that are known for it: its category is, and the level above holds.

    `scores` and `labels` are (text, category) in the order of `categories`; an unknown label is NaN, and one from 0.5
    is positive. `thresholds` is what `fit_levels` found on other texts.
    """
    return [_measured(level, _known(level, categories, scores, labels), thresholds, seed) for level in levels]


def levels_table(results: Sequence[LevelResult]) -> Table:
    """The results as a table of the report: a line for each level, and one for each of its classes."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for result in results:
        interval = result.macro_f1.interval if result.macro_f1 else None
        value = result.macro_f1.value if result.macro_f1 else None
        rows.append((f"level {result.name}: macro-F1", result.rows, value, *(interval or (None, None))))
        for name, confusion in zip(result.classes, result.confusion, strict=True):
            rows.append((f"level {result.name}: F1 of {name}", sum(confusion), result.f1.get(name), None, None))
    return Table(title="Levels", note=NOTE, columns=("decision", "texts", "F1", "from", "to"), rows=tuple(rows))


def _known(level: Level, categories: Sequence[str], scores: Floats, labels: Floats) -> _Decided:
    columns = [categories.index(name) for name in level.categories]
    chosen = labels[:, columns]
    known = ~np.isnan(chosen).any(axis=1)
    if level.given is not None:
        known &= labels[:, categories.index(level.given)] >= 0.5  # NaN is not
    if len(columns) == 1:
        name = level.categories[0]
        true = (chosen[known, 0] >= 0.5).astype(np.int64)
        return _Decided((f"not {name}", name), true, scores[known][:, columns])
    known &= (chosen >= 0.5).any(axis=1)  # a text of none of the classes has no right answer
    return _Decided(level.categories, chosen[known].argmax(axis=1), scores[known][:, columns])


def _best_scales(texts: _Decided) -> Floats:
    classes = len(texts.classes)
    share = np.maximum(np.bincount(texts.true, minlength=classes), 1) / len(texts.true)  # (class,)
    ways: list[Floats] = [share**power for power in POWERS]
    found = [_macro_f1_of(texts.true, _decide(texts.scores / way, None), classes) for way in ways]
    return ways[int(np.argmax(found))]


def _macro_f1_of(true: Counts, decided: Counts, classes: int) -> float:
    sample = measure(class_figures(true, decided, classes), len(true), seed=0, resamples=1)
    return float(sample.found[CLASS_FIGURES.index("macro_f1")])


def _best_threshold(texts: _Decided) -> float:
    """In the middle between two scores, so that rounding moves no text across it."""
    if not len(texts.true):
        return 0.5
    order = np.argsort(-texts.scores[:, 0], kind="stable")
    scores, positive = texts.scores[order, 0], texts.true[order] == 1
    last_of_tie = np.flatnonzero(np.diff(scores, append=-np.inf))
    flagged = last_of_tie + 1
    hits = positive.cumsum()[last_of_tie]
    best = int(_macro_f1(hits, flagged, int(positive.sum()), len(scores)).argmax())
    below = flagged[best]
    return float(scores[below - 1] if below == len(scores) else (scores[below - 1] + scores[below]) / 2)


def _macro_f1(hits: Counts, flagged: Counts, positives: int, texts: int) -> Floats:
    """The mean of the F1 of the category and of its complement, for each way to flag."""
    rejected_rightly = texts - positives - (flagged - hits)
    f1: Floats = 2 * hits / np.maximum(flagged + positives, 1)
    complement: Floats = 2 * rejected_rightly / np.maximum(2 * texts - flagged - positives, 1)
    return (f1 + complement) / 2


def _measured(level: Level, texts: _Decided, thresholds: Mapping[str, float], seed: int) -> LevelResult:
    threshold = thresholds[level.name] if len(level.categories) == 1 else None
    decided = _decide(texts.scores, threshold)
    classes = len(texts.classes)
    confusion = np.bincount(texts.true * classes + decided, minlength=classes**2).reshape(classes, classes)
    return LevelResult(
        name=level.name,
        classes=texts.classes,
        threshold=threshold,
        rows=len(texts.true),
        macro_f1=_estimate(texts.true, decided, classes, seed) if len(texts.true) else None,
        f1=_f1_by_class(texts.classes, confusion),
        confusion=tuple(tuple(int(count) for count in line) for line in confusion),
    )


def _decide(scores: Floats, threshold: float | None) -> Counts:
    decided: Counts = scores.argmax(axis=1) if threshold is None else (scores[:, 0] >= threshold).astype(np.int64)
    return decided


def _estimate(true: Counts, decided: Counts, classes: int, seed: int) -> Estimate:
    sample = measure(class_figures(true, decided, classes), len(true), seed)
    macro_f1 = CLASS_FIGURES.index("macro_f1")
    return estimate(sample.found[macro_f1], sample.resampled[:, macro_f1])


def _f1_by_class(classes: Sequence[str], confusion: Counts) -> dict[str, float]:
    """Classes that no text has and none was given have no F1."""
    right, true, decided = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        name: round(float(2 * right[number] / (true[number] + decided[number])), 4)
        for number, name in enumerate(classes)
        if true[number] + decided[number]
    }
