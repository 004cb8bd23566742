"""A review has the status, and the label, that its answers come to: after a crash, a race and a labeling job too."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moderato.review_queue import ReviewQueue
from moderato.reviews import Annotation, Label, Status
from moderato.sqlite import SqliteStore
from tests.queues import Time, add, add_gold, dispute, report, settle


class RacingStore(SqliteStore):
    """A store in which something else happens just before a review is settled, once."""

    before_settling: Callable[[], object] | None = None

    def settle(self, label: Label) -> None:
        """Let the other thing happen, and settle."""
        happen, self.before_settling = self.before_settling, None
        if happen is not None:
            happen()
        super().settle(label)


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[RacingStore]:
    """Open an empty store."""
    store = RacingStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


def answer(store: SqliteStore, review_id: str, annotator: str, *labels: str) -> None:
    """Record an answer and nothing else, as if all were killed right after."""
    created = "2026-11-21T12:00:00+00:00"
    store.record_annotation(Annotation(review_id=review_id, annotator=annotator, labels=list(labels), created=created))


def settle_by_job(store: SqliteStore, review_id: str) -> None:
    """Settle a review as the consolidation of a labeling job says."""
    values: dict[str, bool | None] = {"insult": True, "threat": False}
    created = "2026-11-21T12:30:00+00:00"
    store.settle(
        Label(review_id=review_id, values=values, method="groundtruth", annotators=[], created=created, job="job-1")
    )


def test_an_answer_that_comes_while_another_settles_the_review_counts(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["insult"])
    queue.annotate(review_id, "ben", ["insult"])
    store.before_settling = lambda: queue.annotate(review_id, "dan", ["threat"])
    assert queue.annotate(review_id, "cem", ["insult"]).status is Status.DISPUTED
    assert store.get_review(review_id).status is Status.DISPUTED
    assert store.get_label(review_id) is None


def test_what_was_killed_after_the_third_answer_is_settled_when_labels_are_asked_for(
    store: RacingStore, queue: ReviewQueue
) -> None:
    (review_id,) = add(store, 1)
    for annotator in ("ann", "ben", "cem"):
        answer(store, review_id, annotator, "insult")
    assert [one.label.values for one in queue.accepted()] == [{"insult": True, "threat": False}]
    assert store.get_review(review_id).status is Status.SETTLED


def test_a_withdrawal_that_was_killed_half_way_can_be_repeated(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    store.withdraw_annotation(review_id, "cem")
    queue.withdraw(review_id, "cem")
    assert store.get_review(review_id).status is Status.WAITING
    assert store.get_label(review_id) is None


def test_an_old_dispute_of_somebody_distrusted_ends_when_labels_are_asked_for(
    store: RacingStore, queue: ReviewQueue
) -> None:
    disputed, *later = add(store, *range(501))
    for annotator, label in (("ann", "insult"), ("ben", "insult"), ("cem", "insult"), ("eve", "threat")):
        answer(store, disputed, annotator, label)
    queue.withdraw(disputed, "dan")
    assert store.get_review(disputed).status is Status.DISPUTED
    for review_id in later:
        queue.annotate(review_id, "eve", ["threat"])
    for review_id in add_gold(queue, 10):
        queue.annotate(review_id, "eve", ["threat"])
    assert store.get_review(disputed).status is Status.DISPUTED
    assert [one.label.annotators for one in queue.accepted()] == [["ann", "ben", "cem"]]


def test_one_who_answered_before_a_job_settled_it_cannot_take_its_label_away(
    store: RacingStore, queue: ReviewQueue
) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "eve", ["threat"])
    settle_by_job(store, review_id)
    assert queue.annotate(review_id, "eve", ["threat"]).status is Status.SETTLED
    queue.withdraw(review_id, "eve")
    assert store.get_review(review_id).status is Status.SETTLED
    label = store.get_label(review_id)
    assert label is not None
    assert label.method == "groundtruth"


def test_a_dispute_that_a_job_opened_is_about_every_category(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    store.move_review(review_id, Status.WAITING, Status.DISPUTED)
    assert queue.disputed_categories(review_id) == ["insult", "threat"]
    assert queue.adjudicate(review_id, "ada", ["threat"]).status is Status.SETTLED


def test_a_repeated_answer_to_what_a_dataset_has_is_no_conflict(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    store.mark_labels([review_id], "starter-1")
    report(store, review_id, "cem")
    for annotator in ("ann", "ben"):
        assert queue.annotate(review_id, annotator, ["insult"]).status is Status.SETTLED


def test_an_accepted_label_names_those_who_count_by_now(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    answer(store, review_id, "dan", "insult")
    report(store, review_id, "ann")
    before = store.get_label(review_id)
    assert before is not None
    (accepted,) = queue.accepted()
    assert accepted.label.annotators == ["ben", "cem", "dan"]
    assert accepted.label.created == before.created


def test_a_label_from_a_jobs_answers_keeps_its_job(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    for annotator in ("ann", "ben", "cem"):
        answer(store, review_id, annotator, "insult")
    values: dict[str, bool | None] = {"insult": True, "threat": False}
    created = "2026-11-21T12:30:00+00:00"
    names = ["ann", "ben", "cem"]
    label = Label(
        review_id=review_id, values=values, method="agreement", annotators=names, created=created, job="job-1"
    )
    store.settle(label)
    assert [one.label for one in queue.accepted()] == [label]
    assert store.get_label(review_id) == label


def test_reporting_after_answering_takes_ones_own_answer_back_and_no_other(
    store: RacingStore, queue: ReviewQueue
) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    report(store, review_id, "cem")
    assert queue.accepted() == []
    assert store.get_review(review_id).status is Status.WAITING
    assert queue.annotate(review_id, "dan", ["insult"]).status is Status.SETTLED
    assert [one.label.annotators for one in queue.accepted()] == [["ann", "ben", "dan"]]


def test_a_dispute_outlives_a_repeated_answer(store: RacingStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    dispute(queue, review_id)
    assert queue.annotate(review_id, "ann", ["insult"]).status is Status.DISPUTED
