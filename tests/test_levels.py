"""Levels: labels that form a hierarchy are measured as one decision a level."""

import math

import numpy as np
import pytest

from training.config import Level
from training.levels import fit_levels, fit_scales, levels_table, measure_levels

UNKNOWN = math.nan
CATEGORIES = ["offensive", "individual", "group", "other"]
AIM = Level(name="C", categories=("individual", "group", "other"), given="offensive")
OFFENSIVE = Level(name="A", categories=("offensive",))


def column(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """One category's scores or labels, a text each."""
    return np.array(values)[:, None]


def test_a_level_of_one_category_is_the_mean_of_the_f1_of_both_classes() -> None:
    scores = column(0.9, 0.8, 0.4, 0.7, 0.2, 0.1)
    labels = column(1, 1, 1, 0, 0, 0)
    [result] = measure_levels([OFFENSIVE], ["offensive"], scores, labels, {"A": 0.5})
    assert result.classes == ("not offensive", "offensive")
    assert result.confusion == ((2, 1), (1, 2))
    assert result.f1 == {"not offensive": 0.6667, "offensive": 0.6667}
    assert result.macro_f1 is not None
    assert result.macro_f1.value == 0.6667
    assert result.rows == 6


def test_the_threshold_lies_in_the_middle_of_the_gap_where_macro_f1_is_highest() -> None:
    labels = column(1, 1, 0, 1, 0, 0, 0)
    # Down to 0.8: F1 0.8 and 8/9. Down to 0.6 as well: 6/7 and 6/7, which is more.
    fitted = fit_levels([OFFENSIVE], ["offensive"], column(0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1), labels)
    assert fitted == {"A": pytest.approx(0.45)}


def test_texts_with_equal_scores_are_not_told_apart() -> None:
    fitted = fit_levels([OFFENSIVE], ["offensive"], column(0.5, 0.5, 0.5, 0.25), column(1, 1, 0, 0))
    assert fitted == {"A": 0.375}


def test_a_level_of_several_categories_is_decided_by_the_highest_score_among_them() -> None:
    scores = np.array([[0.9, 0.2, 0.1, 0.3], [0.1, 0.4, 0.5, 0.1], [0.5, 0.6, 0.2, 0.1], [0.5, 0.1, 0.9, 0.1]])
    labels = np.array([[1, 0, 0, 1], [1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=float)
    [result] = measure_levels([AIM], CATEGORIES, scores, labels, {})
    assert result.threshold is None
    assert result.confusion == ((0, 1, 0), (1, 1, 0), (0, 0, 1))
    assert result.f1 == {"individual": 0.0, "group": 0.5, "other": 1.0}
    assert result.macro_f1 is not None
    assert result.macro_f1.value == 0.5


def test_only_texts_that_have_the_level_above_and_a_known_answer_are_measured() -> None:
    labels = np.array(
        [
            [1, 1, 0, 0],
            [0, 1, 0, 0],  # not offensive
            [UNKNOWN, 1, 0, 0],
            [1, UNKNOWN, UNKNOWN, UNKNOWN],
            [1, 0, 0, 0],  # at none of the three
            [0.6, 0.1, 0.7, 0.2],
        ]
    )
    scores = np.tile([0.1, 0.2, 0.8, 0.1], (6, 1))
    [result] = measure_levels([AIM], CATEGORIES, scores, labels, {})
    assert result.confusion == ((0, 1, 0), (0, 1, 0), (0, 0, 0))


def test_a_class_that_never_occurs_has_no_f1_and_is_not_in_the_mean() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=float)
    [result] = measure_levels([AIM], CATEGORIES, labels, labels, {})
    assert result.f1 == {"individual": 1.0, "group": 1.0}
    assert result.macro_f1 is not None
    assert result.macro_f1.value == 1


def test_the_interval_holds_the_figure() -> None:
    labels = column(*([1, 1, 0, 0, 0] * 20))
    scores = column(*([0.9, 0.3, 0.7, 0.2, 0.1] * 20))
    [result] = measure_levels([OFFENSIVE], ["offensive"], scores, labels, {"A": 0.5})
    assert result.macro_f1 is not None
    assert result.macro_f1.interval is not None
    low, high = result.macro_f1.interval
    assert 0.4 < low < result.macro_f1.value == 0.5833 < high < 0.75


def test_a_level_that_no_text_is_known_for_has_no_figures() -> None:
    nothing = np.full((3, 4), UNKNOWN)
    fitted = fit_levels([OFFENSIVE], CATEGORIES, np.zeros((3, 4)), nothing)
    results = measure_levels([OFFENSIVE, AIM], CATEGORIES, np.zeros((3, 4)), nothing, fitted)
    assert fitted == {"A": 0.5}
    assert [(result.rows, result.macro_f1, result.f1) for result in results] == [(0, None, {})] * 2


def test_the_table_has_a_line_for_each_level_and_class() -> None:
    labels = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=float)
    table = levels_table(measure_levels([OFFENSIVE, AIM], CATEGORIES, labels, labels, {"A": 0.5}))
    assert table.rows == (
        ("level A: macro-F1", 2, 1.0, 1.0, 1.0),
        ("level A: F1 of not offensive", 1, 1.0, None, None),
        ("level A: F1 of offensive", 1, 1.0, None, None),
        ("level C: macro-F1", 1, 1.0, 1.0, 1.0),
        ("level C: F1 of individual", 1, 1.0, None, None),
        ("level C: F1 of group", 0, None, None, None),
        ("level C: F1 of other", 0, None, None, None),
    )


def test_a_rare_category_wins_where_its_score_is_high_for_it() -> None:
    scores = np.array([[0.9, 0.8, 0.1, 0.0]] * 8 + [[0.9, 0.7, 0.4, 0.0]] * 2)
    labels = np.array([[1, 1, 0, 0]] * 8 + [[1, 0, 1, 0]] * 2, dtype=float)
    scales = fit_scales([AIM, OFFENSIVE], CATEGORIES, scores, labels)
    [plain] = measure_levels([AIM], CATEGORIES, scores, labels, {})
    [scaled] = measure_levels([AIM], CATEGORIES, scores / scales, labels, {})
    assert plain.f1 == {"individual": 0.8889, "group": 0.0}
    assert scaled.f1 == {"individual": 1.0, "group": 1.0}
    assert scales[0] == 1.0
