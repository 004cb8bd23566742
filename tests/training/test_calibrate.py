"""Calibration and thresholds: the lowest score that is precise enough, and one sentence where there is none to find."""

import math

import numpy as np
import pytest

from moderato.artifact import Problem
from tests.training.made import recipe
from training.calibrate import PLAIN, best_f1, calibrated, fit, lowest_precise
from training.config import RecipeError, Target
from training.figures import Floats

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.2])
LABELS = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])


def test_of_the_precise_thresholds_the_lowest_finds_most() -> None:
    assert lowest_precise(SCORES, LABELS, 0.75, texts=1) == 0.6
    assert lowest_precise(SCORES, LABELS, 0.6, texts=1) == 0.5


def test_a_few_lucky_texts_make_no_threshold() -> None:
    assert lowest_precise(SCORES, LABELS, 0.9, texts=1) == 0.9
    assert lowest_precise(SCORES, LABELS, 0.9, texts=2) is None


def test_a_threshold_has_four_decimals_and_holds_the_text_it_was_chosen_by() -> None:
    assert lowest_precise(np.array([0.60009, 0.1]), np.array([1.0, 0.0]), 1.0, texts=1) == 0.6


def test_the_highest_f1_is_found() -> None:
    assert best_f1(SCORES, LABELS) == 0.6  # 3 of 4 right, and all 3 found


def test_an_unknown_label_is_not_chosen_by() -> None:
    scores, labels = np.array([*SCORES, 0.95]), np.array([*LABELS, np.nan])
    assert lowest_precise(scores, labels, 0.75, texts=1) == 0.6


def test_platt_scaling_learns_what_logits_are_worth() -> None:
    # Of the texts with logit 2 three in four are positive, of those with -2 one in four.
    logits, labels = _texts([(2, 1)] * 3 + [(2, 0)] + [(-2, 1)] + [(-2, 0)] * 3, copies=1000)
    calibration = fit(recipe(Problem.BINARY, ["insult"]), logits, labels)[0].calibration
    assert calibration.scale == pytest.approx(math.log(3) / 2, abs=0.01)
    assert calibration.shift == pytest.approx(0, abs=0.01)
    scores = calibrated(Problem.BINARY, [calibration], np.array([[2.0], [-2.0]]))
    assert scores.ravel().tolist() == pytest.approx([0.75, 0.25], abs=0.005)


def test_a_few_positive_texts_are_not_believed_without_bounds() -> None:
    # A perfect split would take an endless slope; Platt's targets for 2 and 6 texts are 3/4 and 1/8.
    logits, labels = _texts([(2, 1)] * 2 + [(-2, 0)] * 6, copies=1)
    calibration = fit(recipe(Problem.BINARY, ["insult"]), logits, labels)[0].calibration
    scores = calibrated(Problem.BINARY, [calibration], np.array([[2.0], [-2.0]]))
    assert scores.ravel().tolist() == pytest.approx([3 / 4, 1 / 8], abs=0.005)


def test_a_model_that_has_it_the_wrong_way_round_is_left_alone() -> None:
    logits, labels = _texts([(2, 0), (-2, 1)], copies=50)
    assert fit(recipe(Problem.BINARY, ["insult"]), logits, labels)[0].calibration == PLAIN


def test_one_temperature_serves_all_categories() -> None:
    # Logits say 98 %, three in four are right: softmax(scale * 4) = 0.75 at ln(3) / 4.
    logits = np.tile([[4.0, 0.0]], (400, 1))
    labels = np.tile([[1.0, 0.0]] * 3 + [[0.0, 1.0]], (100, 1))
    categories = fit(recipe(Problem.SINGLE_LABEL), logits, labels)
    assert {category.calibration.scale for category in categories} == {categories[0].calibration.scale}
    assert categories[0].calibration.scale == pytest.approx(math.log(3) / 4, abs=0.001)
    assert [category.calibration.shift for category in categories] == [0.0, 0.0]


def test_a_category_without_a_target_never_acts() -> None:
    logits, labels = _texts([(3, 1), (-3, 0)], copies=50)
    made = recipe(Problem.BINARY, ["insult"], {"insult": Target(review_precision=0.9)})
    assert fit(made, logits, labels)[0].review is not None
    assert fit(recipe(Problem.BINARY, ["insult"]), logits, labels)[0].review is None


def test_a_target_out_of_reach_gives_the_highest_f1() -> None:
    # At best 30 of 60 flagged texts are right, at the higher of two scores.
    logits, labels = _texts([(1, 1)] * 3 + [(1, 0)] * 3 + [(-1, 0)] * 4, copies=10)
    made = recipe(Problem.BINARY, ["insult"], {"insult": Target(review_precision=0.9, block_precision=0.95)})
    category = fit(made, logits, labels)[0]
    scores = calibrated(Problem.BINARY, [category.calibration], np.array([[1.0], [-1.0]])).ravel()
    assert category.review is not None
    assert scores[1] < category.review <= scores[0]
    assert category.block is None


@pytest.mark.parametrize(("sure", "blocks"), [(19, False), (20, True)])
def test_block_asks_for_twenty_texts(sure: int, blocks: bool) -> None:
    logits, labels = _texts([(4, 1)] * sure + [(0, 1), (0, 0)] * 30 + [(-4, 0)] * 30, copies=1)
    made = recipe(Problem.BINARY, ["insult"], {"insult": Target(review_precision=0.6, block_precision=0.95)})
    category = fit(made, logits, labels)[0]
    assert category.review is not None
    assert (category.block is not None) is blocks
    assert category.block is None or category.block > category.review


def test_without_validation_the_recipe_and_the_mend_are_named() -> None:
    with pytest.raises(RecipeError, match=r"made\.toml: no text of a natural source is in validation; raise"):
        fit(recipe(), np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.mark.parametrize(("label", "kind"), [(0.0, "positive"), (1.0, "negative")])
def test_a_category_with_one_kind_of_text_is_named(label: float, kind: str) -> None:
    labels = np.array([[1.0, label], [0.0, label], [0.0, np.nan]])
    with pytest.raises(RecipeError, match=rf"made\.toml: category 'news' has no {kind} text in validation"):
        fit(recipe(), np.zeros((3, 2)), labels)


def test_a_topic_without_a_target_may_be_missing_from_validation() -> None:
    labels = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    categories = fit(recipe(Problem.SINGLE_LABEL, ["world", "sports", "rare"]), labels * 2, labels)
    assert [category.review for category in categories] == [None, None, None]


def _texts(pairs: list[tuple[int, int]], copies: int) -> tuple[Floats, Floats]:
    """Logits and labels (text, 1) of so many copies of each pair."""
    table = np.tile(np.array(pairs, dtype=float), (copies, 1))
    return table[:, :1], table[:, 1:]
