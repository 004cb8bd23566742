"""Spans: sentences of the original text that speak for a category."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from moderato.scorer import Scored, Scorer
from moderato.spans import MAX_SENTENCE_CHARACTERS, MAX_SPANS, locate, sentences

FRIENDLY = (Path(__file__).parent / "texts" / "friendly.txt").read_text().splitlines()
ABUSE = "You are a stupid fucking idiot and everybody hates you."
REVIEW = {"toxicity": 0.35}


def test_a_span_lies_on_the_abusive_sentence_of_a_long_text(scorer: Scorer) -> None:
    filler = " ".join(FRIENDLY * 12)[:9_970].rsplit(" ", 1)[0]
    text = f"{filler} {ABUSE} {filler}"
    spans = locate(scorer, text, scorer.score(text), REVIEW)
    assert any(ABUSE in text[span.start : span.end] for span in spans)


def test_a_text_below_the_threshold_has_no_spans(scorer: Scorer) -> None:
    assert locate(scorer, FRIENDLY[0], scorer.score(FRIENDLY[0]), {"insult": 0.5}) == []


def test_sentences_end_where_a_reader_says() -> None:
    text = "One. Two?  Three!\nfour"
    assert [text[start:end] for start, end in sentences(text)] == ["One.", "Two?", "Three!", "four"]


@given(st.text(max_size=700))
def test_every_visible_character_is_in_one_sentence(text: str) -> None:
    ranges = sentences(text)
    covered = [index for start, end in ranges for index in range(start, end)]
    assert len(covered) == len(set(covered))
    assert {index for index, character in enumerate(text) if not character.isspace()} <= set(covered)
    assert all(0 < end - start <= MAX_SENTENCE_CHARACTERS for start, end in ranges)


def test_a_text_of_thousands_of_insults_has_a_few_spans(scorer: Scorer) -> None:
    text = "Idiot. " * 2_000
    assert 0 < len(locate(scorer, text, scorer.score(text), REVIEW)) <= MAX_SPANS


def test_a_threshold_that_only_the_whole_text_reaches_has_its_strongest_sentence(scorer: Scorer) -> None:
    """A single-label model goes by the mean of the windows, which may be surer than each of them."""
    windows = scorer.score(f"{FRIENDLY[0]} {FRIENDLY[1]}").windows
    [span] = locate(scorer, f"{FRIENDLY[0]} {FRIENDLY[1]}", Scored({"threat": 0.95}, windows), {"threat": 0.9})
    assert span.category == "threat"
