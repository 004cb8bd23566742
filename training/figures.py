"""Figures of scores against labels: each as a function of the texts' weights, so that a bootstrap is one more axis."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation import Bin, Curve, Estimate, Histogram, Outcome

RESAMPLES = 1000
CURVE_POINTS = 200
BINS = 10
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))

CATEGORY_FIGURES = ("roc_auc", "average_precision", "precision", "recall", "f1", "false_positive_rate")
CLASS_FIGURES = ("accuracy", "macro_f1", "matthews")

_CELLS_AT_ONCE = 2_000_000  # weights of a batch of resamples: 16 MB

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

Figures = Callable[[Floats], Floats]
"""From weights (resample, text) to figures (resample, figure); NaN where a resample cannot be measured."""


@dataclass(frozen=True)
class Sample:
    """Figures on texts, and on bootstrap resamples of them."""

    found: Floats  # (figure,)
    resampled: Floats  # (resample, figure)


def measure(figures: Figures, texts: int, seed: int, resamples: int = RESAMPLES) -> Sample:
    """Figures on so many texts and on resamples of them.

    The same `texts` and `seed` draw the same resamples, so figures that were measured apart can be averaged.
    """
    drawn = [figures(weights) for weights in _resampled(texts, seed, resamples)]
    return Sample(figures(np.ones((1, texts)))[0], np.concatenate(drawn))


def estimate(value: float, resampled: Floats) -> Estimate:
    """A figure with the 2.5th and 97.5th percentiles of its resamples (Efron and Tibshirani 1993, chapter 13)."""
    measured = resampled[np.isfinite(resampled)]
    interval = np.percentile(measured, [2.5, 97.5]) if len(measured) else None
    return Estimate(
        value=round(float(value), 4),
        interval=None if interval is None else (round(float(interval[0]), 4), round(float(interval[1]), 4)),
        skipped=len(resampled) - len(measured),
    )


def category_figures(labels: Floats, scores: Floats, flagged: Flags) -> Figures:
    """`CATEGORY_FIGURES` of one category; texts whose label is NaN are left out, resamples of one class are NaN."""
    known = ~np.isnan(labels)
    positive, ranked, called = labels[known] == 1, scores[known], flagged[known]

    def figures(weights: Floats) -> Floats:
        return _category_figures(weights[:, known], positive, ranked, called)

    return figures


def class_figures(true: Counts, predicted: Counts, classes: int) -> Figures:
    """`CLASS_FIGURES` of a choice among classes, which are given by their number for each text."""
    cells = true * classes + predicted

    def figures(weights: Floats) -> Floats:
        confusion = [np.bincount(cells, row, classes * classes).reshape(classes, classes) for row in weights]
        return np.array([_class_figures(matrix) for matrix in confusion])

    return figures


def roc_auc(labels: Floats, scores: Floats) -> float | None:
    """The area under the ROC curve over the known labels; None where they are of one class."""
    if not {0.0, 1.0} <= set(labels.tolist()):
        return None
    known = ~np.isnan(labels)
    area, _ = _ranking_figures(np.ones((1, int(known.sum()))), labels[known] == 1, scores[known])
    return round(float(area[0]), 4)


def outcome(labels: Floats, flagged: Flags, threshold: float) -> Outcome:
    """What calling for the flagged texts does, over the known labels."""
    known = ~np.isnan(labels)
    return Outcome(
        threshold=threshold,
        rows=int(known.sum()),
        positives=int((labels == 1).sum()),
        flagged=int(flagged[known].sum()),
        right=int((flagged & (labels == 1)).sum()),
    )


def curve(labels: Floats, scores: Floats) -> Curve:
    """The precision-recall curve at its corners, at most `CURVE_POINTS` of them."""
    known = ~np.isnan(labels)
    positive, ranked = labels[known] == 1, scores[known]
    # Between two positive texts precision only falls: their scores are the upper corners, what lies just above the
    # next one the lower.
    values = np.unique(ranked)
    upper = np.searchsorted(values, np.unique(ranked[positive]))
    thresholds = values[np.unique([*upper, *np.minimum(upper + 1, upper[-1])])][::-1]
    kept = np.unique(np.linspace(0, len(thresholds) - 1, min(CURVE_POINTS, len(thresholds))).round().astype(int))
    points = [outcome(labels[known], ranked >= threshold, float(threshold)) for threshold in thresholds[kept]]
    return Curve(
        thresholds=tuple(round(point.threshold, 4) for point in points),
        precision=tuple(round(point.precision, 4) for point in points),
        recall=tuple(round(point.recall, 4) for point in points),
    )


def reliability(labels: Floats, scores: Floats) -> tuple[Bin, ...]:
    """What scores say and what is so, in `BINS` bins of equal width; empty bins are left out."""
    known = ~np.isnan(labels)
    positive, said = labels[known] == 1, scores[known]
    bin_of = np.minimum((said * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            low=round(number / BINS, 2),
            high=round((number + 1) / BINS, 2),
            texts=int((bin_of == number).sum()),
            mean_score=round(float(said[bin_of == number].mean()), 6),
            positive_share=round(float(positive[bin_of == number].mean()), 6),
        )
        for number in np.unique(bin_of).tolist()
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error over the bins (Guo et al. 2017, section 2)."""
    texts = sum(each.texts for each in bins)
    return round(sum(each.texts * abs(each.mean_score - each.positive_share) for each in bins) / max(texts, 1), 4)


