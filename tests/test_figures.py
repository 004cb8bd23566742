"""Figures: each by hand on a few texts, and intervals that come from resamples of them."""

import numpy as np
import pytest

from training.figures import (
    CATEGORY_FIGURES,
    CLASS_FIGURES,
    CURVE_POINTS,
    Floats,
    calibration_error,
    category_figures,
    class_figures,
    curve,
    estimate,
    histogram,
    measure,
    outcome,
    reliability,
    roc_auc,
)

UNKNOWN = np.nan
LABELS = np.array([0.0, 0.0, 1.0, 1.0])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def found(labels: Floats, scores: Floats, threshold: float) -> dict[str, float]:
    """Return the figures of one category by name."""
    sample = measure(category_figures(labels, scores, scores >= threshold), len(labels), seed=1, resamples=1)
    return dict(zip(CATEGORY_FIGURES, sample.found.tolist(), strict=True))


def test_each_figure_of_a_category_by_hand() -> None:
    assert found(LABELS, SCORES, threshold=0.35) == pytest.approx(
        {
            "roc_auc": 0.75,  # three of the four pairs are in order
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
            "precision": 2 / 3,
            "recall": 1.0,
            "f1": 0.8,
            "false_positive_rate": 0.5,
        }
    )


def test_an_unknown_label_counts_nowhere() -> None:
    labels, scores = np.array([*LABELS, UNKNOWN]), np.array([*SCORES, 0.99])
    assert found(labels, scores, threshold=0.35) == found(LABELS, SCORES, threshold=0.35)
    assert outcome(labels, scores >= 0.35, 0.35) == outcome(LABELS, SCORES >= 0.35, 0.35)


def test_equal_scores_count_half_in_the_area() -> None:
    assert roc_auc(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == 0.5
    assert roc_auc(np.array([0.0, 0.0, 1.0]), np.array([0.2, 0.5, 0.5])) == 0.75


def test_one_class_has_no_area() -> None:
    assert roc_auc(np.array([1.0, 1.0, UNKNOWN]), np.array([0.1, 0.2, 0.3])) is None
    assert roc_auc(np.array([UNKNOWN]), np.array([0.3])) is None


def test_each_figure_of_classes_by_hand() -> None:
    true, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    sample = measure(class_figures(true, predicted, 2), 4, seed=1, resamples=1)
    assert dict(zip(CLASS_FIGURES, sample.found.tolist(), strict=True)) == pytest.approx(
        {"accuracy": 0.75, "macro_f1": (0.8 + 2 / 3) / 2, "matthews": 2 / 12**0.5}
    )


def test_guessing_one_class_has_no_correlation() -> None:
    sample = measure(class_figures(np.array([0, 1, 2]), np.array([1, 1, 1]), 3), 3, seed=1, resamples=1)
    assert sample.found[CLASS_FIGURES.index("matthews")] == 0


def test_an_interval_holds_the_figure_and_narrows_with_more_texts() -> None:
    widths = []
    for copies in (20, 2000):
        labels, scores = np.tile(LABELS, copies), np.tile(SCORES, copies)
        sample = measure(category_figures(labels, scores, scores >= 0.35), len(labels), seed=7)
        area = estimate(sample.found[0], sample.resampled[:, 0])
        assert area.interval is not None
        low, high = area.interval
        assert low <= area.value == 0.75 <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5  # a hundred times the texts, a tenth of the width


def test_resamples_of_one_class_are_left_out_and_counted() -> None:
    labels, scores = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.9, 0.1, 0.2, 0.3])
    sample = measure(category_figures(labels, scores, scores >= 0.5), 4, seed=3)
    area = estimate(sample.found[0], sample.resampled[:, 0])
    # A resample misses the positive text with a chance of (3/4)^4 = 0.316, and holds nothing else with one of 0.004.
    assert 270 <= area.skipped <= 370
    assert area.interval == (1.0, 1.0)


def test_a_seed_draws_the_same_resamples() -> None:
    figures = category_figures(LABELS, SCORES, SCORES >= 0.35)
    first, again, other = (measure(figures, 4, seed).resampled for seed in (1, 1, 2))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_the_calibration_error_by_hand() -> None:
    bins = reliability(np.array([0.0, 0.0, 1.0, 0.0]), np.array([0.05, 0.05, 0.95, 1.0]))
    assert [(each.low, each.texts, each.positive_share) for each in bins] == [(0.0, 2, 0.0), (0.9, 2, 0.5)]
    assert calibration_error(bins) == pytest.approx(0.5 * 0.05 + 0.5 * 0.475)


def test_a_curve_is_thin_and_runs_to_full_recall() -> None:
    scores = np.linspace(0.001, 0.999, 5000)
    labels = (np.arange(5000) % 3 == 0).astype(float)
    drawn = curve(labels, scores)
    assert len(drawn.recall) == len(drawn.precision) == len(drawn.thresholds) <= CURVE_POINTS
    assert drawn.recall[-1] == 1
    assert list(drawn.recall) == sorted(drawn.recall)


def test_a_curve_has_the_corners_that_a_few_texts_make() -> None:
    drawn = curve(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.7, 0.6]))
    assert list(zip(drawn.thresholds, drawn.recall, drawn.precision, strict=True)) == [
        (0.8, 0.5, 0.5),
        (0.7, 0.5, 0.3333),
        (0.6, 1.0, 0.5),
    ]


def test_scores_are_counted_by_class() -> None:
    counted = histogram(np.array([0.0, 1.0, 1.0, UNKNOWN]), np.array([0.01, 0.99, 1.0, 0.5]), bins=4)
    assert counted.negatives == (1, 0, 0, 0)
    assert counted.positives == (0, 0, 0, 2)


def test_an_outcome_tells_precision_recall_and_false_alarms() -> None:
    made = outcome(LABELS, SCORES >= 0.4, 0.4)
    assert (made.flagged, made.right, made.positives, made.rows) == (2, 1, 2, 4)
    assert (made.precision, made.recall, made.false_positive_rate) == (0.5, 0.5, 0.5)
