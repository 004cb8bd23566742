"""The views of a text: what is cleaned, what is folded, and the way back to the original."""

import time

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
        ("you іdіоt", "you idiot"),
        ("you ѕтυріԁ", "you stupid"),
        ("kiӏӏ", "kill"),
        ("f u c k you", "fuck you"),
        ("s-t-u-p-i-d", "stupid"),
        ("y o u a r e a n i d i o t", "you are an idiot"),
        ("W  H  A  T is this", "WHAT is this"),
        ("i.d.i.o.t.", "idiot."),
    ],
)
def test_the_clean_view_shows_what_a_reader_sees(text: str, clean: str) -> None:
    assert normalize(text).text == clean


def test_a_run_of_marks_is_capped() -> None:
    assert len(normalize("a" + "\u0316" * 200_000).text) <= 1 + MAX_MARKS


@pytest.mark.parametrize(
    "text", ["привет", "рост", "µ", "αβγ", "你好", "U.S.A.", "a.k.a.", "a b", "1 2 3 4 5", "x = y = z", "A B C"]
)
def test_other_scripts_initials_and_numbers_stay_in_the_clean_view(text: str) -> None:
    assert normalize(text).text == normalize(text).text.strip() != ""
    assert normalize(text).text.replace("μ", "µ") == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("you 1d10t", "you idiot"),
        ("what an a$$hole!", "what an asshole!"),
        ("(you $h!t)", "(you shit)"),
        ("loooooser", "loser"),
        ("f*ck this", "fuck this"),
        ("an id iot", "an idiot"),
        ("an i-diot", "an idiot"),
        ("youidiot", "you idiot"),
        ("idoits", "idiots"),
        ("yuo idoits", "you idiots"),
    ],
)
def test_a_disguised_word_is_spelled_out(text: str, plain: str) -> None:
    assert folded(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "covid19", "in 2024", "wow!!!", "$100", "a b", "good", "привет", "4th", "10am", "teh end", "don't", "it's",
        "e-mail me", "https://example.com/f_ck?a=1", "me@example.com", "@alice #tag", "x = y[i] + 1", "C++ and C#",
        ":-D xD :P <3 ^_^", "A320 and F-16", "3.5mm, 80km/h, 1,000.50", "Dr. Dickens of Essex", "iPhone15", "and/or",
        "U.S.A.", "a b c", "mp3, b2b", "(see above)", "[1]", "the 1990s", "v1.2.3", "foo(bar)", "Søren", "naïve",
    ],
)  # fmt: skip
def test_an_innocent_word_is_left_alone(text: str) -> None:
    assert folded(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1l1l1l " * 2_800,
        "a." * 9_999 + "ab",
        "a b " * 5_000,
        "1" + "-" * 19_998 + "x",
        "|-|" * 6_600,
        "a" * 20_000,
        "f**k " * 4_000,
    ],
    ids=["leet", "dots", "spaces", "dashes", "pairs", "one letter", "stars"],
)
def test_a_hostile_text_of_20_000_characters_costs_no_more_than_its_scoring(text: str) -> None:
    begun = time.process_time()
    fold(normalize(text))
    assert time.process_time() - begun < 3  # 0.1 s is usual on a quiet machine; what is quadratic takes longer


def test_a_range_of_a_view_points_into_the_original() -> None:
    text = "so\u200b\u200b ﬁne, y о u  f u c k, 1d10t"
    clean = normalize(text)
    assert clean.text == "so fine, you  fuck, 1d10t"
    for word, original in (("fine", "ﬁne"), ("you", "y о u"), ("fuck", "f u c k")):
        start = clean.text.index(word)
        assert text[slice(*clean.original(start, start + len(word)))] == original
    view = fold(clean)
    assert view
    start = view.text.index("idiot")
    assert text[slice(*view.original(start, start + 5))] == "1d10t"


@pytest.mark.parametrize(("text", "end"), [("q\u0323\u0307", 3), ("\u3300!", 1), ("x\u0336", 2)])
def test_a_character_that_became_several_is_whole_in_a_range_of_the_original(text: str, end: int) -> None:
    assert normalize(text).original(0, 1) == (0, end)
    assert normalize(text).original(0, 0) == (0, 0)


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
