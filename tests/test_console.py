"""The review console through its front door: events in, pages out."""

import base64
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.app import Handler, create_app
from feedback.console import Console
from feedback.console_models import ChampionReport, ComparisonReport, DatasetReport, FigureReport, ModelsReport
from feedback.console_security import refuse_foreign
from feedback.console_text import pieces_of
from moderato.api import Caller
from moderato.contracts import Span
from moderato.errors import NotSignedIn
from moderato.policy import Action, Reason, Threshold
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, Status, review_id_of, review_of
from moderato.sqlite import SqliteStore
from tests.pages import Answer, Page, asking, call, get, post
from tests.records import decision, feedback, logger_to

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATEGORIES = ["toxicity", "insult", "threat", "house_rule"]
ENCODED = base64.b64encode(b"note=%C3%A9&none=1").decode()
HOSTILE = {
    "script": "<script>alert(document.domain)</script>",
    "attribute": '"\' onmouseover="alert(1)" ><img src=x onerror=alert(1)>',
    "markup": "</div></main><style>*{display:none}</style><!-- ",
    "liquid": "{{ task.input.labels | to_json }}{% raw %}{{ 7 * 7 }}{# #}",
    "entities": "&lt;script&gt; &amp;amp; &#0; &nbsp",
    "lines": "\none\u2028two\u2029three\r\nfour\rfive\x0b\x0c\ttab  two spaces \n",
    "directions": "\u202eright to left\u202c \u2066isolated\u2069 \u200f\u200eمرحبا\u061c",
    "invisible": "zero\u200bwidth\u200d\ufeffjoin e\u0301 \U0001f9d1\u200d\U0001f9d1",
    "longest": "<b>&\"'\u2028 " * 2000,
}


def identify(event: APIGatewayProxyEventV2) -> Caller:
    """Return who a header says it is: "boss" is an adjudicator, and without it nobody is signed in."""
    name = event.headers.get("x-name")
    if name is None:
        raise NotSignedIn("nobody is signed in")
    return Caller(name, is_adjudicator=name == "boss")


