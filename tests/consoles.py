"""The review console for tests: the app around a store at noon, and the steps that many of its tests begin with."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.app import Handler, create_app
from feedback.console import Console
from moderato.api import Caller
from moderato.contracts import Span
from moderato.errors import NotSignedIn
from moderato.models_report import ChampionReport, ComparisonReport, DatasetReport, FigureReport, ModelsReport
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, review_of
from moderato.sqlite import SqliteStore
from tests.pages import Answer, Page, get, post
from tests.records import decision, feedback, logger_to

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

CATEGORIES = ["toxicity", "insult", "threat", "house_rule"]

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
