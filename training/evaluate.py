"""Judge an exported graph with the scorer that serves it: calibrate, choose thresholds, measure on held-out text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from moderato.artifact import Calibration, Category, Metric
from moderato.scorer import Scorer
from training.dataset import Row

F1_SLACK = 0.01
"""F1 is flat around its highest, and where exactly that lies is chance; of equals the lower finds more."""

MIN_BLOCKED = 10
"""Validation texts that a block threshold must catch before its precision means anything."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Texts of a split with the highest logit of each category over their windows."""

    logits: Floats  # (text, category)
    labels: Floats  # (text, category); NaN where unknown


def judge(scorer: Scorer, rows: Sequence[Row]) -> Judged:
    """Read every text as it is served: one at a time, in windows, folded where it is disguised."""
    logits = [np.max([window.logits for window in scorer.windows(row.text)], axis=0) for row in rows]
    labels = [[np.nan if bit is None else float(bit) for bit in row.labels.values()] for row in rows]
    return Judged(np.array(logits, dtype=float), np.array(labels, dtype=float))


def fit_category(name: str, validation: Judged, index: int, block_precision: float) -> Category:
    """Calibrate one category by Platt scaling and choose its thresholds, all on validation.

    Review begins at the lowest score whose F1 is within `F1_SLACK` of the highest;
    block where precision reaches `block_precision`, if it does on enough texts.
    """
    logits, labels = _known(validation, index)
    calibration = _platt(logits, labels)
    scores = _scores(logits, calibration)
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    review = float(thresholds[f1[:-1] >= f1.max() - F1_SLACK][0])
    sure = [
        t
        for t, p in zip(thresholds, precision, strict=False)
        if p >= block_precision and (scores >= t).sum() >= MIN_BLOCKED
    ]
    block = max(float(sure[0]), review) if sure else None
    return Category(name, round(review, 4), None if block is None else round(block, 4), calibration)


def measure(category: Category, test: Judged, index: int) -> Metric:
    """One category's figures on held-out texts; precision, recall and F1 at its review threshold."""
    logits, labels = _known(test, index)
    scores = _scores(logits, category.calibration)
    flagged = scores >= category.review
    true_positives = float((flagged & (labels == 1)).sum())
    precision = true_positives / max(float(flagged.sum()), 1.0)
    recall = true_positives / max(float(labels.sum()), 1.0)
    return Metric(
        positives=int(labels.sum()),
        rows=len(labels),
        roc_auc=round(float(roc_auc_score(labels, logits)), 4),
        average_precision=round(float(average_precision_score(labels, logits)), 4),
        precision=round(precision, 4),
        recall=round(recall, 4),
        f1=round(2 * precision * recall / max(precision + recall, 1e-9), 4),
    )


def calibration_error(category: Category, test: Judged, index: int, bins: int = 10) -> tuple[float, float]:
    """Expected calibration error before and after Platt scaling, over equal-width bins (Guo et al. 2017, section 2)."""
    logits, labels = _known(test, index)
    return (
        _calibration_error(_scores(logits, Calibration(1.0, 0.0)), labels, bins),
        _calibration_error(_scores(logits, category.calibration), labels, bins),
    )


def _known(judged: Judged, index: int) -> tuple[Floats, Floats]:
    known = ~np.isnan(judged.labels[:, index])
    return judged.logits[known, index], judged.labels[known, index]


def _platt(logits: Floats, labels: Floats) -> Calibration:
    fitted = LogisticRegression(C=1e3).fit(logits.reshape(-1, 1), labels)
    return Calibration(scale=round(float(fitted.coef_[0][0]), 6), shift=round(float(fitted.intercept_[0]), 6))


def _scores(logits: Floats, calibration: Calibration) -> Floats:
    scores: Floats = 1 / (1 + np.exp(-(calibration.scale * logits + calibration.shift)))
    return scores


def _calibration_error(scores: Floats, labels: Floats, bins: int) -> float:
    bin_of = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        (bin_of == b).mean() * abs(scores[bin_of == b].mean() - labels[bin_of == b].mean())
        for b in set(bin_of.tolist())
    ]
    return float(sum(gaps))