def explain(text: str) -> list[Span]:
    """Return spans that overlap, touch, and reach beyond the text."""
    end = len(text)
    return [Span(0, end // 2, "insult", 0.9), Span(end // 3, end, "threat", 0.5), Span(end - 2, end + 9, "insult", 0.3)]


def report_models() -> ModelsReport:
    """Return a champion, one challenger that was refused, and two datasets."""
    figure = FigureReport(name="identity_terms", champion=0.031, challenger=0.058, limit="at most 0.041", passed=False)
    return ModelsReport(
        champion=ChampionReport(name="starter", version="1.2.0", since="2026-11-18T12:00:00+00:00"),
        comparisons=[
            ComparisonReport(
                challenger="starter 1.2.1",
                when="2026-11-20T12:00:00+00:00",
                outcome="not better",
                reasons=["Identity terms: too many false alarms."],
                figures=[figure],
            )
        ],
        datasets=[DatasetReport(name="starter", version="2", parent="starter 1", rows=48211, labels_added=132)],
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.sqlite3", lambda: NOON)
    yield store
    store.close()


@pytest.fixture
def queue(store: SqliteStore) -> ReviewQueue:
    """The queue behind the console."""
    return ReviewQueue(store, CATEGORIES, lambda: NOON)


@pytest.fixture
def app(store: SqliteStore, logs: StringIO) -> Handler:
    """The feedback app with its console, at noon."""
    console = Console(explain=explain, thresholds={"threat": Threshold(0.6, None)}, models=report_models)
    return app_with(console, store, logs)


def app_with(console: Console, store: SqliteStore, logs: StringIO) -> Handler:
    """Build the feedback app with a console."""
    return create_app(store, CATEGORIES, logger_to(logs), lambda: NOON, identify=identify, console=console)


def queued(store: SqliteStore, number: int = 1, **fields: Any) -> str:
    """Store a decision whose review waits; return the review's id."""
    reason = fields.pop("reason", ReviewReason.UNCERTAIN)
    created = fields.setdefault("created", f"2026-11-{number:02}T12:00:00+00:00")
    kept = decision(**({"decision_id": f"d_{number}", "text": f"text number {number}"} | fields))
    review = review_of(kept, reason, created)
    store.record_decisions([kept], [review])
    return review.review_id


def answered(queue: ReviewQueue, review_id: str, **labels: Sequence[str]) -> None:
    """Let annotators answer a review, by name."""
    for name, chosen in labels.items():
        queue.annotate(review_id, name, chosen, f"a note of {name}")


def answer(app: Handler, review_id: str, fields: Any, name: str = "ann") -> Answer:
    """Send an annotator's answer."""
    return post(app, f"/console/reviews/{review_id}/answer", fields, x_name=name)


def see(app: Handler, address: str, name: str = "ann") -> Page:
    """Return a page, as somebody sees it."""
    shown = get(app, address, x_name=name)
    assert shown.status == 200, shown.body
    return shown.page


def listed(page: Page) -> list[str]:
    """Return the addresses of the rows of a list."""
    return [str(link["href"]) for link in page.all("a", class_="row-link")]


def every_page(store: SqliteStore, queue: ReviewQueue) -> list[str]:
    """Fill the store; return the addresses of all the kinds of page."""
    waiting, mine, disputed = (queued(store, number) for number in (1, 2, 3))
    answered(queue, mine, ann=["insult"], bob=[])
    answered(queue, disputed, bob=["insult"], cid=[], dee=["insult"])
    store.record_feedback(feedback(review_id=waiting, labels={"insult": False}, note="no"), "digest", None)
    return [
        "/console/reviews",
        "/console/reviews?reason=uncertain&category=insult&older_than_days=7",
        "/console/reviews/next?reason=sampled&notice=saved",
        f"/console/reviews/{waiting}",
        f"/console/reviews/{mine}?notice=undone",
        f"/console/reviews/{disputed}",
        "/console/disputes",
        f"/console/disputes/{disputed}",
        "/console/decisions",
        "/console/decisions/d_1",
        "/console/loop",
    ]


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


def test_every_page_is_safe_and_can_be_used_by_anybody(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    for address in every_page(store, queue):
        answer = get(app, address, x_name="boss")
        assert answer.status == 200, address
        assert_is_safe(answer)
        assert_is_accessible(answer.page)


def assert_is_safe(answer: Answer) -> None:
    """Check the headers, and that nothing inline and nothing foreign is asked for."""
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    for element in answer.page.elements:
        assert element.tag not in {"style", "iframe", "object", "base"}
        assert not {name for name in element.attributes if name.startswith("on") or name == "style"}
        for name in ("src", "href", "action", "formaction"):
            link = element[name]
            assert link is None or link.startswith(("/", "#")), link
            assert not str(link).startswith("//")
    assert [script.text for script in answer.page.all("script")] == [""]


def assert_is_accessible(page: Page) -> None:
    """Check language, headings, landmarks, labels and the skip link."""
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("title")) == 1
    assert all(len(page.all(landmark)) == 1 for landmark in ("main", "header", "footer"))
    assert page.all("a")[0]["href"] == "#content"
    assert page.one("content").tag == "main"
    assert page.one("live")["role"] == "status"
    assert page.duplicated_ids() == []
    assert page.unlabelled() == []
    assert all(table.text for table in page.all("th"))
    assert all(button.text.strip() or button["aria-label"] for button in page.all("button"))


def test_every_page_is_also_there_as_json(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    for address in every_page(store, queue):
        [link] = see(app, address, name="boss").all("link", rel="alternate")
        assert link["type"] == "application/json"
        answer = get(app, str(link["href"]), x_name="boss")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


def test_errors_are_pages_too(app: Handler) -> None:
    answer = get(app, "/console/reviews/r_none", x_name="ann")
    assert answer.status == 404
    assert_is_safe(answer)
    assert_is_accessible(answer.page)
    assert answer.page.text("h1") == "Unknown review"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/console/nowhere", 404),
        ("/console/nowhere/at/all", 404),
        ("/console/reviews/%3Cscript%3E", 404),
        ("/console/reviews/<script>", 404),
        ("/console/reviews/r_" + "a" * 3000, 404),
        ("/console/decisions/d_none", 404),
        ("/console/decisions/none", 404),
        ("/console/static/../console.py", 404),
        ("/console/static/console.py", 404),
        ("/console/reviews?reason=boredom", 400),
        ("/console/reviews?category=kindness", 400),
        ("/console/reviews?older_than_days=0", 400),
        ("/console/reviews?older_than_days=-1", 400),
        ("/console/reviews?older_than_days=99999999999999999999", 400),
        ("/console/reviews?older_than_days=\u0663", 400),
        ("/console/reviews?cursor=nonsense", 400),
        ("/console/decisions?cursor=" + "a" * 5000, 400),
        ("/console/reviews/next?reason=boredom", 400),
        ("/console/disputes", 403),
        ("/console/disputes/r_none", 403),
    ],
)
def test_what_cannot_be_shown_gets_a_page_that_says_so(app: Handler, address: str, status: int) -> None:
    answer = get(app, address, x_name="ann")
    assert answer.status == status
    assert "script>" not in answer.page.text("main")


def test_the_console_begins_at_the_queue(app: Handler) -> None:
    assert get(app, "/console", x_name="ann").location == "/console/reviews"


def test_nobody_sees_anything_before_signing_in(app: Handler, store: SqliteStore, logs: StringIO) -> None:
    review_id = queued(store)
    elsewhere = app_with(Console(sign_in_url="/console/sign-in"), store, logs)
    for address in ("/console/reviews", f"/console/reviews/{review_id}", "/console/decisions/d_1", "/console/loop"):
        assert get(app, address).status == 401
        assert "text number" not in get(app, address).body
        assert get(elsewhere, address).location == "/console/sign-in"
    assert post(app, f"/console/reviews/{review_id}/answer", {"none": "yes"}).status == 401
    assert store.annotations_of(review_id) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "https://console.test.evil.test"},
        {"origin": "https://["},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "https://console.test"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.test"},
    ],
)
def test_a_form_from_another_site_is_refused(app: Handler, store: SqliteStore, headers: dict[str, str]) -> None:
    review_id = queued(store)
    answer = post(app, f"/console/reviews/{review_id}/answer", {"none": "yes"}, x_name="ann", **headers)
    assert answer.status == 403
    assert "another site" in answer.page.text("main")
    assert post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann", **headers).status == 403
    assert store.annotations_of(review_id) == []
    assert get(app, "/console/decisions/d_1", x_name="ann").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://console.test"},
        {"sec_fetch_site": "same-origin", "origin": "null"},
        {"sec_fetch_site": "same-origin", "origin": "https://console.test"},
        {"sec_fetch_site": "none"},
    ],
)
def test_a_form_of_ours_is_taken(headers: dict[str, str]) -> None:
    refuse_foreign(APIGatewayProxyEventV2(asking("POST", "/console/search", "", headers)))


