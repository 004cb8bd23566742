"""Calibrate a model's logits and choose its thresholds, on validation."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from moderato.artifact import Calibration, Category, Problem
from training.config import Recipe, RecipeError, Target
from training.figures import Flags, Floats

MIN_REVIEWED = 10
"""Validation texts that a review threshold must catch before its precision means anything: one text may be luck."""

MIN_BLOCKED = 20
"""The same for block, where nobody looks again: with 10, a threshold that was right on 11 of 11 texts of validation was
wrong on 7 of the next 15."""

PLAIN = Calibration(1.0, 0.0)
"""Scores as the loss made them."""

_STEPS = 10_000  # thresholds have 4 decimals, in the manifest as here
_SHARPEST, _FLATTEST = 20.0, 0.05


def fit(recipe: Recipe, logits: Floats, labels: Floats) -> tuple[Category, ...]:
    """The recipe's categories, calibrated on validation and with the thresholds that its targets ask for.

    `logits` and `labels` are (text, category), labels 1, 0, or NaN where unknown. Raises RecipeError when there is
    nothing to choose by.
    """
    _check(recipe, labels)
    if recipe.problem is Problem.SINGLE_LABEL:
        calibrations = [_temperature(logits, labels)] * len(recipe.categories)
    else:
        calibrations = [_platt(logits[:, i], labels[:, i]) for i in range(len(recipe.categories))]
    scores = calibrated(recipe.problem, calibrations, logits)
    return tuple(
        _category(name, calibrations[i], recipe.targets.get(name), scores[:, i], labels[:, i])
        for i, name in enumerate(recipe.categories)
    )


def calibrated(problem: Problem, calibrations: Sequence[Calibration], logits: Floats) -> Floats:
    """Scores (text, category) of pooled logits, as `Scorer.calibrate` makes them of one text's."""
    values = logits * [each.scale for each in calibrations] + [each.shift for each in calibrations]
    if problem is Problem.SINGLE_LABEL:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        softmax: Floats = powers / powers.sum(axis=1, keepdims=True)
        return softmax
    sigmoid: Floats = 1 / (1 + np.exp(-np.clip(values, -60, 60)))
    return sigmoid


def lowest_precise(scores: Floats, labels: Floats, precision: float, texts: int) -> float | None:
    """The lowest threshold, and so the highest recall, whose precision is at least this on so many texts or more.

    None when no threshold reaches it.
    """
    thresholds, flagged, right = _candidates(scores, labels)
    good = thresholds[(right >= precision * flagged - 1e-9) & (flagged >= texts)]
    return float(good.min()) if len(good) else None


def best_f1(scores: Floats, labels: Floats) -> float:
    """The threshold with the highest F1; of equals the lowest."""
    thresholds, flagged, right = _candidates(scores, labels)
    f1 = 2 * right / (flagged + (labels == 1).sum())
    return float(thresholds[f1 >= f1.max() - 1e-9].min())


def _check(recipe: Recipe, labels: Floats) -> None:
    if not len(labels):
        raise RecipeError(
            f"{recipe.file}: no text of a natural source is in validation; raise `validation` of that source's split"
        )
    for index, name in enumerate(recipe.categories):
        if recipe.problem is Problem.SINGLE_LABEL and name not in recipe.targets:
            continue  # one temperature serves all of them, and it has no threshold
        for label, kind in ((1, "positive"), (0, "negative")):
            if not (labels[:, index] == label).any():
                raise RecipeError(
                    f"{recipe.file}: category {name!r} has no {kind} text in validation, so nothing can be chosen by; "
                    "raise `validation` of a natural source's split, or remove the category"
                )


def _platt(logits: Floats, labels: Floats) -> Calibration:
    """Platt scaling with his smoothed targets, which keep a few positive texts from being believed without bounds."""
    known = ~np.isnan(labels)
    positive = labels[known] == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    twice = np.concatenate([logits[known], logits[known]]).reshape(-1, 1)
    classes = np.repeat([1, 0], len(target))
    fitted = LogisticRegression(C=1e6).fit(twice, classes, sample_weight=np.concatenate([target, 1 - target]))
    scale, shift = float(fitted.coef_[0][0]), float(fitted.intercept_[0])
    # A slope that turns the order round says that the model knows nothing; calibration cannot mend that.
    return Calibration(round(scale, 6), round(shift, 6)) if scale > 0 else PLAIN


def _temperature(logits: Floats, labels: Floats) -> Calibration:
    """Temperature scaling (Guo et al. 2017): the one scale with the highest likelihood."""
    true = np.nanargmax(labels, axis=1)

    def surprise(scale: float) -> float:
        values = logits * scale
        highest = values.max(axis=1)
        total = highest + np.log(np.exp(values - highest[:, None]).sum(axis=1))
        return float((total - values[np.arange(len(true)), true]).mean())

    found = minimize_scalar(surprise, bounds=(_FLATTEST, _SHARPEST), method="bounded")
    return Calibration(round(float(found.x), 6), 0.0)


def _category(name: str, calibration: Calibration, target: Target | None, scores: Floats, labels: Floats) -> Category:
    if target is None:
        return Category(name, None, None, calibration)
    # A category with few positive texts could not reach more without being wrong on purpose.
    enough = min(MIN_REVIEWED, int((labels == 1).sum()))
    review = lowest_precise(scores, labels, target.review_precision, enough)
    if review is None:
        review = best_f1(scores, labels)
    return Category(name, review, _block(target, review, scores, labels), calibration)


def _block(target: Target, review: float, scores: Floats, labels: Floats) -> float | None:
    if target.block_precision is None:
        return None
    lowest = lowest_precise(scores, labels, target.block_precision, MIN_BLOCKED)
    return None if lowest is None else max(lowest, review)


def _candidates(scores: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """Every threshold of 4 decimals that makes a difference, with the texts it flags and those flagged rightly."""
    known = ~np.isnan(labels)
    steps = np.floor(scores[known] * _STEPS).astype(int)
    present = np.unique(steps)
    present = present[present > 0] if (present > 0).any() else np.array([1])
    return present / _STEPS, _at_or_above(steps, present), _at_or_above(steps[labels[known] == 1], present)


def _at_or_above(steps: Flags | Floats, thresholds: Floats) -> Floats:
    ordered = np.sort(steps)
    counts: Floats = (len(ordered) - np.searchsorted(ordered, thresholds, side="left")).astype(float)
    return counts
