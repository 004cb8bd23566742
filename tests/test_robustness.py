"""Robustness: what is measured, on a scorer that knows one harmful word."""

from typing import Any

import msgspec

from moderato.artifact import Manifest
from moderato.policy import default_policy
from moderato.scorer import Scored, Scorer
from moderato.text import VERSION, normalize
from training.evaluation import Robustness, Trick
from training.robustness import measure_robustness, telling_words
from training.tricks import TRAINED, TRICKS


class OneWordScorer(Scorer):
    """Flags what says "blockhead" in the clean view, whatever its case, and what has an exclamation mark."""

    def __init__(self) -> None:
        category: dict[str, Any] = {"review": 0.5, "block": None, "calibration": {"scale": 1, "shift": 0}}
        self.manifest = msgspec.convert(
            {
                "name": "one-word", "version": "1", "description": "", "created": "", "window_tokens": 128,
                "overlap_tokens": 32, "normalizer": VERSION, "encoder": {"name": "", "licence": ""}, "metrics": {},
                "files": {},
                "dataset": {"name": "", "version": "", "digest": ""},
                "categories": [{"name": "insult", **category}, {"name": "topic", **category, "review": None}],
            },
            Manifest,
        )  # fmt: skip

    def score(self, text: str) -> Scored:
        """A score near 1 or 0."""
        clean = normalize(text).text.lower()
        return Scored({"insult": 0.9 if "blockhead" in clean else 0.6 if "!" in clean else 0.1, "topic": 0.99}, [])


ABUSIVE = ["you are a blockhead", "what a blockhead he is", "a text that is not flagged"]
FRIENDLY = ["the garden is lovely today", "a fine day it was", "flagged as it is!"]


def test_each_family_is_measured_on_texts_that_were_judged_right_undisguised() -> None:
    results = measure_robustness(OneWordScorer(), ABUSIVE, FRIENDLY, seed=1)
    assert [result.family for result in results] == list(TRICKS)
    assert {(result.abusive_texts, result.friendly_texts) for result in results} == {(2, 2)}
    assert {result.family for result in results if result.is_trained} == TRAINED


def test_what_the_model_sees_through_is_still_flagged_and_what_it_does_not_is_not() -> None:
    results = {result.family: result for result in measure_robustness(OneWordScorer(), ABUSIVE, FRIENDLY, seed=1)}
    assert results["case"].still_flagged == results["zero-width"].still_flagged == 1
    assert results["dropped"].still_flagged == results["no vowels"].still_flagged == 0
    assert results["case"].newly_flagged == 0


def test_the_most_telling_word_is_among_the_two_that_are_disguised() -> None:
    scorer = OneWordScorer()
    text = "you are such a blockhead my old friend"
    found = telling_words(scorer, default_policy(scorer.manifest), text)
    assert len(found) == 2
    assert text[slice(*found[0])] == "blockhead"


def test_the_same_seed_measures_the_same() -> None:
    assert measure_robustness(OneWordScorer(), ABUSIVE, FRIENDLY, 5) == measure_robustness(
        OneWordScorer(), ABUSIVE, FRIENDLY, 5
    )


def test_the_mean_is_over_families() -> None:
    tricks = tuple(
        Trick(family=family, abusive_texts=10, still_flagged=share, friendly_texts=10, newly_flagged=0.0)
        for family, share in (("a", 1.0), ("b", 0.5))
    )
    assert Robustness(data="by hand", tricks=tricks).mean_still_flagged == 0.75


def test_without_texts_nothing_is_flagged() -> None:
    assert {result.still_flagged for result in measure_robustness(OneWordScorer(), [], [], 1)} == {0.0}