def test_the_queue_shows_what_waits_the_oldest_first(app: Handler, store: SqliteStore) -> None:
    second, first = queued(store, 2), queued(store, 1)
    page = see(app, "/console/reviews")
    assert listed(page) == [f"/console/reviews/{first}", f"/console/reviews/{second}"]
    assert "20 days" in page.text("tbody")


def test_the_queue_can_be_filtered(app: Handler, store: SqliteStore) -> None:
    old = queued(store, 1, reason=ReviewReason.DISAGREEMENT)
    new = queued(store, 20, scores={"threat": 0.7}, reasons=[Reason("threat", 0.7, 0.6, Action.REVIEW)])
    for query, review_id in {
        "reason=disagreement": old,
        "category=threat": new,
        "older_than_days=7": old,
        "reason=uncertain&category=threat&older_than_days=": new,
    }.items():
        [link] = listed(see(app, f"/console/reviews?{query}"))
        assert link.startswith(f"/console/reviews/{review_id}?")
    assert listed(see(app, "/console/reviews?reason=sampled")) == []


def test_filters_stay_while_one_answers(app: Handler, store: SqliteStore) -> None:
    first, second = queued(store, 1), queued(store, 2)
    queued(store, 3, reason=ReviewReason.DISAGREEMENT)
    at = get(app, "/console/reviews/next?reason=uncertain", x_name="ann").location
    assert at == f"/console/reviews/{first}?reason=uncertain"
    carried = see(app, at).all("input", name="reason", type_="hidden")
    assert {field["value"] for field in carried} == {"uncertain"}
    at = answer(app, first, {"label": "insult", "reason": "uncertain"}).location
    assert at == f"/console/reviews/next?reason=uncertain&notice=saved&last={first}"
    assert get(app, at, x_name="ann").location.startswith(f"/console/reviews/{second}?reason=uncertain&notice=saved")


