"""Summaries: a document is cut into sentences, and those that its summary took from it are told from the others."""

import pytest

from training.summary import cut, sentences, share_explained

ARTICLE = """Harbour to be dredged

The harbour of Westerby will be dredged this autumn. Mr. Olsen, who runs it, said the work would cost £1.5bn.

"It is high time," said Mr Olsen. "Ships wait for days. We lose them to the U.S. ports." Fishermen are against it.
"""


def test_the_title_is_left_out_and_every_other_sentence_is_there() -> None:
    assert [sentence for sentence, _ in cut(ARTICLE, "")] == [
        "The harbour of Westerby will be dredged this autumn.",
        "Mr. Olsen, who runs it, said the work would cost £1.5bn.",
        '"It is high time," said Mr Olsen.',
        '"Ships wait for days.',
        'We lose them to the U.S. ports."',
        "Fishermen are against it.",
    ]


def test_sentences_of_the_summary_are_found_in_any_order_and_without_spaces_between() -> None:
    summary = (
        'Fishermen are against it.The harbour of Westerby will be dredged this autumn."It is high time," said Mr Olsen.'
    )
    assert [label for _, label in cut(ARTICLE, summary)] == [1, 0, 1, 0, 0, 1]


def test_case_spaces_and_kinds_of_quotes_do_not_count() -> None:
    summary = "“IT IS HIGH TIME”, said  mr olsen."
    assert [label for _, label in cut(ARTICLE, summary)] == [0, 0, 1, 0, 0, 0]


def test_a_sentence_inside_another_is_not_in_the_summary() -> None:
    assert cut("He said. What he said was odd. Fine.", "She knew what he said. Fine, then.") == [
        ("He said.", 0),
        ("What he said was odd.", 0),
        ("Fine.", 0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Prices rose by 2.5 per cent in Jan. 2004 alone.",
        "George W. Bush met Dr. Rice and Lt. Gen. Abizaid.",
        "He came No. 3 in the U.S. Open.",
        '"Why?" he asked.',
        "He is v. good, says the Nov. 5 issue.",
        "The Yahoo! site and Wham! were named.",
    ],
)
def test_not_every_full_stop_ends_a_sentence(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It fell. Then it rose.", ["It fell.", "Then it rose."]),
        ('He left ("at last"). "So soon?" "Yes!"', ['He left ("at last").', '"So soon?"', '"Yes!"']),
        ("It rose by 5%. £3m was lost. 12 people left...", ["It rose by 5%.", "£3m was lost.", "12 people left..."]),
        ("One line\nand another\r\n\n * \nThe end", ["One line", "and another", "The end"]),
        ("She said no. No. 10 was silent. No. Nothing.", ["She said no.", "No. 10 was silent.", "No.", "Nothing."]),
        ("", []),
        (" ?! \n", []),
    ],
)
def test_sentences_end_where_a_reader_sees_it(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_first_line_that_is_a_sentence_is_no_title() -> None:
    assert cut("It rained.\nIt rained for days.", "") == [("It rained.", 0), ("It rained for days.", 0)]
    assert cut("A first line\nThen a second.", "A first line") == [("A first line", 1), ("Then a second.", 0)]
    assert cut("Only one line", "") == [("Only one line", 0)]


def test_the_share_explained_is_of_the_letters_of_the_summary() -> None:
    assert share_explained(ARTICLE, "Ships wait for days.Fishermen are against it.") == 1
    assert share_explained("One two. Three four.", "One two. Four six.") == pytest.approx(6 / 13)
    assert share_explained(ARTICLE, "") == 0
