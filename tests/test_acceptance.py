"""Labels that are ready for a dataset stand on trusted answers, and say where they come from."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from moderato.acceptance import decode, encode
from moderato.review_queue import ReviewQueue, Rules
from moderato.reviews import Label, Status
from moderato.sqlite import SqliteStore
from tests.queues import CATEGORIES, Time, add, report, settle
from tests.records import feedback


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


def test_accepted_labels_come_with_review_and_feedback(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    report(store, review_id, "mia")
    settle(queue, review_id, "insult")
    (accepted,) = queue.accepted()
    assert accepted.label == store.get_label(review_id)
    assert accepted.review == store.get_review(review_id)
    assert accepted.feedback_ids == [f"f_mia_{review_id}"]


def test_a_label_says_in_which_categories_it_overturns_the_decision(store: SqliteStore, queue: ReviewQueue) -> None:
    # The decision flagged an insult; annotators say that it is a threat, and no insult.
    (review_id,) = add(store, 1)
    settle(queue, review_id, "threat")
    (accepted,) = queue.accepted()
    assert accepted.reversed == ["insult", "threat"]


def test_without_a_stored_decision_feedback_tells_what_was_overturned(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1, action=None, scores={}, reasons=[])
    labels = {"insult": True, "threat": True}
    given = feedback(labels=labels, correct=None, moderator="mia", review_id=review_id)
    store.record_feedback(given, "digest", None)
    settle(queue, review_id, "threat")
    (accepted,) = queue.accepted()
    assert accepted.reversed == ["threat"]


def test_the_line_of_an_accepted_label_says_all_that_training_needs(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1, text="zwei\nZeilen \u2028 ünd")
    settle(queue, review_id, "insult")
    (accepted,) = queue.accepted()
    line = encode(accepted)
    assert b"\n" not in line
    assert msgspec.json.decode(line) == {
        "review_id": review_id,
        "decision_id": "d_1",
        "feedback_ids": [],
        "text": "zwei\nZeilen \u2028 ünd",
        "values": {"insult": True, "threat": False},
        "method": "agreement",
        "annotators": ["ann", "ben", "cem"],
        "created": accepted.label.created,
        "reversed": [],
    }
    assert decode(line).text == "zwei\nZeilen \u2028 ünd"


def test_what_a_dataset_has_is_not_accepted_again(store: SqliteStore, queue: ReviewQueue) -> None:
    first, second = add(store, 1, 2)
    settle(queue, first)
    settle(queue, second)
    store.mark_labels([first], "starter-1")
    assert [one.label.review_id for one in queue.accepted()] == [second]


def test_a_label_whose_annotator_turns_out_to_be_the_reporter_is_taken_back(
    store: SqliteStore, queue: ReviewQueue
) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    report(store, review_id, "cem")
    assert queue.accepted() == []
    assert store.get_review(review_id).status is Status.WAITING


def test_a_label_that_rests_on_a_job_is_accepted_as_it_is(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    label = Label(
        review_id=review_id,
        values={"insult": True, "threat": None},
        method="groundtruth",
        annotators=[],
        created="2026-11-21T13:00:00+00:00",
        job="job-1",
    )
    store.settle(label)
    assert [one.label for one in queue.accepted()] == [label]


def test_an_erased_review_leaves_no_accepted_label(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    store.delete_decision("d_1")
    assert queue.accepted() == []


def test_no_more_than_asked_for_are_accepted_and_the_oldest_first(store: SqliteStore, queue: ReviewQueue) -> None:
    for review_id in (ids := add(store, *range(5))):
        settle(queue, review_id)
    assert [one.label.review_id for one in queue.accepted(limit=2)] == ids[:2]


def test_the_share_of_one_annotator_is_capped(store: SqliteStore, clock: Time) -> None:
    queue = ReviewQueue(store, CATEGORIES, clock, Rules())
    ids = add(store, *range(30))
    others = [f"a{number}" for number in range(8)]
    for number, review_id in enumerate(ids):
        seats = [others[(number + step) % 8] for step in range(3)]
        for annotator in ["eve", *seats[:2]] if number < 20 else seats:
            queue.annotate(review_id, annotator, ["insult"])
    accepted = queue.accepted()
    assert len(accepted) == 20
    assert sum("eve" in one.label.annotators for one in accepted) == 10