def test_counts_say_how_many_wait_and_why(app: Handler, store: SqliteStore) -> None:
    queued(store, 1)
    queued(store, 2)
    queued(store, 3, reason=ReviewReason.SAMPLED)
    nav = next(nav for nav in see(app, "/console/reviews").all("nav") if nav["class"] == "chips")
    assert nav.words == "All 3 Disagreement 0 Uncertain 2 Sampled 1"


def test_a_long_queue_has_pages(app: Handler, store: SqliteStore) -> None:
    for number in range(1, 28):
        queued(store, number)
    queued(store, 28, reason=ReviewReason.SAMPLED)
    first = see(app, "/console/reviews?reason=uncertain")
    [more] = first.all("a", rel="next")
    assert str(more["href"]).startswith("/console/reviews?reason=uncertain&cursor=")
    second = see(app, str(more["href"]).replace("%3D", "="))
    assert (len(listed(first)), len(listed(second))) == (25, 2)
    assert not set(listed(first)) & set(listed(second))
    assert second.all("a", rel="next") == []


def test_a_review_shows_what_helps_to_decide(app: Handler, store: SqliteStore) -> None:
    page = see(app, f"/console/reviews/{queued(store)}")
    rows = [row.words for row in page.all("tr")]
    assert rows[1:] == ["insult 0.90 review from 0.80", "threat 0.10 below 0.60"]
    assert [field["value"] for field in page.all("input", name="label")] == CATEGORIES
    terms = [term.text for term in page.all("dt")]
    assert {"toxicity", "insult", "threat", "house rule"} <= set(terms)
    assert "No definition is at hand" in page.text("dd")


def test_an_answer_is_kept_and_the_next_text_comes_at_once(app: Handler, store: SqliteStore) -> None:
    first, second = queued(store, 1), queued(store, 2)
    sent = [("label", "threat"), ("label", "insult"), ("note", " he\r\nmeant it "), ("answer", "submit")]
    at = answer(app, first, sent).location
    [stored] = store.annotations_of(first)
    assert (stored.annotator, stored.labels, stored.note) == ("ann", ["insult", "threat"], "he\nmeant it")
    at = get(app, at, x_name="ann").location
    assert at.startswith(f"/console/reviews/{second}?")
    page = see(app, at)
    [notice] = page.all("p", class_="notice")
    assert notice.words == "Answer saved. See how others answered"
    assert f"/console/reviews/{first}" in [link["href"] for link in page.all("a")]


