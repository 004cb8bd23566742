"""Texts in the console: shown letter for letter, never run, cut at their highlights."""

from io import StringIO

import pytest

from feedback.app import Handler
from feedback.console import Console
from feedback.console_text import pieces_of
from moderato.contracts import Span
from moderato.review_queue import ReviewQueue
from moderato.sqlite import SqliteStore
from tests.consoles import HOSTILE, app_with, queued, see
from tests.pages import get
from tests.records import feedback


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_is_shown_as_text(app: Handler, store: SqliteStore, text: str) -> None:
    review_id = queued(store, text=text)
    for address in (f"/console/reviews/{review_id}", "/console/decisions/d_1"):
        page = see(app, address)
        assert page.one("text").text == text
        assert [element.tag for element in page.elements if page.one("text") in element.within] == ["mark"] * 4
        assert len(page.all("script")) == 1
    for address in ("/console/reviews", "/console/decisions"):
        page = see(app, address)
        assert [script["src"] for script in page.all("script") if "console.js" in str(script["src"])]
        assert len(page.all("script")) == 1
        assert page.all("a", class_="row-link")[0].text[:20].strip() == " ".join(text.split())[:20].strip()


def test_what_a_browser_would_drop_is_replaced(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store, text="a\0b")
    assert see(app, f"/console/reviews/{review_id}").one("text").text == "a\ufffdb"


def test_carriage_returns_are_written_so_that_a_browser_keeps_them(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store, text="a\r\nb")
    assert "\r" not in get(app, f"/console/reviews/{review_id}", x_name="ann").body


def test_notes_and_names_are_shown_as_text(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    name = "<i>Bob</i>"
    queue.annotate(review_id, name, ["insult"], HOSTILE["script"])
    queue.annotate(review_id, "ann", ["insult"], HOSTILE["markup"])
    given = feedback(review_id=review_id, note=HOSTILE["attribute"], moderator=name)
    store.record_feedback(given, "digest", None)
    page = see(app, f"/console/reviews/{review_id}")
    assert {HOSTILE["script"], HOSTILE["markup"]} <= {element.text for element in page.elements}
    assert name in [element.text for element in page.all("bdi")]
    shown = see(app, "/console/decisions/d_1")
    assert HOSTILE["attribute"] in [element.text for element in shown.elements]
    assert see(app, "/console/loop", name="<b>&").all("bdi")[0].text == "<b>&"


def test_overlapping_spans_are_cut_where_they_begin_and_end() -> None:
    pieces = pieces_of("abcdef", [Span(0, 4, "insult", 0.4), Span(2, 6, "threat", 0.9), Span(3, 3, "toxicity", 1.0)])
    assert [(piece.text, piece.categories) for piece in pieces] == [
        ("ab", ("insult",)),
        ("c", ("threat", "insult")),
        ("d", ("threat", "insult")),
        ("ef", ("threat",)),
    ]


def test_spans_that_point_outside_of_the_text_count_as_far_as_they_are_inside() -> None:
    pieces = pieces_of("ab", [Span(1, 99, "insult", 0.4), Span(-5, 1, "threat", 0.9), Span(50, 60, "toxicity", 0.1)])
    assert [(piece.text, piece.categories) for piece in pieces] == [("a", ("threat",)), ("b", ("insult",))]


def test_without_explain_nothing_is_highlighted(store: SqliteStore, logs: StringIO) -> None:
    page = see(app_with(Console(), store, logs), f"/console/reviews/{queued(store)}")
    assert page.all("mark") == []
    assert page.one("text").text == "text number 1"
