"""Evaluation: texts are judged as they are served, and what is told of them can be reckoned by hand."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from moderato.artifact import Calibration, Category, Problem
from moderato.scorer import Scorer
from tests.training.made import HARM, STARTER, evaluated, held_out, judged, manifest, recipe
from training.config import RecipeError, Target
from training.dataset import Row
from training.evaluate import evaluate, judge
from training.evaluation import read_metrics, write_metrics

UNKNOWN = float("nan")


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """The starter's graph, uncalibrated."""
    plain = tuple(Category(name, None, None, Calibration(1.0, 0.0)) for name in HARM)
    return Scorer.open(STARTER, msgspec.structs.replace(manifest(recipe()), categories=plain))


def test_texts_are_judged_by_what_the_scorer_pools(scorer: Scorer) -> None:
    long = "You absolute moron. " + "The library opens at nine on weekdays. " * 40
    rows = [
        Row("1", long, dict.fromkeys(HARM, 1.0), "made", "test", True),
        Row("2", "Thanks!", {}, "made", "test", True),
    ]
    found = judge(scorer, rows)
    assert found.logits.tolist() == [scorer.pooled(row.text) for row in rows]
    assert len(scorer.windows(long)) > 1


def test_labels_come_in_the_order_of_the_model_and_unknown_ones_stay_unknown(scorer: Scorer) -> None:
    labels = {"threat": 1.0, "toxicity": 0.25, "insult": None}
    found = judge(scorer, [Row("1", "Thanks!", labels, "made", "test", True)])
    assert found.labels[0].tolist() == pytest.approx([0.25, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 1.0], nan_ok=True)


def test_nothing_to_judge_is_nothing_judged(scorer: Scorer) -> None:
    assert judge(scorer, []).logits.shape == (0, 6)


def test_a_share_of_votes_counts_as_positive_from_one_half() -> None:
    bits = judged([[0.0]] * 3, [[0.5], [0.49], [UNKNOWN]]).bits
    assert bits.ravel().tolist() == pytest.approx([1, 0, UNKNOWN], nan_ok=True)


def test_a_category_is_measured_at_its_review_threshold() -> None:
    # Twelve texts: 3 of 4 with logit 3 are positive, none of the others.
    texts = judged([[3, -3]] * 4 + [[-3, 3]] * 8, [[1, 0]] * 3 + [[0, 0]] + [[0, 1]] * 8, copies=10)
    targets = {"insult": Target(review_precision=0.7, block_precision=0.9)}
    insult, news = evaluated(recipe(targets=targets), held_out(texts)).categories
    assert (insult.acts, insult.reached, news.acts, news.reached) == (True, True, False, None)
    assert (insult.test.flagged, insult.test.right, insult.test.positives, insult.test.rows) == (40, 30, 30, 120)
    assert (insult.precision.value, insult.recall.value) == (0.75, 1.0)
    assert insult.f1.value == pytest.approx(6 / 7, abs=1e-4)
    assert insult.false_positive_rate.value == pytest.approx(1 / 9, abs=1e-4)
    assert insult.block is None
    # Of 90 negative texts 80 score below the positive ones, and 10 as they do.
    assert insult.roc_auc.value == pytest.approx(85 / 90, abs=1e-4)


def test_a_target_out_of_reach_is_told() -> None:
    texts = judged([[3]] * 4 + [[-3]] * 8, [[1]] * 2 + [[0]] * 10, copies=10)
    made = recipe(Problem.BINARY, ["insult"], {"insult": Target(review_precision=0.9, block_precision=0.95)})
    evaluation = evaluated(made, held_out(texts))
    assert evaluation.categories[0].reached is False
    assert evaluation.warnings == (
        (
            "insult: no threshold reached a precision of 0.90 on validation; review begins where F1 was highest, "
            "at a precision of 0.50"
        ),
        "insult: no threshold reached a precision of 0.95 on enough texts of validation, so nothing is blocked",
    )


def test_scores_that_are_no_probabilities_are_told() -> None:
    validation = judged([[2], [-2]], [[1], [0]], copies=50)
    test = judged([[2], [2], [-2]], [[1], [0], [0]], copies=50)
    warnings = evaluated(recipe(Problem.BINARY, ["insult"]), held_out(validation, test)).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("insult: the expected calibration error is 0.3")


def test_calibration_is_measured_before_and_after() -> None:
    # sigmoid(2) = 0.88 where three in four are positive: 0.13 off before, next to nothing after.
    texts = judged([[2], [2], [2], [2], [-2], [-2], [-2], [-2]], [[1], [1], [1], [0], [1], [0], [0], [0]], copies=100)
    found = evaluated(recipe(Problem.BINARY, ["insult"]), held_out(texts)).categories[0]
    assert found.calibration_error_before == pytest.approx(0.8808 - 0.75, abs=1e-3)
    assert found.calibration_error <= 0.005