@pytest.mark.parametrize(("fields", "labels"), [({"none": "yes"}, []), ({"answer": "skip", "label": "insult"}, None)])
def test_none_and_skip_are_answers_too(app: Handler, store: SqliteStore, fields: Any, labels: Any) -> None:
    review_id = queued(store)
    assert answer(app, review_id, fields).status == 303
    assert store.annotations_of(review_id)[0].labels == labels
    assert "Nothing waits for you" in see(app, "/console/reviews/next").text("h1")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Choose at least one category"),
        ({"note": "only a note"}, "Choose at least one category"),
        ({"none": "yes", "label": "insult"}, "not both"),
        ({"label": "kindness"}, "unknown category"),
        ({"label": "insult", "note": "a" * 2001}, "The note has 2001 characters"),
        ([("label", "insult"), ("note", "a"), ("note", "b")], "more than once"),
    ],
)
def test_a_wrong_answer_is_asked_for_again(app: Handler, store: SqliteStore, fields: Any, says: str) -> None:
    review_id = queued(store)
    refused = answer(app, review_id, fields)
    assert refused.status == 400
    assert_is_accessible(refused.page)
    assert says in refused.page.one("problem").text
    assert store.annotations_of(review_id) == []


def test_what_was_filled_in_is_still_there_after_a_mistake(app: Handler, store: SqliteStore) -> None:
    page = answer(app, queued(store), {"none": "yes", "label": "threat", "note": HOSTILE["markup"]}).page
    assert [field["value"] for field in page.all("input", name="label") if "checked" in field.attributes] == ["threat"]
    assert "checked" in page.one("none").attributes
    assert page.one("note").text.strip() == HOSTILE["markup"].strip()


def test_the_last_answer_can_be_undone(app: Handler, store: SqliteStore) -> None:
    first, _ = queued(store, 1), queued(store, 2)
    answer(app, first, {"label": "insult"})
    page = see(app, get(app, "/console/reviews/next", x_name="ann").location)
    undo = page.one("undo")["action"]
    assert undo == f"/console/reviews/{first}/undo"
    at = post(app, str(undo), x_name="ann").location
    assert at == f"/console/reviews/{first}?notice=undone"
    assert store.annotations_of(first) == []
    page = see(app, at)
    assert page.has("answer")
    assert not page.has("undo")
    assert post(app, str(undo), x_name="ann").status == 303  # again: the same


def test_a_label_in_a_dataset_cannot_be_undone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, ann=["insult"], bob=["insult"], cid=["insult"])
    store.mark_labels([review_id], "starter 2")
    refused = post(app, f"/console/reviews/{review_id}/undo", x_name="ann")
    assert refused.status == 409
    assert "dataset" in refused.page.text("main")


