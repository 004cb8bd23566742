"""The list of known words: what of the training rows gets into it."""

from training.dataset import Row
from training.lexicon import collect_words


def rows(text: str, harm: float, count: int) -> list[Row]:
    """Return as many rows with this text and label."""
    return [Row(str(number), text, {"insult": harm}, "own", "train", natural=True) for number in range(count)]


def test_frequent_words_come_first_and_the_vocabulary_behind() -> None:
    words = collect_words(
        [*rows("garden", 0, 30), *rows("tulip", 0, 10), *rows("rare", 0, 4)], ["##x", "zebra", "ab"], []
    )
    assert words[:2] == ["garden", "tulip"]
    assert words[-1] == "zebra"
    assert "rare" not in words
    assert "ab" not in words


def test_a_misspelled_harmful_word_is_not_learned_as_a_word_but_an_innocent_neighbour_is() -> None:
    texts = [*rows("blockhed", 1, 25), *rows("blockheat", 0, 25), *rows("other", 1, 25)]
    words = collect_words(texts, [], ["blockhead"])
    assert "blockhed" not in words
    assert "blockheat" in words