def test_a_single_label_text_is_of_the_category_with_the_highest_score() -> None:
    logits = [[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 1.0, 2.0], [1.0, 0.0, 0.0]]
    labels = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    made = recipe(Problem.SINGLE_LABEL, ["world", "sports", "science"])
    evaluation = evaluated(made, held_out(judged(logits, labels, copies=10)))
    assert evaluation.confusion_matrix == ((10, 0, 0), (0, 10, 0), (10, 0, 10))
    assert evaluation.overall.accuracy is not None
    assert evaluation.overall.accuracy.value == 0.75
    assert evaluation.overall.macro_f1.value == pytest.approx((2 / 3 + 1 + 2 / 3) / 3, abs=1e-4)
    # Gorodkin's formula by hand: (30 * 40 - 500) / sqrt((1600 - 600) * (1600 - 600)).
    assert evaluation.overall.matthews is not None
    assert evaluation.overall.matthews.value == 0.7
    world, _, science = evaluation.categories
    assert (world.precision.value, science.recall.value) == (0.5, 0.5)


def test_a_binary_model_is_measured_on_both_classes() -> None:
    logits, labels = [[3], [3], [3], [-3]], [[1], [1], [0], [0]]
    evaluation = evaluated(recipe(Problem.BINARY, ["insult"]), held_out(judged(logits, labels, copies=10)))
    assert evaluation.overall.accuracy is not None
    assert evaluation.overall.accuracy.value == 0.75
    assert evaluation.overall.macro_f1.value == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-4)


def test_the_mean_over_categories_has_an_interval_of_its_own() -> None:
    texts = judged([[3, 0], [1, 0], [2, 0], [0, 0]], [[1, 1], [1, 0], [0, 1], [0, 0]], copies=25)
    evaluation = evaluated(recipe(), held_out(texts), resamples=200)
    mean = evaluation.overall.mean_roc_auc
    assert [each.roc_auc.value for each in evaluation.categories] == [0.75, 0.5]
    assert mean.value == 0.625
    assert mean.interval is not None
    assert 0.5 < mean.interval[0] < 0.625 < mean.interval[1] < 0.75


def test_a_category_of_one_class_is_named_and_left_out() -> None:
    validation = judged([[1, 1], [0, 0]], [[1, 1], [0, 0]], copies=10)
    test = judged([[1, 1], [0, 0]], [[1, 0], [0, UNKNOWN]], copies=10)
    evaluation = evaluated(recipe(), held_out(validation, test))
    assert [each.name for each in evaluation.categories] == ["insult"]
    assert evaluation.unmeasured == ("news",)
    assert evaluation.warnings[0] == "news: the held-out texts are of one class only, so nothing could be measured"


def test_texts_that_are_not_natural_count_by_source_only() -> None:
    texts = held_out(judged([[3], [-3]], [[1], [0]], copies=10))
    rows = [
        msgspec.convert(vars(row) | {"natural": number < 10, "source": "natural" if number < 10 else "sampled"}, Row)
        for number, row in enumerate(texts.rows)
    ]
    mixed = type(texts)(texts.validation, texts.test, rows)
    evaluation = evaluated(recipe(Problem.BINARY, ["insult"]), mixed)
    assert evaluation.rows == evaluation.categories[0].test.rows == 10
    assert {each.name: each.rows for each in evaluation.slices if each.kind == "source"} == {
        "natural": 10,
        "sampled": 10,
    }


def test_where_nothing_can_be_measured_the_recipe_is_named() -> None:
    made = recipe(Problem.BINARY, ["insult"])
    plain = msgspec.structs.replace(manifest(made), categories=(Category("insult", None, None, Calibration(1.0, 0.0)),))
    with pytest.raises(RecipeError, match=r"made\.toml: no category has both kinds of text held out"):
        evaluate(made, plain, held_out(judged([[1], [0]], [[1], [1]])))


def test_what_was_measured_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    texts = held_out(judged([[3, 1], [-3, 2], [1, 1]], [[1, 0], [0, 1], [UNKNOWN, 0]], copies=10))
    evaluation = evaluated(recipe(targets={"insult": Target(review_precision=0.5)}), texts)
    write_metrics(evaluation, tmp_path / "metrics.json")
    assert read_metrics(tmp_path / "metrics.json") == evaluation
    assert not np.isnan(evaluation.overall.mean_roc_auc.value)
