"""Character tricks: what they do to words, and which rows training makes with them."""

import random
from collections.abc import Callable

import pytest

from moderato.text import fold, normalize
from training.dataset import Row
from training.tricks import MAX_WORDS, TRAINED, TRICKS, augment, disguise, find_words, telling_ratios


def row(text: str, harm: float | None, number: int = 0) -> Row:
    """Return a training row of one category."""
    return Row(str(number), text, {"insult": harm}, "own", "train", natural=True)


ROWS = [row(f"You are a dreadful blockhead, says a friend who is {n}", 1.0, n) for n in range(30)] + [
    row(f"A friend came to see the garden of house {100 + n}", 0.0, 100 + n) for n in range(60)
]


def test_there_are_families_to_train_with_and_unseen_ones_to_measure_with() -> None:
    assert set(TRICKS) > TRAINED
    assert set(TRICKS) - TRAINED >= {"look-alikes", "zero-width", "case"}


@pytest.mark.parametrize("family", sorted(set(TRICKS) - {"joined"}))
def test_every_family_disguises_a_word_and_leaves_the_others(family: str) -> None:
    disguised = {disguise("what a Blockhead, truly", family, random.Random(seed), [(7, 16)]) for seed in range(20)}
    assert any(text != "what a Blockhead, truly" for text in disguised)
    assert all(text.startswith("what a ") and text.endswith(", truly") for text in disguised)


@pytest.mark.parametrize("family", sorted(set(TRICKS) - {"joined"}))
@pytest.mark.parametrize("word", ["Zzz", "fly", "rhythm", "l'été", "naïf", "ABC"])
def test_no_family_chokes_on_an_odd_word(family: str, word: str) -> None:
    for seed in range(10):
        assert TRICKS[family](word, random.Random(seed))


@pytest.mark.parametrize(
    ("family", "is_plain"),
    [
        ("zero-width", lambda text: normalize(text).text == "you blockhead"),
        ("styles", lambda text: normalize(text).text.lower() == "you blockhead"),
        ("look-alikes", lambda text: normalize(text).text.lower() == "you blockhead"),
        ("spacing", lambda text: normalize(text).text == "you block head"),
    ],
)
def test_what_a_reader_does_not_notice_the_clean_view_undoes(family: str, is_plain: Callable[[str], bool]) -> None:
    for seed in range(30):
        text = disguise("you blockhead", family, random.Random(seed), [(4, 13)])
        assert is_plain(text), text


@pytest.mark.parametrize("family", ["leet", "stars", "split", "swapped", "joined"])
def test_the_folded_view_undoes_most_of_the_rest(family: str) -> None:
    texts = [disguise("such an idiot", family, random.Random(seed), [(8, 13)]) for seed in range(40)]
    views = [fold(normalize(text)) for text in texts]
    found = sum("idiot" in (view.text if view else text) for view, text in zip(views, texts, strict=True))
    assert found >= 30


def test_a_word_is_joined_with_the_one_before_it() -> None:
    assert disguise("you old blockhead", "joined", random.Random(1), [(8, 17)]) == "you oldblockhead"
    assert disguise("blockhead", "joined", random.Random(1), [(0, 9)]) == "blockhead"


def test_words_of_three_letters_or_more_are_disguised() -> None:
    text = "I am an old man, aren't I? Ça été"
    assert [text[slice(*word)] for word in find_words(text)] == ["old", "man", "aren't", "été"]


def test_the_words_that_tell_are_those_of_harmful_rows() -> None:
    ratios = telling_ratios(ROWS)
    assert ratios["blockhead"] == 11  # (30 + 3) / (0 + 3)
    assert ratios["friend"] == (30 + 3) / (60 / 2 + 3)
    assert "garden" not in ratios
    assert telling_ratios([row("a blockhead", 1.0)]) == {}
    assert telling_ratios([row("a blockhead", None)]) == {}


def test_augmented_rows_keep_their_labels_and_say_what_they_are() -> None:
    made = augment(ROWS, share=0.5, seed=7)
    assert 40 <= len(made) <= 45
    assert {other.source for other in made} == {"trick"}
    assert not any(other.natural for other in made)
    assert len({other.id for other in made}) == len(made)
    for other in made:
        assert other.id.startswith("trick-")
        assert other.labels == {"insult": 0.0 if int(other.text.split()[-1]) >= 100 else 1.0}
        assert other.text not in {original.text for original in ROWS}


def test_harmful_and_harmless_rows_are_disguised_alike() -> None:
    made = augment(ROWS, share=1.0, seed=7)
    harmful = sum(other.labels["insult"] == 1 for other in made)
    assert 0.25 <= harmful / len(made) <= 0.42  # a third of the rows are harmful


def test_the_telling_words_are_disguised_more_often_than_others() -> None:
    made = [other.text for other in augment(ROWS, share=1.0, seed=7) if other.labels["insult"] == 1]
    assert sum("blockhead" not in text for text in made) > sum("friend" not in text for text in made)


def test_a_share_above_one_gives_every_row_more_than_once() -> None:
    assert len(augment(ROWS, share=2.5, seed=1)) > 200


def test_the_same_seed_gives_the_same_rows() -> None:
    assert augment(ROWS, 0.5, seed=3) == augment(ROWS, 0.5, seed=3)
    assert augment(ROWS, 0.5, seed=3) != augment(ROWS, 0.5, seed=4)


def test_nothing_comes_of_nothing() -> None:
    assert augment([], share=1.0, seed=1) == []
    assert augment([row("!!! 123", 0.0)], share=1.0, seed=1) == []


def test_at_most_four_words_of_a_row_are_disguised() -> None:
    long = row(" ".join(["friend"] * 30), 1.0)
    for seed in range(20):
        for other in augment([long], share=1.0, seed=seed):
            assert other.text.count("friend") >= 30 - 2 * MAX_WORDS
