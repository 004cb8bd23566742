"""Bias: each term's areas and rates by hand, and what a model was trained on is kept apart from what is new to it."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from moderato.scorer import Scorer
from training.bias import (
    HARMFUL_SENTENCES,
    HELD_OUT_TERMS,
    KIND_SENTENCES,
    TERMS,
    Judged,
    Phrase,
    as_evaluation,
    measure_bias,
    read_phrases,
    report_bias,
    sample,
    sentences,
    subsets,
    terms_in,
)
from training.counterexamples import TEMPLATES, load_grammar
from training.dataset import content_hash


def judged(*phrases: tuple[str, bool, float]) -> list[Judged]:
    """Return phrases with their scores; from 0.5 a phrase is flagged."""
    return [Judged(Phrase(text, is_toxic), score, score >= 0.5) for text, is_toxic, score in phrases]


def texts_of(phrases: Sequence[Phrase]) -> list[str]:
    """Return the texts."""
    return [phrase.text for phrase in phrases]


FOUND = judged(
    ("a kind deaf man", False, 0.1),
    ("a deaf friend", False, 0.6),
    ("deaf scum", True, 0.4),
    ("vile deaf person", True, 0.9),
    ("an old friend", False, 0.2),
    ("old and kind", False, 0.3),
    ("old and loud", False, 0.7),
    ("an old boat", False, 0.25),
    ("old trash", True, 0.5),
)


def test_the_areas_and_rates_of_a_term() -> None:
    deaf = report_bias(FOUND, ["deaf", "old"], "insult").terms[0]
    assert (deaf.term, deaf.phrases) == ("deaf", 4)
    assert deaf.subgroup_auc == 0.75  # of 0.4 and 0.9 against 0.1 and 0.6, only 0.4 against 0.6 is wrong
    assert deaf.bpsn_auc == 0.5  # the others' 0.5 is above 0.1 and below 0.6
    assert (
        deaf.bnsp_auc == 0.875
    )  # 0.4 and 0.9 against the others' 0.2, 0.25, 0.3 and 0.7: only 0.4 against 0.7 is wrong
    assert (deaf.false_positive_rate, deaf.false_negative_rate) == (0.5, 0.5)


def test_every_term_counts_the_same_in_the_mean_and_the_gap_is_worst_minus_best() -> None:
    report = report_bias(FOUND, ["old", "deaf", "blind"], "insult")
    assert [bias.term for bias in report.terms] == ["deaf", "old"]
    assert (report.category, report.phrases) == ("insult", 9)
    assert (report.mean_false_positive_rate, report.false_positive_gap) == (0.375, 0.25)


def test_a_side_without_phrases_has_no_figure() -> None:
    report = report_bias(judged(("deaf scum", True, 0.9)), ["deaf"], "insult")
    assert report.terms[0].subgroup_auc is None
    assert report.terms[0].false_positive_rate is None
    assert report.terms[0].false_negative_rate == 0
    assert report.mean_false_positive_rate is None
    assert as_evaluation(report, "by hand").terms == ()


def test_an_evaluation_holds_the_same_figures() -> None:
    held = as_evaluation(report_bias(FOUND, ["deaf", "old"], "insult"), "by hand")
    assert (held.category, held.data, held.mean_false_positive_rate, held.gap) == ("insult", "by hand", 0.375, 0.25)
    assert (held.terms[0].rows, held.terms[0].bpsn_auc) == (4, 0.5)


def test_a_term_is_a_whole_word_and_the_longer_one_wins() -> None:
    assert terms_in("An African American in his old Mansion", TERMS) == {"african american", "old"}
    assert terms_in("transport", ["trans"]) == frozenset()


def test_a_sample_is_the_same_each_time_and_half_kind() -> None:
    phrases = [Phrase(f"deaf person number {n}", is_toxic=n < 30) for n in range(50)]
    chosen = sample(phrases, ["deaf"], 20)
    assert sum(phrase.is_toxic for phrase in chosen) == 10
    assert len(chosen) == 20
    assert chosen == sample(phrases[::-1], ["deaf"], 20)


def test_phrases_are_read_as_they_are_distributed(tmp_path: Path) -> None:
    path = tmp_path / "phrases.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows(
            [["template", "toxicity", "phrase"], ["t1", "toxic", "deaf fool"], ["t2", "nontoxic", "deaf, kind"]]
        )
    assert read_phrases(path) == [Phrase("deaf fool", True, "t1"), Phrase("deaf, kind", False, "t2")]


def test_trained_phrases_are_left_out_and_new_terms_and_templates_stand_apart() -> None:
    phrases = [
        Phrase("a kind deaf person", False, "name_adj"),
        Phrase("a nice deaf person", False, "name_adj"),
        Phrase("a kind taoist", False, "name_adj"),
        Phrase("being deaf is fine", False, "being_adj"),
    ]
    found = subsets(phrases, {content_hash("A kind deaf person!")})
    assert {name: texts_of(chosen) for name, chosen in found.items()} == {
        "new phrases": ["a nice deaf person"],
        "new terms": ["a kind taoist"],
        "new templates": ["being deaf is fine"],
    }


def test_held_out_terms_are_in_no_counterexample() -> None:
    grammar = load_grammar(TEMPLATES)
    named = [word for plural, forms in grammar.groups.items() for word in (plural, *forms)]
    assert [word for word in named if terms_in(word, HELD_OUT_TERMS)] == []


@pytest.mark.parametrize("sentence", [*KIND_SENTENCES, *HARMFUL_SENTENCES])
def test_our_own_sentences_name_one_term(sentence: str) -> None:
    assert terms_in(sentence.format(term="sikh"), TERMS) == {"sikh"}


def test_our_own_sentences_are_measured_with_the_model_and_its_policy(scorer: Scorer) -> None:
    report = measure_bias(scorer, sentences(["deaf", "muslim"]), ["deaf", "muslim"], at_most=20)
    assert [(bias.term, bias.phrases) for bias in report.terms] == [("deaf", 20), ("muslim", 20)]
    assert all((bias.subgroup_auc or 0) > 0.8 for bias in report.terms)
