"""Near-duplicates: texts that are almost a held-out text leave the training rows, all of them and nothing else."""

import random

import pytest

from training.duplicates import near_duplicates, repeats

HELD_OUT = "The committee will publish the minutes of its meeting on Thursday afternoon, as it always does."


def exact_likeness(one: str, other: str) -> float:
    """The Jaccard similarity of the sets of 5 letters in a row; for texts of small letters only."""
    grams = [{text[start : start + 5] for start in range(len(text) - 4)} for text in (one, other)]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_a_copy_with_another_ending_is_found() -> None:
    training = ["Quite another matter altogether, without a word in common.", HELD_OUT + " So be it."]
    assert near_duplicates([HELD_OUT], training) == [1]


def test_case_spaces_punctuation_and_kinds_of_letters_are_not_seen() -> None:
    full_width = HELD_OUT.upper().translate({code: code + 0xFEE0 for code in range(ord("A"), ord("Z") + 1)})
    assert near_duplicates([HELD_OUT], ["\u200b".join(full_width.replace(" ", " - "))], threshold=1) == [0]


def test_texts_that_share_only_what_is_common_are_found_too() -> None:
    common = "abcdefghijklmnopqrstuvwxyz"  # 22 sets of five letters, which are in two of the held-out texts
    held_out = [common + "1", "98765432109876543210" + common]
    assert near_duplicates(held_out, [common + "2"], threshold=22 / 24) == [0]


def test_likeness_is_that_of_the_sets_of_five_letters() -> None:
    held_out = "abcdefghijklmnopqrstuvwxyz"  # 22 sets of five letters in a row
    half = held_out[:24] + "1234"  # 24 sets, of which 20 are shared: 20 / 26
    assert near_duplicates([held_out], [half], threshold=20 / 26) == [0]
    assert near_duplicates([held_out], [half], threshold=20 / 26 + 0.001) == []


def test_templates_with_another_term_are_other_texts() -> None:
    assert (
        near_duplicates(["hug lesbian", "Being a lesbian is wonderful"], ["hug gay", "Being a muslim is wonderful"])
        == []
    )


def test_short_texts_are_alike_only_where_their_letters_are_equal() -> None:
    assert near_duplicates(
        ["Thank you so much"], ["thank you so much!", "thank you very much", "thank you so mucho"]
    ) == [0]


def test_a_part_of_a_held_out_text_is_not_like_it() -> None:
    assert (
        near_duplicates([HELD_OUT], [HELD_OUT[:40], HELD_OUT * 3 + "And so on for as long as it takes, and longer."])
        == []
    )


def test_no_pair_is_missed() -> None:
    chance = random.Random(20)
    held_out = ["".join(chance.choices("abcdefghijkl", k=chance.randint(25, 60))) for _ in range(60)]
    training = ["".join(_changed(chance, text, changes)) for text in held_out for changes in (1, 2, 3, 5, 8)]
    for threshold in (0.5, 0.7, 0.8, 0.9):
        expected = [
            number
            for number, text in enumerate(training)
            if max(exact_likeness(text, other) for other in held_out) >= threshold
        ]
        assert 0 < len(expected) < len(training)
        assert near_duplicates(held_out, training, threshold) == expected


@pytest.mark.parametrize("threshold", [0, -0.5, 1.1, float("nan")])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates([HELD_OUT], [HELD_OUT], threshold)


def test_nothing_is_like_nothing() -> None:
    assert near_duplicates([], [HELD_OUT]) == []
    assert near_duplicates([HELD_OUT], []) == []
    assert near_duplicates(["", "?!"], ["", "?!"]) == []


def _changed(chance: random.Random, text: str, changes: int) -> list[str]:
    letters = list(text)
    for place in chance.sample(range(len(letters)), changes):
        letters[place] = chance.choice("mnop")
    return letters


def test_of_texts_that_are_alike_the_first_stands() -> None:
    other = "Quite another matter altogether, without a word in common."
    assert repeats([HELD_OUT, other, HELD_OUT.upper() + " Yes.", "No!", "no", HELD_OUT]) == [2, 4, 5]


def test_what_only_a_repeat_is_like_stands_too() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"  # 22 sets of five letters; 26 and 30 in the other two: 22/26, 26/30, 22/30
    assert repeats([letters, letters + "1234", letters + "12345678"]) == [1]
