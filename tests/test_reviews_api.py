"""Reviews over HTTP: annotators and adjudicators work by the front door, and see what they may."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from feedback.app import Handler, create_app
from moderato.api import Caller
from moderato.errors import NotSignedIn
from moderato.groundtruth import CONSOLE_JOB
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, Status
from moderato.sqlite import SqliteStore
from tests.events import event, send
from tests.queues import CATEGORIES, Time, add, add_gold, dispute, report, settle
from tests.records import logger_to

MARKER = "xylophonequokka"


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


@pytest.fixture
def logs() -> io.StringIO:
    """Where the app logs to."""
    return io.StringIO()


@pytest.fixture
def app(store: SqliteStore, clock: Time, logs: io.StringIO) -> Handler:
    """Build the app."""
    return create_app(store, CATEGORIES, logger_to(logs), clock)


def annotate(app: Handler, review_id: str, annotator: str, labels: list[str] | None, **more: Any) -> tuple[int, Any]:
    """Post an answer."""
    return send(app, "POST", f"/reviews/{review_id}/annotations", {"labels": labels, **more}, subject=annotator)


def adjudicate(app: Handler, review_id: str, labels: list[str], groups: tuple[str, ...]) -> tuple[int, Any]:
    """Post a decision on a dispute, by ada."""
    path = f"/reviews/{review_id}/adjudication"
    return send(app, "POST", path, {"labels": labels}, subject="ada", groups=groups)


def test_waiting_reviews_are_listed_oldest_first_in_pages(app: Handler, store: SqliteStore) -> None:
    ids = add(store, *range(5))
    status, first = send(app, "GET", "/reviews", query={"limit": "3"})
    assert status == 200
    _, second = send(app, "GET", "/reviews", query={"limit": "3", "cursor": first["cursor"]})
    assert [one["review_id"] for one in first["reviews"] + second["reviews"]] == ids
    assert second["cursor"] is None


def test_a_listed_review_has_what_was_decided_and_nothing_that_is_not_for_annotators(
    app: Handler, store: SqliteStore
) -> None:
    (review_id,) = add(store, 1, expires=2_000_000_000, sampling_probability=0.01)
    _, listed = send(app, "GET", "/reviews")
    assert listed["reviews"] == [
        {
            "review_id": review_id,
            "text": "you fool 1",
            "reason": "disagreement",
            "created": "2026-11-21T12:00:01+00:00",
            "status": "waiting",
            "decision_id": "d_1",
            "scores": {"insult": 0.9, "threat": 0.1},
            "reasons": [{"category": "insult", "score": 0.9, "threshold": 0.8, "action": "review"}],
            "action": "review",
            "model": {"name": "starter", "version": "1.0.0"},
            "policy": {"name": "default", "version": 1},
        }
    ]


def test_lists_are_filtered(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    (sampled,) = add(store, 1, reason=ReviewReason.SAMPLED)
    (threat,) = add(store, 2, scores={"insult": 0.1, "threat": 0.9}, reasons=[])
    (disputed,) = add(store, 3)
    dispute(queue, disputed)

    def listed(**query: str) -> list[str]:
        return [one["review_id"] for one in send(app, "GET", "/reviews", query=query)[1]["reviews"]]

    assert listed() == [sampled, threat]
    assert listed(reason="sampled") == [sampled]
    assert listed(category="threat") == [threat]
    assert listed(older_than_days="1") == []
    assert listed(status="disputed") == [disputed]
    assert listed(status="disputed", category="threat") == []


BAD_QUERIES = [
    ({"limit": "0"}, "limit must be a whole number from 1 to 100"),
    ({"limit": "101"}, "limit must be"),
    ({"limit": MARKER}, "limit must be"),
    ({"limit": "1e3"}, "limit must be"),
    ({"limit": "9" * 5000}, "limit must be"),
    ({"limit": ""}, "limit must be"),
    ({"status": "settled"}, "status must be one of waiting, disputed"),
    ({"status": "gold"}, "status must be"),
    ({"reason": MARKER}, "reason must be one of disagreement, uncertain, sampled"),
    ({"category": MARKER}, "category must be one of insult, threat"),
    ({"category": ""}, "category must be a category"),
    ({"older_than_days": "-1"}, "older_than_days must be a whole number from 0 to 3650"),
    ({"older_than_days": "99999999999"}, "older_than_days must be"),
    ({"cursor": ""}, "cursor"),
    ({"cursor": MARKER}, "cursor"),
    ({"cursor": "é"}, "cursor"),
    ({"cursor": "a" * 2049}, "cursor must be"),
    ({MARKER: "1"}, "unknown query parameter; the known ones are status, reason"),
    ({"limit": "1,2"}, "limit must be"),
]


@pytest.mark.parametrize(("query", "says"), BAD_QUERIES)
def test_a_bad_query_is_refused_with_what_would_be_right(app: Handler, query: dict[str, str], says: str) -> None:
    status, problem = send(app, "GET", "/reviews", query=query)
    assert (status, problem["title"]) == (400, "Invalid request")
    assert says in problem["detail"]
    assert MARKER not in json.dumps(problem)


@pytest.mark.parametrize("path", ["/reviews", "/decisions", "/labels.manifest"])
def test_a_bad_cursor_is_refused_everywhere(app: Handler, path: str) -> None:
    assert send(app, "GET", path, query={"cursor": "bm9wZQ=="})[0] == 400


def test_next_is_what_the_annotator_should_answer_with_their_progress(app: Handler, store: SqliteStore) -> None:
    first, second = add(store, 1, 2)
    report(store, first, "ann")
    _, shown = send(app, "GET", "/reviews/next", subject="ann")
    assert shown["review"]["review_id"] == second
    assert shown["progress"] == {"answered": 0, "skipped": 0, "today": 0, "waiting": 2, "agreement": None}
    annotate(app, second, "ann", ["insult"])
    _, shown = send(app, "GET", "/reviews/next", subject="ann")
    assert shown["review"] is None
    assert shown["progress"]["answered"] == 1


def test_three_annotators_settle_a_review(app: Handler, store: SqliteStore) -> None:
    (review_id,) = add(store, 1)
    assert annotate(app, review_id, "ann", ["insult"])[0] == 201
    assert annotate(app, review_id, "ben", ["insult"], note="rude")[1]["label"] is None
    status, answered = annotate(app, review_id, "cem", ["insult"])
    assert (status, answered["status"]) == (201, "settled")
    assert answered["label"] == {"insult": True, "threat": False}
    assert [one["annotator"] for one in answered["answers"]] == ["ann", "ben", "cem"]
    assert answered["answers"][1]["note"] == "rude"


def test_others_answers_are_hidden_until_ones_own(app: Handler, store: SqliteStore) -> None:
    (review_id,) = add(store, 1)
    annotate(app, review_id, "ann", ["insult"])
    assert send(app, "GET", f"/reviews/{review_id}", subject="ben")[1]["answers"] == []
    annotate(app, review_id, "ben", None)
    shown = send(app, "GET", f"/reviews/{review_id}", subject="ben")[1]["answers"]
    assert [one["annotator"] for one in shown] == ["ben"]


def test_gold_cannot_be_told_from_what_waits(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    (gold,) = add_gold(queue, 1)
    (waiting,) = add(store, 1, expires=2_000_000_000)
    annotate(app, gold, "ben", [])
    asks: list[Callable[[str], tuple[int, Any]]] = [
        lambda review_id: send(app, "GET", f"/reviews/{review_id}", subject="ann"),
        lambda review_id: annotate(app, review_id, "ann", ["insult"]),
        lambda review_id: annotate(app, review_id, "ann", []),
        lambda review_id: adjudicate(app, review_id, [], ("adjudicators",)),
        lambda review_id: send(app, "DELETE", f"/reviews/{review_id}/annotations", subject="ann"),
    ]
    for ask in asks:
        assert without_own(ask(gold)) == without_own(ask(waiting))


def without_own(answer: tuple[int, Any]) -> tuple[int, Any]:
    """Return status and body of an answer about a review, without what any two reviews differ in."""
    status, body = answer
    own = ("review_id", "text", "created", "decision_id")
    answers = [{**one, "created": ""} for one in (body or {}).get("answers", [])]
    return status, {name: value for name, value in (body or {}).items() if name not in own} | {"answers": answers}


def test_an_annotator_is_not_told_who_failed_gold(app: Handler, queue: ReviewQueue) -> None:
    for review_id in add_gold(queue, 10):
        annotate(app, review_id, "eve", [])
    _, shown = send(app, "GET", "/loop", subject="ann")
    answered = {"annotator": "eve", "answers": 10, "agreement": None}
    on_gold = {"gold_answers": 10, "gold_accuracy": 0.0, "is_distrusted": True}
    assert shown["annotators"] == [answered | dict.fromkeys(on_gold)]
    assert "gold" not in shown["reviews"]
    _, shown = send(app, "GET", "/loop", subject="ada", groups=["adjudicators"])
    assert shown["annotators"] == [answered | on_gold]


def test_an_answer_can_be_withdrawn(app: Handler, store: SqliteStore) -> None:
    (review_id,) = add(store, 1)
    annotate(app, review_id, "ann", ["insult"])
    for _ in range(2):
        assert send(app, "DELETE", f"/reviews/{review_id}/annotations", subject="ann") == (204, None)
    assert store.annotations_of(review_id) == []


def test_only_adjudicators_decide_disputes(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    dispute(queue, review_id)
    status, problem = adjudicate(app, review_id, [], groups=("moderators",))
    assert (status, problem["title"]) == (403, "Forbidden")
    _, shown = send(app, "GET", f"/reviews/{review_id}", subject="ada", groups=["adjudicators"])
    assert (shown["disputed"], len(shown["answers"])) == (["insult"], 3)
    status, decided = adjudicate(app, review_id, ["insult"], groups=("adjudicators",))
    assert (status, decided["status"]) == (201, "settled")
    assert decided["label"] == {"insult": True, "threat": False}
    assert decided["answers"][-1]["is_adjudication"] is True


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "required field `labels`"),
        ({"labels": "insult"}, 400, "/labels"),
        ({"labels": [1]}, 400, "/labels"),
        ({"labels": ["rude"]}, 400, "the categories are insult, threat"),
        ({"labels": ["insult"] * 51}, 400, "/labels"),
        ({"labels": [], "note": "a" * 2001}, 400, "/note"),
        ({"labels": [], "annotator": "eve"}, 400, "unknown field; the known ones are labels, note"),
    ],
)
def test_a_bad_answer_is_refused_with_what_would_be_right(
    app: Handler, store: SqliteStore, body: object, status: int, says: str
) -> None:
    (review_id,) = add(store, 1)
    refused, problem = send(app, "POST", f"/reviews/{review_id}/annotations", body, subject="ann")
    assert refused == status
    assert says in problem["detail"]
    assert store.annotations_of(review_id) == []


def test_a_reporter_and_an_unknown_review_are_refused(app: Handler, store: SqliteStore) -> None:
    (review_id,) = add(store, 1)
    report(store, review_id, "ann")
    assert annotate(app, review_id, "ann", [])[0] == 403
    for name in ("r_none", "%00", "..", "r" * 5000, "é"):
        assert annotate(app, name, "ann", [])[0] == 404
        assert send(app, "GET", f"/reviews/{name}")[0] == 404
        assert send(app, "DELETE", f"/reviews/{name}/annotations")[0] == 404


def test_another_answer_is_a_conflict(app: Handler, store: SqliteStore) -> None:
    (review_id,) = add(store, 1)
    assert annotate(app, review_id, "ann", [])[0] == annotate(app, review_id, "ann", [])[0] == 201
    status, problem = annotate(app, review_id, "ann", ["insult"])
    assert status == 409
    assert "withdraw it" in problem["detail"]


def test_labels_come_out_as_lines_of_an_augmented_manifest(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    ids = add(store, *range(30), text="zwei\nZeilen \u2028 <script>")
    for review_id in ids:
        settle(queue, review_id, "threat")
    answer = app(event("GET", "/labels.manifest"), LambdaContext())
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "application/x-ndjson")
    assert "Link" not in answer["headers"]
    lines = [json.loads(line) for line in answer["body"].split("\n")[:-1]]
    assert [line["item-id"] for line in lines] == ids
    assert lines[0]["source"] == "zwei\nZeilen \u2028 <script>"
    assert lines[0]["moderation-metadata"]["class-map"] == {"1": "threat"}
    assert CONSOLE_JOB in lines[0]["moderation-metadata"]["job-name"]


def test_a_long_manifest_comes_in_pages_that_lambda_can_answer(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    ids = add(store, *range(60), text="\U0001f600" * 20_000)
    for review_id in ids:
        settle(queue, review_id)
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        answer = app(event("GET", "/labels.manifest", query=query), LambdaContext())
        assert len(answer["body"].encode()) < 6_291_456
        found += [json.loads(line)["item-id"] for line in answer["body"].splitlines()]
        if "Link" not in answer["headers"]:
            break
        link = answer["headers"]["Link"]
        assert link.endswith('>; rel="next"')
        query = {"cursor": link.split("cursor=")[1].split(">")[0].replace("%3D", "=")}
    assert found == ids


def test_who_calls_is_whom_the_app_is_told_to_ask(store: SqliteStore, logs: io.StringIO) -> None:
    def nobody(_: object) -> Caller:
        raise NotSignedIn("sign in first")

    app = create_app(store, CATEGORIES, logger_to(logs), identify=nobody)
    body = {"text": "you fool", "labels": {"insult": True}}
    assert send(app, "POST", "/feedback", body)[0] == 401
    for path in ("/reviews", "/reviews/next", "/reviews/r_1", "/decisions", "/decisions/d_1", "/loop"):
        assert send(app, "GET", path)[0] == 401
    assert send(app, "GET", "/labels.manifest")[0] == 401
    for path in ("/decisions/d_1", "/feedback/f_1", "/reviews/r_1/annotations"):
        assert send(app, "DELETE", path)[0] == 401
    for path in ("/reviews/r_1/annotations", "/reviews/r_1/adjudication"):
        assert send(app, "POST", path, {"labels": []})[0] == 401


def test_no_user_text_is_logged(app: Handler, store: SqliteStore, logs: io.StringIO) -> None:
    (review_id,) = add(store, 1, text=f"you {MARKER}")
    annotate(app, review_id, "ann", ["insult"], note=MARKER)
    annotate(app, review_id, "ann", [MARKER], note=MARKER)
    annotate(app, MARKER, "ann", [], note=MARKER)
    send(app, "GET", "/reviews", query={"cursor": MARKER, MARKER: MARKER})
    send(app, "GET", "/reviews/next")
    send(app, "GET", "/loop")
    assert "annotated" in logs.getvalue()
    assert MARKER not in logs.getvalue()


def test_statuses_that_are_not_for_annotators_are_not_listed(app: Handler, store: SqliteStore) -> None:
    add(store, 1, status=Status.GOLD, gold={"insult": True})
    add(store, 2, status=Status.LABELING)
    assert send(app, "GET", "/reviews")[1]["reviews"] == []
