"""What moderators say is recorded once, and what they call wrong waits for a review."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback.app import Handler, create_app
from moderato.policy import Action
from moderato.sqlite import SqliteStore
from tests.events import send
from tests.records import decision, logger_to

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Open a store that holds one decision: `d_1`, to review an insult."""
    store = SqliteStore(tmp_path / "moderato.db")
    store.record_decisions([decision()])
    yield store
    store.close()


@pytest.fixture
def app(store: SqliteStore) -> Handler:
    """Build the app, whose clock stands at noon."""
    return create_app(store, ["insult", "threat"], logger_to(io.StringIO()), clock=lambda: NOON)


def give(app: Handler, body: object, **kwargs: Any) -> tuple[int, Any]:
    """Post feedback."""
    return send(app, "POST", "/feedback", body, **kwargs)


def test_feedback_is_stored_under_its_decision_with_the_moderator_of_the_token(app: Handler) -> None:
    status, answer = give(app, {"decision_id": "d_1", "correct": False, "note": "a joke"}, subject="mia")
    assert status == 201
    assert answer["decision_id"] == "d_1"
    status, shown = send(app, "GET", "/decisions/d_1")
    assert status == 200
    assert shown["feedback"] == [
        {
            "feedback_id": answer["feedback_id"],
            "moderator": "mia",
            "correct": False,
            "labels": None,
            "note": "a joke",
            "created": "2026-11-21T12:00:00+00:00",
        }
    ]


def test_without_an_authorizer_the_moderator_is_local(app: Handler) -> None:
    give(app, {"decision_id": "d_1", "correct": True})
    assert send(app, "GET", "/decisions/d_1")[1]["feedback"][0]["moderator"] == "local"


def test_the_body_cannot_say_who_the_moderator_is(app: Handler) -> None:
    status, problem = give(app, {"decision_id": "d_1", "correct": True, "moderator": "eve"})
    assert status == 400
    assert "unknown field" in problem["detail"]


@pytest.mark.parametrize(
    ("said", "queued"),
    [
        ({"correct": True}, False),
        ({"correct": False}, True),
        ({"labels": {"insult": True}}, False),
        ({"labels": {"insult": True, "threat": False}}, False),
        ({"labels": {"insult": False}}, True),
        ({"labels": {"threat": True}}, True),
    ],
)
def test_only_disagreement_queues_a_review(app: Handler, said: dict[str, Any], queued: bool) -> None:
    status, answer = give(app, {"decision_id": "d_1", **said})
    assert (status, answer["review_queued"]) == (201, queued)


def test_an_allowed_text_that_is_labelled_harmful_queues_a_review(app: Handler, store: SqliteStore) -> None:
    store.record_decisions([decision(decision_id="d_2", action=Action.ALLOW, reasons=[], kept_because="sampled")])
    assert give(app, {"decision_id": "d_2", "labels": {"insult": True}})[1]["review_queued"] is True


@pytest.mark.parametrize(
    ("said", "queued"), [({"correct": True}, False), ({"correct": False}, True), ({"labels": {"insult": False}}, True)]
)
def test_a_text_without_a_decision_is_reviewed_when_labelled_or_wrong(
    app: Handler, said: dict[str, Any], queued: bool
) -> None:
    status, answer = give(app, {"text": "you fool", **said})
    assert (status, answer["review_queued"], answer["decision_id"]) == (201, queued, None)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"decision_id": "d_1"}, 400, "exactly one of `correct` and `labels` is needed; the body has neither"),
        ({"decision_id": "d_1", "correct": True, "labels": {"insult": True}}, 400, "the body has both"),
        ({"correct": True}, 400, "`decision_id` or `text` is needed"),
        ({"decision_id": "d_1", "labels": {}}, 400, "/labels: Expected `object` of length >= 1"),
        ({"decision_id": "d_1", "labels": {"rude": True}}, 400, "the model's categories are insult, threat"),
        ({"decision_id": "d_9", "correct": True}, 404, "decisions to allow are not all kept"),
        ({"decision_id": "d_9", "correct": True}, 404, "send its `text` along"),
    ],
)
def test_bad_feedback_is_refused_with_what_would_be_right(app: Handler, body: object, status: int, says: str) -> None:
    refused, problem = give(app, body)
    assert refused == problem["status"] == status
    assert says in problem["detail"]


