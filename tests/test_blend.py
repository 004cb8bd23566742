"""Blends: abuse among kind sentences, with the labels of the abuse."""

from training.blend import MAX_CHARACTERS, blend
from training.dataset import Row
from training.sources import Labels

KIND: Labels = {"insult": 0, "threat": 0}
HARMLESS = [Row(f"h{n}", f"A kind remark number {n}.", KIND, "natural", "train", natural=True) for n in range(30)]
INSULT = Row("i", "You fool!", {"insult": 1, "threat": None}, "other", "train", natural=False)


def test_two_of_three_blends_hold_the_harmful_text_and_its_labels() -> None:
    blends = blend([*HARMLESS, INSULT], 30, seed=1)
    harmful = [row for row in blends if "You fool!" in row.text]
    assert len(harmful) == 20
    assert all(row.labels == {"insult": 1, "threat": None} for row in harmful)
    assert all(row.labels == KIND for row in blends if row not in harmful)


def test_a_blend_fills_a_window_and_no_more() -> None:
    assert all(
        MAX_CHARACTERS - 60 < len(row.text) < MAX_CHARACTERS + 40 for row in blend([*HARMLESS, INSULT], 9, seed=1)
    )


def test_the_harmful_text_stands_anywhere() -> None:
    places = {
        row.text.index("You fool!") == 0 for row in blend([*HARMLESS, INSULT], 90, seed=1) if "You fool!" in row.text
    }
    assert places == {True, False}