def test_answers_of_others_are_hidden_until_one_has_answered(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"])
    before = see(app, f"/console/reviews/{review_id}")
    assert "bob" not in before.text("main")
    assert "a note of bob" not in before.html
    answer(app, review_id, {"answer": "skip"})
    assert "bob" not in see(app, f"/console/reviews/{review_id}").text("main")
    post(app, f"/console/reviews/{review_id}/undo", x_name="ann")
    answer(app, review_id, {"label": "insult"})
    after = see(app, f"/console/reviews/{review_id}").text("section")
    assert "bob threat a note of bob" in after


def test_whoever_reported_a_text_does_not_judge_it(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store)
    store.record_feedback(feedback(moderator="mia", review_id=review_id), "digest", None)
    page = see(app, f"/console/reviews/{review_id}", name="mia")
    assert "You reported this text" in page.text("section")
    assert not page.has("answer")
    assert answer(app, review_id, {"none": "yes"}, name="mia").status == 403
    assert see(app, f"/console/reviews/{review_id}").has("answer")


def test_a_settled_review_shows_its_label_and_takes_no_answer(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat"])
    page = see(app, f"/console/reviews/{review_id}")
    assert "Settled threat by agreement" in page.text("section")
    assert not page.has("answer")
    assert "bob" not in page.text("section")
    assert answer(app, review_id, {"none": "yes"}).status == 409


def test_gold_looks_like_any_other_review(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    queue.add_gold("a test item", ["insult"])
    gold = review_id_of(None, "a test item")
    other = queued(store, 21)
    pages = [see(app, f"/console/reviews/{review_id}") for review_id in (gold, other)]
    assert "gold" not in pages[0].html.lower()
    assert [page.has("answer") for page in pages] == [True, True]
    answer(app, gold, {"none": "yes"})
    assert store.get_review(gold).status is Status.GOLD
    page = see(app, f"/console/reviews/{gold}")
    assert "Your answer none of them Nobody else has answered yet." in page.text("section")
    assert "gold" not in page.html.lower()
    assert listed(see(app, "/console/reviews")) == [f"/console/reviews/{other}"]
    assert "gold" not in see(app, "/console/loop").html.lower()


def test_progress_counts_what_one_did_and_how_often_it_stood(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    queued(store, 2)
    answered(queue, review_id, ann=["threat"], cid=["threat"], dee=["threat"])
    [figures] = [each for each in see(app, "/console/reviews").all("dl") if each["class"] == "progress"]
    assert figures.words == "Today 1 In all 1 Waiting 1 Agreement 100 %"


def test_disputes_are_for_adjudicators_alone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    for path in ("/console/disputes", f"/console/disputes/{review_id}"):
        refused = get(app, path, x_name="ann")
        assert refused.status == 403
        assert "cid" not in refused.body
    assert post(app, f"/console/disputes/{review_id}/decide", {"label": "insult"}, x_name="ann").status == 403
    assert "/console/disputes" not in [link["href"] for link in see(app, "/console/reviews").all("a")]
    assert listed(see(app, "/console/disputes", name="boss")) == [f"/console/disputes/{review_id}"]


def test_an_adjudicator_sees_answers_side_by_side_and_decides(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    page = see(app, f"/console/disputes/{review_id}", name="boss")
    [table] = [table for table in page.all("table") if table["class"] == "side-by-side"]
    rows = [row.words for row in page.all("tr") if table in row.within]
    assert rows[0] == "Category bob cid dee Decision"
    assert rows[1].startswith("insult no no yes insult: belongs")
    assert "threat yes yes yes agreed" in rows
    assert [field["value"] for field in page.all("input", name="label")] == ["insult"]
    at = post(app, f"/console/disputes/{review_id}/decide", {"label": "insult"}, x_name="boss").location
    assert at == "/console/disputes?notice=decided"
    label = store.get_label(review_id)
    assert label is not None
    assert label.values == {"toxicity": False, "insult": True, "threat": True, "house_rule": False}
    assert get(app, f"/console/disputes/{review_id}", x_name="boss").status == 409


def test_a_decided_dispute_can_be_undone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=[])
    at = post(app, f"/console/disputes/{review_id}/decide", {"label": "threat"}, x_name="boss").location
    undo = see(app, at, name="boss").one("undo")["action"]
    at = post(app, str(undo), x_name="boss").location
    assert store.get_review(review_id).status is Status.DISPUTED
    page = see(app, at, name="boss")
    assert f"/console/disputes/{review_id}" in [link["href"] for link in page.all("a")]


def test_an_adjudicator_does_not_decide_what_they_annotated_or_reported(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    first, second = queued(store, 1), queued(store, 2)
    answered(queue, first, boss=["threat"], cid=["threat"], dee=[])
    answered(queue, second, bob=["threat"], cid=["threat"], dee=[])
    store.record_feedback(feedback(decision_id="d_2", moderator="boss", review_id=second), "digest", None)
    for review_id, says in {first: "one of its annotators", second: "You reported"}.items():
        page = see(app, f"/console/disputes/{review_id}", name="boss")
        assert says in page.text("form")
        assert page.all("input", name="label") == []
        assert post(app, f"/console/disputes/{review_id}/decide", {}, x_name="boss").status == 403


def test_decisions_come_the_newest_first_with_paging(app: Handler, store: SqliteStore) -> None:
    for number in range(1, 28):
        queued(store, number)
    first = see(app, "/console/decisions")
    assert listed(first)[:2] == ["/console/decisions/d_27", "/console/decisions/d_26"]
    [older] = first.all("a", rel="next")
    second = see(app, str(older["href"]).replace("%3D", "="))
    assert listed(second) == ["/console/decisions/d_2", "/console/decisions/d_1"]


def test_a_decision_shows_its_feedback_and_its_review(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store)
    given = feedback(review_id=review_id, labels={"insult": False, "threat": True}, correct=None, note="a joke")
    store.record_feedback(given, "digest", None)
    page = see(app, "/console/decisions/d_1")
    assert "mia not insult threat" in page.text("section")
    assert "a joke" in page.text("section")
    assert "Its review is waiting" in page.text("section")
    assert f"/console/reviews/{review_id}" in [link["href"] for link in page.all("a")]


@pytest.mark.parametrize(
    ("wanted", "location"),
    [("d_1", "/console/decisions/d_1"), (" d_1 ", "/console/decisions/d_1"), ("r_1", "/console/reviews/r_1")],
)
def test_search_finds_by_id(app: Handler, wanted: str, location: str) -> None:
    assert post(app, "/console/search", {"id": wanted}, x_name="ann").location == location


def test_search_never_puts_what_was_pasted_into_an_address_or_a_log(app: Handler, logs: StringIO) -> None:
    answer = post(app, "/console/search", {"id": "r_ you zebrafish"}, x_name="ann")
    assert answer.status == 404
    assert "zebrafish" not in answer.body + str(answer.headers) + logs.getvalue()


def test_erasure_needs_a_confirmation(app: Handler, store: SqliteStore) -> None:
    queued(store)
    assert post(app, "/console/decisions/d_1/erase", {}, x_name="ann").status == 400
    assert get(app, "/console/decisions/d_1", x_name="ann").status == 200
    at = post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann").location
    assert "Erased for good" in see(app, at).text("main")
    assert get(app, "/console/decisions/d_1", x_name="ann").status == 404
    assert post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann").status == 404


def test_the_loop_shows_reviews_labels_and_models(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    sampled = queued(store, 1, reason=ReviewReason.SAMPLED, sampling_probability=0.01)
    answered(queue, sampled, ann=["threat"], bob=["threat"], cid=["threat"])
    disputed = queued(store, 2)
    answered(queue, disputed, ann=["threat"], bob=["threat"], cid=[])
    queued(store, 3)
    page = see(app, "/console/loop")
    [tiles] = [each for each in page.all("dl") if each["class"] == "tiles"]
    assert tiles.words == (
        "Waiting 1 In dispute 1 Settled 1 Labels for the next dataset 1 Labels in a dataset 0 Rejected 0"
    )
    rows = [row.words for row in page.all("tr")]
    assert "Uncertain 1 0 1 0" in rows
    assert "ann you 2 100 %" in rows
    assert "100.0 %" in page.text("p")
    assert "1 texts drawn by chance" in page.text("p")
    assert "starter 1.2.0 in use for 3 days" in page.text("section")
    assert "identity terms 0.031 0.058 at most 0.041 no" in rows
    assert "Identity terms: too many false alarms." in page.text("li")
    assert "starter 2 starter 1 48,211 132" in rows


def test_how_annotators_did_on_test_items_is_for_adjudicators_alone(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    queued(store)
    for number in range(10):
        queue.add_gold(f"test item number {number}", ["insult"])
        queue.annotate(review_id_of(None, f"test item number {number}"), "eve", ["threat"])
    assert "eve 10 – 0 % of 10 does not count" in [
        row.words for row in see(app, "/console/loop", name="boss").all("tr")
    ]
    page = see(app, "/console/loop")
    assert "eve 10 –" in [row.words for row in page.all("tr")]
    assert "does not count" not in page.html


def test_an_empty_console_says_so(store: SqliteStore, logs: StringIO) -> None:
    app = app_with(Console(), store, logs)
    for address in ("/console/reviews", "/console/decisions", "/console/loop", "/console/reviews/next"):
        page = see(app, address)
        assert_is_accessible(page)
    assert "Models" not in see(app, "/console/loop").text("h2")
    assert "Nothing is in dispute" in see(app, "/console/disputes", name="boss").text("main")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_static_files_need_no_sign_in_and_may_be_kept(app: Handler, name: str, media_type: str) -> None:
    answer = get(app, f"/console/static/{name}")
    assert answer.status == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=86400"
    assert "@import" not in answer.body
    assert "http" not in answer.body.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("none=yes", {"content_type": "application/json"}, 415),
        ("none=yes", {"content_type": "multipart/form-data; boundary=x"}, 415),
        ("none=yes", {"content_type": "application/x-www-form-urlencoded; charset=UTF-8"}, 303),
        ("none=yes&junk", {}, 400),
        ("none=%ff", {}, 400),
        ("&".join(["label=insult"] * 201), {}, 400),
        ("note=" + "a" * 262_144, {}, 413),
        ("", {}, 400),
        ("none=\ud800", {}, 400),
    ],
)
def test_forms_are_read_strictly(app: Handler, store: SqliteStore, body: str, headers: Any, status: int) -> None:
    review_id = queued(store)
    sent = {"x_name": "ann", "content_type": "application/x-www-form-urlencoded"} | headers
    assert call(app, asking("POST", f"/console/reviews/{review_id}/answer", "", sent, body)).status == status


@pytest.mark.parametrize(("body", "status"), [(ENCODED, 303), (f"!{ENCODED}", 400), ("=", 400)])
def test_a_body_may_come_as_base64(app: Handler, store: SqliteStore, body: str, status: int) -> None:
    review_id = queued(store)
    headers = {"x_name": "ann", "content_type": "application/x-www-form-urlencoded"}
    sent = asking("POST", f"/console/reviews/{review_id}/answer", "", headers, body) | {"isBase64Encoded": True}
    assert call(app, sent).status == status
    assert [given.note for given in store.annotations_of(review_id)] == (["é"] if status == 303 else [])


PATHS = st.sampled_from(["reviews", "reviews/next", "disputes", "decisions", "loop", "search", "x"]) | st.text()
FIELDS = st.sampled_from(["label", "none", "note", "answer", "id", "confirm", "reason", "category", "older_than_days"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST"]),
    path=PATHS,
    action=st.sampled_from(["", "/answer", "/undo", "/erase", "/decide"]),
    parameters=st.dictionaries(FIELDS | st.text(), st.text()),
    body=st.text() | st.lists(st.tuples(FIELDS, st.text())).map(lambda pairs: "&".join(f"{a}={b}" for a, b in pairs)),
    name=st.sampled_from(["ann", "boss", "\u202e<i>"]),
)
def test_no_request_makes_the_console_fail(
    app: Handler, method: str, path: str, action: str, parameters: dict[str, str], body: str, name: str
) -> None:
    headers = {"x_name": name, "content_type": "application/x-www-form-urlencoded"}
    request = asking(method, f"/console/{path}{action}", "", headers, body if method == "POST" else None)
    request["queryStringParameters"] = parameters
    assert call(app, request).status < 500


def test_logs_hold_no_text(app: Handler, store: SqliteStore, logs: StringIO) -> None:
    review_id = queued(store, text="zebrafish")
    see(app, f"/console/reviews/{review_id}")
    answer(app, review_id, {"label": "kindness", "note": "zebrafish"})
    answer(app, review_id, {"label": "insult", "note": "zebrafish"})
    post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann")
    get(app, "/console/decisions/d_1?notice=zebrafish", x_name="ann")
    assert "decision_erased" in logs.getvalue()
    assert "zebrafish" not in logs.getvalue()


def test_the_template_library_is_loaded_for_a_console_alone() -> None:
    imports = "import sys, predict.app, feedback.app, feedback.console; sys.exit('jinja2' in sys.modules)"
    functions = Path(__file__).parents[1] / "functions"
    assert subprocess.run([sys.executable, "-c", imports], cwd=functions, check=False).returncode == 0