def test_a_wrong_label_is_pointed_at(app: Handler) -> None:
    _, problem = give(app, {"decision_id": "d_1", "labels": {"rude": True}})
    assert [error["pointer"] for error in problem["errors"]] == ["/labels"]


def test_an_unstored_decision_may_come_along_with_its_text(app: Handler) -> None:
    status, answer = give(app, {"decision_id": "d_9", "text": "you fool", "correct": False})
    assert (status, answer["decision_id"], answer["review_queued"]) == (201, "d_9", True)


def test_an_erased_decision_takes_no_feedback_even_with_its_text(app: Handler) -> None:
    send(app, "DELETE", "/decisions/d_1")
    status, problem = give(app, {"decision_id": "d_1", "text": "you fool", "correct": False})
    assert status == 404
    assert "erased" in problem["detail"]


def test_the_same_key_and_body_get_the_same_answer_and_one_record(app: Handler, store: SqliteStore) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = give(app, {"decision_id": "d_1", "correct": False}, headers=headers)
    again = give(app, '{ "correct": false, "decision_id": "d_1" }', headers=headers)
    assert first == again
    assert len(store.feedback_of("d_1")) == 1


def test_the_same_key_with_another_body_is_a_conflict(app: Handler) -> None:
    headers = {"Idempotency-Key": "k-1"}
    give(app, {"decision_id": "d_1", "correct": False}, headers=headers)
    status, problem = give(app, {"decision_id": "d_1", "correct": True}, headers=headers)
    assert status == 409
    assert "use a new key" in problem["detail"]


def test_moderators_do_not_share_keys(app: Handler, store: SqliteStore) -> None:
    for moderator in ("mia", "noa"):
        headers = {"Idempotency-Key": "k-1"}
        assert give(app, {"decision_id": "d_1", "correct": False}, headers=headers, subject=moderator)[0] == 201
    assert len(store.feedback_of("d_1")) == 2


def test_new_keys_make_new_records(app: Handler, store: SqliteStore) -> None:
    for key in ("k-1", "k-2"):
        give(app, {"decision_id": "d_1", "correct": False}, headers={"Idempotency-Key": key})
    assert len(store.feedback_of("d_1")) == 2


def test_a_retry_without_a_key_duplicates_nothing(app: Handler, store: SqliteStore) -> None:
    body = {"decision_id": "d_1", "correct": False}
    assert give(app, body) == give(app, body)
    assert len(store.feedback_of("d_1")) == 1


@pytest.mark.parametrize("key", ["", "k" * 257, "schlüssel", "a\tb"])
def test_a_key_has_1_to_256_printable_characters(app: Handler, key: str) -> None:
    status, problem = give(app, {"decision_id": "d_1", "correct": True}, headers={"Idempotency-Key": key})
    assert status == 400
    assert "1 to 256 printable" in problem["detail"]


def test_a_decision_is_shown_as_it_was_made(app: Handler) -> None:
    status, shown = send(app, "GET", "/decisions/d_1")
    assert status == 200
    assert shown == {
        "decision_id": "d_1",
        "text": "you fool",
        "scores": {"insult": 0.9, "threat": 0.1},
        "action": "review",
        "reasons": [{"category": "insult", "score": 0.9, "threshold": 0.8, "action": "review"}],
        "model": {"name": "starter", "version": "1.0.0"},
        "policy": {"name": "default", "version": 1},
        "created": "2026-11-21T12:00:00+00:00",
        "kept_because": "flagged",
        "sampling_probability": None,
        "item_id": None,
        "feedback": [],
    }


def test_an_erased_decision_is_gone(app: Handler) -> None:
    assert send(app, "DELETE", "/decisions/d_1") == (204, None)
    assert send(app, "GET", "/decisions/d_1")[0] == 404
    assert send(app, "DELETE", "/decisions/d_1")[0] == 404
