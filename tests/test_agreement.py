"""Agreement and intervals, against values worked out by hand or published."""

import subprocess
import sys

import pytest

from moderato.agreement import (
    agreement_with_labels,
    alpha,
    pairwise_agreement,
    weighted_share,
    wilson,
)


def test_agreement_is_the_share_of_answers_that_equal_the_label_in_every_category() -> None:
    pairs: list[tuple[list[str], dict[str, bool | None]]] = [
        (["insult"], {"insult": True, "threat": False}),
        (["insult"], {"insult": True, "threat": True}),
        ([], {"insult": False, "threat": None}),
        (["threat"], {"insult": False, "threat": False}),
    ]
    assert agreement_with_labels(pairs) == 0.5


def test_agreement_is_unknown_as_long_as_nothing_is_settled() -> None:
    assert agreement_with_labels([]) is None


def test_pairs_agree_where_they_chose_the_same_categories_of_shared_reviews() -> None:
    answers: dict[str, dict[str, list[str]]] = {
        "r_1": {"ann": ["insult"], "ben": ["insult"], "cem": []},
        "r_2": {"ann": ["threat", "insult"], "ben": ["insult", "threat"]},
        "r_3": {"ann": [], "ben": ["insult"]},
        "r_4": {"cem": []},
    }
    assert pairwise_agreement(answers) == {("ann", "ben"): 2 / 3, ("ann", "cem"): 0.0, ("ben", "cem"): 0.0}


def test_alpha_is_1_where_all_agree_and_both_answers_occur() -> None:
    answers: dict[str, dict[str, list[str]]] = {
        "r_1": {"ann": ["insult"], "ben": ["insult"]},
        "r_2": {"ann": [], "ben": []},
    }
    assert alpha(answers, "insult") == 1.0


def test_alpha_of_two_coders_and_ten_units_is_that_of_the_textbook() -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section A: alpha = 0.095.
    first, second = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    answers = {
        f"r_{number}": {"jon": ["insult"] if one else [], "han": ["insult"] if other else []}
        for number, (one, other) in enumerate(zip(first, second, strict=True))
    }
    assert alpha(answers, "insult") == pytest.approx(0.095, abs=0.0005)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"r_1": {"ann": ["insult"]}, "r_2": {"ben": []}},
        {"r_1": {"ann": [], "ben": []}, "r_2": {"ann": [], "ben": []}},
    ],
    ids=["no answers", "no shared review", "only one value"],
)
def test_alpha_is_unknown_where_it_is_not_defined(answers: dict[str, dict[str, list[str]]]) -> None:
    assert alpha(answers, "insult") is None


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(hits: int, count: int, low: float, high: float) -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3: 81/263, 15/148, 0/20, 1/29.
    interval = wilson(hits / count, count)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.00006)


def test_a_sample_of_one_probability_gives_the_plain_share() -> None:
    draws = [(True, 0.01)] * 15 + [(False, 0.01)] * 133
    share = weighted_share(draws)
    assert share is not None
    assert share.count == 148
    assert share.share == pytest.approx(15 / 148)
    assert (share.interval.low, share.interval.high) == pytest.approx((0.0624, 0.1605), abs=0.00006)


def test_a_draw_counts_for_all_that_it_stands_for() -> None:
    # 10 harmful of 100 drawn at 1 in 10, 0 of 10 drawn at 1 in 100: 100 of 2,000 texts, not 10 of 110.
    share = weighted_share([(True, 0.1)] * 10 + [(False, 0.1)] * 90 + [(False, 0.01)] * 10)
    assert share is not None
    assert share.share == pytest.approx(0.05)
    # Weights 10 and 100: (100 * 10 + 10 * 100)^2 / (100 * 10^2 + 10 * 100^2) = 36.36 effective draws.
    expected = wilson(0.05, 36.363636)
    assert (share.interval.low, share.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_without_draws_there_is_no_share() -> None:
    assert weighted_share([]) is None


def test_nobody_pays_for_alpha_who_does_not_ask_for_it() -> None:
    program = "import sys, feedback.app; print('numpy' in sys.modules, 'krippendorff' in sys.modules)"
    path = {"PYTHONPATH": "functions"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=path)
    assert done.stdout.split() == ["False", "False"]
