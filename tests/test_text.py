"""The views of a text: what is cleaned, what is folded, and the way back to the original."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderato.text import MAX_MARKS, fold, normalize


def folded(text: str) -> str | None:
    """Return the folded view's text, or None."""
    view = fold(normalize(text))
    return view.text if view else None


def test_plain_text_stays_as_it_is() -> None:
    assert normalize("Hello, world!").text == "Hello, world!"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("in\u200bvi\u00adsi\u2060ble", "invisible"),
        ("𝖇𝖔𝖑𝖉", "bold"),
        ("e\u0301", "é"),
        ("a\x00b\nc", "a b c"),
        ("heart\ufe0f", "heart"),
        ("\ud800", ""),
    ],
)
def test_the_clean_view_shows_what_a_reader_sees(text: str, clean: str) -> None:
    assert normalize(text).text == clean


def test_a_run_of_marks_is_capped() -> None:
    assert len(normalize("a" + "\u0316" * 200_000).text) <= 1 + MAX_MARKS


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("you іdіоt", "you idiot"),
        ("you 1d10t", "you idiot"),
        ("what an a$$hole", "what an asshole"),
        ("f u c k you", "fuck you"),
        ("s-t-u-p-i-d", "stupid"),
        ("loooooser", "loser"),
    ],
)
def test_a_disguised_word_is_spelled_out(text: str, plain: str) -> None:
    assert folded(text) == plain


@pytest.mark.parametrize("text", ["covid19", "in 2024", "wow!!!", "$100", "a b", "good", "привет", "4th", "10am"])
def test_an_innocent_word_is_left_alone(text: str) -> None:
    assert folded(text) is None


def test_a_range_of_a_view_points_into_the_original() -> None:
    text = "so\u200b\u200b ﬁne, y о u  f u c k"
    clean = normalize(text)
    start = clean.text.index("fine")
    assert text[slice(*clean.original(start, start + 4))] == "ﬁne"
    view = fold(clean)
    assert view
    start = view.text.index("fuck")
    assert text[slice(*view.original(start, start + 4))] == "f u c k"


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_has_views_whose_ranges_lie_in_it_in_order(text: str) -> None:
    clean = normalize(text)
    for view in (clean, fold(clean)):
        if view is not None:
            starts = list(view.starts)
            assert len(starts) == len(view.text) + 1
            assert starts == sorted(starts)
            assert 0 <= starts[0] <= starts[-1] == len(text)


def test_a_character_that_stands_for_many_does_not_grow_a_text() -> None:
    assert normalize("\ufdfa" * 1_000).text == "\ufdfa" * 1_000