def histogram(labels: Floats, scores: Floats, bins: int = 20) -> Histogram:
    """How the scores of negative and of positive texts are spread."""
    edges = np.linspace(0, 1, bins + 1)
    negatives, positives = (np.histogram(scores[labels == label], edges)[0].tolist() for label in (0, 1))
    return Histogram(negatives=tuple(negatives), positives=tuple(positives))


def _resampled(texts: int, seed: int, resamples: int) -> Iterator[Floats]:
    """How often each text is drawn, for a batch of resamples at a time: (resample, text)."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // texts)
    for done in range(0, resamples, at_once):
        count = min(at_once, resamples - done)
        drawn = generator.integers(0, texts, (count, texts)) + np.arange(count)[:, None] * texts
        yield np.bincount(drawn.ravel(), minlength=count * texts).reshape(count, texts).astype(float)


def _category_figures(weights: Floats, positive: Flags, scores: Floats, flagged: Flags) -> Floats:
    classes = np.stack([flagged & positive, flagged & ~positive, positive, ~positive], axis=1).astype(float)
    hits, alarms, positives, negatives = (weights @ classes).T
    area, average_precision = _ranking_figures(weights, positive, scores)
    figures = np.stack(
        [
            area,
            average_precision,
            hits / np.maximum(hits + alarms, 1),
            hits / np.maximum(positives, 1),
            2 * hits / np.maximum(positives + hits + alarms, 1),
            alarms / np.maximum(negatives, 1),
        ],
        axis=1,
    )
    figures[(positives == 0) | (negatives == 0)] = np.nan
    return figures


def _ranking_figures(weights: Floats, positive: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """ROC AUC by rank sums, ties counting half, and average precision, of each resample."""
    order = np.argsort(-scores, kind="stable")
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    texts = weights[:, order]  # (resample, text), from the highest score
    hits = texts * positive[order]
    if len(first_of_tie) < len(order):
        texts, hits = (np.add.reduceat(each, first_of_tie, axis=1) for each in (texts, hits))
    alarms = texts - hits  # (resample, distinct score)
    hits_above, alarms_above = hits.cumsum(axis=1), alarms.cumsum(axis=1)
    positives, negatives = hits_above[:, -1:], alarms_above[:, -1:]
    area = (hits * (negatives - alarms_above + alarms / 2)).sum(axis=1)
    average_precision = (hits * hits_above / np.maximum(hits_above + alarms_above, 1)).sum(axis=1)
    return area / np.maximum(positives * negatives, 1)[:, 0], average_precision / np.maximum(positives, 1)[:, 0]


def _class_figures(confusion: Counts | Floats) -> list[float]:
    right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    texts = confusion.sum()
    seen = true + predicted > 0
    spread = (texts**2 - (predicted**2).sum()) * (texts**2 - (true**2).sum())
    return [
        right.sum() / texts,
        float((2 * right[seen] / (true + predicted)[seen]).mean()),
        (right.sum() * texts - (predicted * true).sum()) / np.sqrt(spread) if spread > 0 else 0.0,
    ]
