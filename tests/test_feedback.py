"""What moderators say is recorded once, and what they call wrong waits for a review."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback.app import Handler, create_app
from moderato.decisions import ModelName
from moderato.policy import Action
from moderato.reviews import ReviewReason, Status, review_id_of
from moderato.sqlite import SqliteStore
from tests.events import send
from tests.records import decision, logger_to

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Open a store that holds one decision: `d_1`, to review an insult."""
    store = SqliteStore(tmp_path / "moderato.db", clock=lambda: NOON)
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


def test_a_text_without_a_decision_is_reviewed_when_labelled(app: Handler, store: SqliteStore) -> None:
    status, answer = give(app, {"text": "you nice fool", "labels": {"insult": False}})
    assert (status, answer["review_queued"], answer["decision_id"]) == (201, True, None)
    (review,) = store.list_reviews(Status.WAITING, 10).records
    assert (review.text, review.reason, review.decision_id) == ("you nice fool", ReviewReason.DISAGREEMENT, None)
    assert (review.scores, review.reasons, review.action, review.model) == ({}, [], None, None)


@pytest.mark.parametrize("correct", [True, False])
def test_a_text_without_a_decision_cannot_be_called_right_or_wrong(app: Handler, correct: bool) -> None:
    status, problem = give(app, {"text": "you fool", "correct": correct})
    assert status == 400
    assert "`labels` of the text instead" in problem["detail"]


def test_disagreement_queues_the_review_of_the_decision(app: Handler, store: SqliteStore) -> None:
    give(app, {"decision_id": "d_1", "correct": False})
    (review,) = store.list_reviews(Status.WAITING, 10).records
    assert (review.decision_id, review.text, review.action) == ("d_1", "you fool", Action.REVIEW)
    assert (review.scores, review.model) == ({"insult": 0.9, "threat": 0.1}, ModelName("starter", "1.0.0"))
    assert (review.created, review.status) == ("2026-11-21T12:00:00+00:00", Status.WAITING)


def test_any_number_of_reports_of_one_thing_queue_it_once(app: Handler, store: SqliteStore) -> None:
    for moderator in ("mia", "noa"):
        give(app, {"decision_id": "d_1", "correct": False}, subject=moderator)
        give(app, {"text": "You fool", "labels": {"insult": False}}, subject=moderator)
        give(app, {"text": "you, FOOL!", "labels": {"insult": False}}, subject=moderator)
    assert len(store.list_reviews(Status.WAITING, 10).records) == 2


def test_agreeing_feedback_names_the_review_too_so_that_its_giver_counts_as_a_reporter(
    app: Handler, store: SqliteStore
) -> None:
    give(app, {"decision_id": "d_1", "correct": True}, subject="mia")
    (given,) = store.feedback_of_review(review_id_of("d_1", None))
    assert given.moderator == "mia"


def test_feedback_and_review_are_kept_as_long_as_the_decision(app: Handler, store: SqliteStore) -> None:
    store.record_decisions([decision(decision_id="d_2", expires=1_900_000_000)])
    give(app, {"decision_id": "d_2", "correct": False})
    (review,) = store.list_reviews(Status.WAITING, 10).records
    assert review.expires == 1_900_000_000
    assert store.feedback_of("d_2")[0].expires == 1_900_000_000


def test_feedback_without_a_decision_is_kept_for_180_days(app: Handler, store: SqliteStore) -> None:
    give(app, {"text": "you nice fool", "labels": {"insult": False}})
    (review,) = store.list_reviews(Status.WAITING, 10).records
    # 20 May 2027, 12:00 UTC
    assert review.expires == 1_810_814_400
    assert store.feedback_of_review(review.review_id)[0].expires == 1_810_814_400


def test_erased_feedback_is_gone_and_the_review_of_its_text_with_it(app: Handler, store: SqliteStore) -> None:
    _, answer = give(app, {"text": "you nice fool", "labels": {"insult": False}})
    assert send(app, "DELETE", f"/feedback/{answer['feedback_id']}") == (204, None)
    assert store.list_reviews(Status.WAITING, 10).records == []
    assert send(app, "DELETE", f"/feedback/{answer['feedback_id']}")[0] == 404


def test_100_requests_at_once_with_one_key_make_one_record_and_get_one_answer(app: Handler, store: SqliteStore) -> None:
    def ask(_: int) -> tuple[int, Any]:
        return give(app, {"decision_id": "d_1", "correct": False}, headers={"Idempotency-Key": "k-1"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(100)))
    assert answers == [answers[0]] * 100
    assert answers[0][0] == 201
    (stored,) = store.feedback_of("d_1")
    assert len(store.list_reviews(Status.WAITING, 10).records) == 1
    status, _ = give(app, {"decision_id": "d_1", "correct": True}, headers={"Idempotency-Key": "k-1"})
    assert status == 409
    assert store.feedback_of("d_1") == [stored]
    assert stored.correct is False


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
        "expires": None,
        "feedback": [],
    }


def test_decisions_are_listed_newest_first_in_pages(app: Handler, store: SqliteStore) -> None:
    others = [decision(decision_id=f"d_{n}", created=f"2026-11-21T13:00:0{n}+00:00") for n in range(2, 5)]
    store.record_decisions(others)
    _, first = send(app, "GET", "/decisions", query={"limit": "3"})
    assert [one["decision_id"] for one in first["decisions"]] == ["d_4", "d_3", "d_2"]
    assert first["decisions"][0]["text"] == "you fool"
    _, second = send(app, "GET", "/decisions", query={"limit": "3", "cursor": first["cursor"]})
    assert [one["decision_id"] for one in second["decisions"]] == ["d_1"]
    assert second["cursor"] is None


@pytest.mark.parametrize("groups", [(), ("annotators",)])
def test_a_moderators_token_alone_erases_nothing(app: Handler, store: SqliteStore, groups: tuple[str, ...]) -> None:
    _, answer = give(app, {"decision_id": "d_1", "correct": False}, subject="mia")
    for path in ("/decisions/d_1", f"/feedback/{answer['feedback_id']}"):
        status, problem = send(app, "DELETE", path, subject="mia", groups=groups)
        assert (status, problem["title"]) == (403, "Forbidden")
    assert len(store.feedback_of("d_1")) == 1
    assert send(app, "DELETE", "/decisions/d_1", subject="ada", groups=("adjudicators",)) == (204, None)


def test_an_erased_decision_is_gone(app: Handler) -> None:
    assert send(app, "DELETE", "/decisions/d_1") == (204, None)
    assert send(app, "GET", "/decisions/d_1")[0] == 404
    assert send(app, "DELETE", "/decisions/d_1")[0] == 404
