"""Which plain word a disguised one stands for, by a small lexicon."""

import pytest

from moderato.spelling import lexicon, make_lexicon

SMALL = make_lexicon(
    ["the", "you", "a", "is", "good", "god", "will", "duck", "state", "of", "hole", "dont"],
    ["idiot", "duckhead", "scum", "ass", "asshole", "kill"],
)


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("1d10t", "idiot"),
        ("k1ll", "kill"),
        ("w!ll", "will"),
        ("5c|_|m", "scum"),
        ("$t4te", "state"),
        ("iddddiiiot", "idiot"),
        ("asssshole", "asshole"),
        ("id*ot", "idiot"),
        ("s##m", "scum"),
        ("idoit", "idiot"),
        ("idit", "idiot"),
        ("idipt", "idiot"),
        ("azz", "ass"),
        ("youidiot", "you idiot"),
    ],
)
def test_a_disguised_word_is_read(token: str, word: str) -> None:
    assert SMALL.spell_out(token) == word


@pytest.mark.parametrize(
    "token", ["duck", "Duck", "good", "xyzzy", "2024", "b2", "mp3", "A320", "^_^", ":-)", "***", "", "1", "é" * 500]
)
def test_what_is_no_disguise_is_left_alone(token: str) -> None:
    assert SMALL.spell_out(token) is None


def test_an_innocent_word_wins_over_a_slip_of_a_harmful_one() -> None:
    assert make_lexicon(["scam"], ["scum"]).spell_out("scam") is None


def test_fragments_are_split_only_where_they_are_no_words_themselves() -> None:
    assert SMALL.is_split(["id", "iot"])
    assert not SMALL.is_split(["duck", "hole"])
    assert not make_lexicon(["ass", "hole"], ["asshole"]).is_split(["ass", "hole"])


def test_letters_are_cut_into_the_fewest_words() -> None:
    assert SMALL.cut("youisaidiot") == [3, 5, 6, 11]
    assert SMALL.cut("idiot") == [5]
    assert SMALL.cut("qqqq") is None


def test_a_harmful_word_is_known_as_one_in_any_disguise() -> None:
    assert SMALL.is_harmful("SCUM")
    assert SMALL.is_harmful("sc*m")
    assert not SMALL.is_harmful("duck")


def test_the_lexicon_that_is_shipped_knows_everyday_words_and_names() -> None:
    for word in ("Hello", "Scunthorpe", "assassin", "therapist", "Essex", "shitake", "night"):
        assert lexicon().spell_out(word) is None, word
