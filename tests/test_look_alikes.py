"""The table of look-alikes: what may stand in it, and how it is made."""

import unicodedata

import pytest

from moderato.look_alikes import LETTERS
from training.look_alikes import make_table


@pytest.mark.parametrize(
    ("other", "letter"), [("а", "a"), ("ѕ", "s"), ("Ο", "O"), ("ɡ", "g"), ("ӏ", "l"), ("Ꭲ", "T"), ("🅱", "b")]
)
def test_a_look_alike_stands_for_its_letter(other: str, letter: str) -> None:
    assert LETTERS[ord(other)] == letter


def test_the_table_turns_characters_that_nfkc_leaves_into_latin_letters() -> None:
    for code, letter in LETTERS.items():
        assert letter.isascii()
        assert letter.isalpha()
        assert unicodedata.normalize("NFKC", chr(code)) == chr(code)
        assert unicodedata.category(chr(code)) not in ("Nd", "Mn", "Cf")
        assert unicodedata.bidirectional(chr(code)) not in ("R", "AL")


def test_the_table_is_made_of_confusables_names_and_what_people_write() -> None:
    table = make_table({"a": [{"c": "а"}, {"c": "𝐚"}], "o": [{"c": "٥"}], "ʙ": [{"c": "Ᏼ"}]})
    assert table["а"] == "a"  # confusable
    assert table["ӑ"] == "a"  # with a mark
    assert table["ł"] == "l"  # by its name
    assert table["ʙ"] == table["Ᏼ"] == "b"  # confusable with one by its name
    assert table["п"] == "n"  # by hand
    assert "𝐚" not in table  # NFKC makes it a plain a
    assert "٥" not in table  # a digit
