"""The queue hands each annotator what they may answer, and settles what counted answers agree on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderato.errors import Conflict, Forbidden, InvalidRequest, UnknownReview
from moderato.policy import Action, Reason
from moderato.review_queue import Filters, ReviewQueue
from moderato.reviews import Label, ReviewReason, Status
from moderato.sqlite import SqliteStore
from tests.queues import ANY, Time, add, dispute, offered, report, settle
from tests.records import feedback


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


def test_the_oldest_disagreement_comes_first_then_the_uncertain_then_the_sample(
    store: SqliteStore, queue: ReviewQueue
) -> None:
    (sampled,) = add(store, 1, reason=ReviewReason.SAMPLED)
    (uncertain,) = add(store, 2, reason=ReviewReason.UNCERTAIN)
    younger, older = add(store, 4, 3)
    order = []
    while (found := offered(queue, "ann")) is not None:
        order.append(found)
        queue.annotate(found, "ann", [])
    assert order == [older, younger, uncertain, sampled]


def test_asked_again_it_offers_the_same(store: SqliteStore, queue: ReviewQueue) -> None:
    first, _ = add(store, 1, 2)
    assert [offered(queue, "ann") for _ in range(3)] == [first] * 3


def test_more_annotators_than_a_review_needs_are_spread_over_the_oldest(store: SqliteStore, queue: ReviewQueue) -> None:
    first, *oldest = add(store, *range(30))[:5]
    names = [f"ann{number}" for number in range(12)]
    for name in names:
        queue.annotate(first, name, None)
    found = [offered(queue, name) for name in names]
    assert set(found) <= set(oldest)
    assert len(set(found)) >= 3
    assert [offered(queue, name) for name in names] == found


def test_nobody_is_offered_what_they_reported_answered_or_skipped(store: SqliteStore, queue: ReviewQueue) -> None:
    reported, answered, skipped, open_one = add(store, 1, 2, 3, 4)
    report(store, reported, "ann")
    queue.annotate(answered, "ann", ["insult"])
    queue.annotate(skipped, "ann", None)
    assert offered(queue, "ann") == open_one
    assert offered(queue, "ben") == reported


def test_it_looks_through_as_many_pages_as_it_takes(store: SqliteStore, queue: ReviewQueue) -> None:
    *others, last = add(store, *range(210))
    for review_id in others:
        report(store, review_id, "ann")
    assert offered(queue, "ann") == last


def test_nothing_waits_in_an_empty_store(queue: ReviewQueue) -> None:
    assert queue.offer("ann") is None


def test_filters_choose_by_reason_category_and_age(store: SqliteStore, queue: ReviewQueue, clock: Time) -> None:
    (old,) = add(store, 1, reason=ReviewReason.UNCERTAIN)
    (threat,) = add(store, 120, scores={"insult": 0.1, "threat": 0.7}, reasons=[])
    both = [Reason("insult", 0.9, 0.8, Action.REVIEW), Reason("threat", 0.95, 0.8, Action.REVIEW)]
    (flagged,) = add(store, 180, scores={"insult": 0.9, "threat": 0.95}, reasons=both)
    clock.now = datetime(2026, 11, 28, 12, 1, tzinfo=UTC)
    assert offered(queue, "ann", Filters(reason=ReviewReason.UNCERTAIN)) == old
    assert offered(queue, "ann", Filters(category="threat")) == threat
    assert offered(queue, "ann", Filters(category="insult")) == flagged
    assert offered(queue, "ann", Filters(older_than_days=7)) == old
    assert offered(queue, "ann", Filters(older_than_days=8)) is None
    assert offered(queue, "ann", Filters(category="spam")) is None


def test_waiting_reviews_come_in_pages_oldest_first(store: SqliteStore, queue: ReviewQueue) -> None:
    ids = add(store, *range(7))
    first = queue.waiting(ANY, 3)
    second = queue.waiting(ANY, 3, first.cursor)
    third = queue.waiting(ANY, 3, second.cursor)
    assert [one.review_id for page in (first, second, third) for one in page.records] == ids
    assert third.cursor is None


def test_a_filtered_list_misses_nothing_and_repeats_nothing(store: SqliteStore, queue: ReviewQueue) -> None:
    wanted: list[str] = []
    for number in range(30):
        is_threat = number % 7 in (1, 2, 3)
        scores = {"insult": 0.1, "threat": 0.9} if is_threat else {"insult": 0.9, "threat": 0.1}
        ids = add(store, number, scores=scores, reasons=[])
        wanted += ids if is_threat else []
    page = queue.waiting(Filters(category="threat"), 2)
    pages = [[one.review_id for one in page.records]]
    while page.cursor is not None:
        page = queue.waiting(Filters(category="threat"), 2, page.cursor)
        pages.append([one.review_id for one in page.records])
    assert [review_id for found in pages for review_id in found] == wanted
    assert max(map(len, pages)) == 2


def test_disputes_are_listed_apart(store: SqliteStore, queue: ReviewQueue) -> None:
    disputed, waiting = add(store, 1, 2)
    dispute(queue, disputed)
    assert [one.review_id for one in queue.disputed(10).records] == [disputed]
    assert [one.review_id for one in queue.waiting(ANY, 10).records] == [waiting]


def test_a_bad_cursor_is_refused(queue: ReviewQueue) -> None:
    for cursor in ("", "é", "bm9wZQ==", "\ud800"):
        with pytest.raises(InvalidRequest):
            queue.waiting(ANY, 3, cursor)


def test_the_third_of_three_equal_answers_settles_a_review(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1, expires=2_000_000_000)
    assert queue.annotate(review_id, "ann", ["insult"]).status is Status.WAITING
    assert queue.annotate(review_id, "ben", ["insult"]).status is Status.WAITING
    assert queue.annotate(review_id, "cem", ["insult"]).status is Status.SETTLED
    label = store.get_label(review_id)
    assert label is not None
    assert label == Label(
        review_id=review_id,
        values={"insult": True, "threat": False},
        method="agreement",
        annotators=["ann", "ben", "cem"],
        created=label.created,
        expires=2_000_000_000,
    )
    assert label.created[:16] == "2026-11-21T12:00"


def test_three_different_answers_are_a_dispute(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    assert dispute(queue, review_id).status is Status.DISPUTED
    assert queue.disputed_categories(review_id) == ["insult"]
    assert store.get_label(review_id) is None


def test_skips_settle_nothing(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    for annotator in ("ann", "ben", "cem", "dan"):
        assert queue.annotate(review_id, annotator, None).status is Status.WAITING


def test_the_same_answer_again_is_the_same_answer(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    assert queue.annotate(review_id, "cem", ["insult"]).status is Status.SETTLED
    assert len(store.annotations_of(review_id)) == 3


@pytest.mark.parametrize(("labels", "note"), [([], None), (None, None), (["insult"], "really")])
def test_another_answer_of_the_same_annotator_is_a_conflict(
    store: SqliteStore, queue: ReviewQueue, labels: list[str] | None, note: str | None
) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["insult"])
    with pytest.raises(Conflict):
        queue.annotate(review_id, "ann", labels, note)
    assert [one.labels for one in store.annotations_of(review_id)] == [["insult"]]


def test_a_review_that_no_longer_waits_takes_no_answer(store: SqliteStore, queue: ReviewQueue) -> None:
    (settled,) = add(store, 1)
    settle(queue, settled)
    (in_job,) = add(store, 2, status=Status.LABELING)
    (disputed,) = add(store, 3)
    dispute(queue, disputed)
    for review_id in (settled, in_job, disputed):
        with pytest.raises(Conflict):
            queue.annotate(review_id, "dan", [])


def test_a_reporter_may_not_answer(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    report(store, review_id, "ann")
    with pytest.raises(Forbidden):
        queue.annotate(review_id, "ann", [])


def test_an_unknown_label_and_an_unknown_review_are_named(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    with pytest.raises(InvalidRequest, match="the categories are insult, threat"):
        queue.annotate(review_id, "ann", ["rude"])
    with pytest.raises(InvalidRequest, match="2000 characters"):
        queue.annotate(review_id, "ann", [], "a" * 2001)
    with pytest.raises(UnknownReview):
        queue.annotate("r_none", "ann", [])


def test_labels_are_kept_once_and_in_the_order_of_the_categories(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["threat", "insult", "threat"])
    assert store.annotations_of(review_id)[0].labels == ["insult", "threat"]


def test_nobody_sees_others_answers_before_their_own(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["insult"])
    assert queue.answers(review_id, "ben") == []
    queue.annotate(review_id, "ben", None)
    assert [one.annotator for one in queue.answers(review_id, "ben")] == ["ben"]
    queue.annotate(review_id, "cem", [])
    assert [one.annotator for one in queue.answers(review_id, "cem")] == ["ann", "ben", "cem"]


def test_an_adjudicator_sees_the_answers_of_a_dispute(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["insult"])
    assert queue.answers(review_id, "ada", is_adjudicator=True) == []
    queue.annotate(review_id, "ben", ["insult"])
    queue.annotate(review_id, "cem", [])
    assert len(queue.answers(review_id, "ada", is_adjudicator=True)) == 3
    assert queue.answers(review_id, "dan") == []


def test_an_answer_can_be_taken_back_and_given_anew(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ann", ["insult"])
    queue.withdraw(review_id, "ann")
    assert offered(queue, "ann") == review_id
    queue.annotate(review_id, "ann", [])
    assert [one.labels for one in store.annotations_of(review_id)] == [[]]


def test_a_label_goes_with_the_answer_that_it_rested_on(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    queue.withdraw(review_id, "cem")
    assert store.get_label(review_id) is None
    assert store.get_review(review_id).status is Status.WAITING


def test_a_dispute_ends_with_the_answer_that_caused_it(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    dispute(queue, review_id)
    queue.withdraw(review_id, "cem")
    assert store.get_review(review_id).status is Status.WAITING


def test_a_withdrawn_adjudication_leaves_the_dispute(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    dispute(queue, review_id)
    queue.adjudicate(review_id, "ada", [])
    queue.withdraw(review_id, "ada")
    assert store.get_review(review_id).status is Status.DISPUTED


def test_what_a_dataset_has_stays(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    settle(queue, review_id, "insult")
    store.mark_labels([review_id], "starter-1")
    with pytest.raises(Conflict):
        queue.withdraw(review_id, "cem")
    assert len(store.annotations_of(review_id)) == 3


def test_to_take_back_nothing_changes_nothing(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.withdraw(review_id, "ann")
    with pytest.raises(UnknownReview):
        queue.withdraw("r_none", "ann")


def test_an_adjudicator_decides_what_is_in_dispute_and_the_rest_stands(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    dispute(queue, review_id)
    assert queue.adjudicate(review_id, "ada", ["threat"], "a joke").status is Status.SETTLED
    label = store.get_label(review_id)
    assert label is not None
    assert (label.values, label.method) == ({"insult": False, "threat": False}, "adjudication")
    assert (label.adjudicator, label.annotators) == ("ada", ["ada", "ann", "ben", "cem"])


def test_neither_reporter_nor_annotator_may_adjudicate(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    report(store, review_id, "rob")
    dispute(queue, review_id)
    for name in ("rob", "ann"):
        with pytest.raises(Forbidden):
            queue.adjudicate(review_id, name, [])


def test_who_skipped_it_may_adjudicate(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    queue.annotate(review_id, "ada", None)
    dispute(queue, review_id)
    assert queue.adjudicate(review_id, "ada", []).status is Status.SETTLED


def test_only_disputes_are_adjudicated_and_only_once(store: SqliteStore, queue: ReviewQueue) -> None:
    waiting, disputed = add(store, 1, 2)
    dispute(queue, disputed)
    with pytest.raises(Conflict):
        queue.adjudicate(waiting, "ada", [])
    queue.adjudicate(disputed, "ada", ["insult"])
    assert queue.adjudicate(disputed, "ada", ["insult"]).status is Status.SETTLED
    with pytest.raises(Conflict):
        queue.adjudicate(disputed, "ada", [])
    with pytest.raises(Conflict):
        queue.adjudicate(disputed, "abe", ["insult"])


def test_feedback_on_the_review_is_what_makes_a_reporter(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    other = feedback(feedback_id="f_2", review_id="r_other")
    store.record_feedback(other, "digest", None)
    assert queue.annotate(review_id, "mia", []).status is Status.WAITING
