"""Every promise of the store, held by every store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from moderato.decisions import Recorded
from moderato.dynamodb_schema import Client
from moderato.errors import Conflict, InvalidRequest, UnknownDecision, UnknownFeedback, UnknownJob, UnknownReview
from moderato.policy import Action, Reason
from moderato.reviews import Review, ReviewReason, Status, review_id_of, review_of
from moderato.store import Batch, BatchStatus, Page, Store
from tests.records import decision, feedback
from tests.stores import (
    MovableClock,
    SendsTwice,
    annotation,
    dynamo_store,
    label,
    open_sqlite,
    reported,
    reported_text,
    simulated_dynamo,
    text_review,
)

Record = TypeVar("Record")

HOSTILE = "naïve 🙂 \x00 a\u2028b \u202eright-to-left <script>alert(1)</script> {{ task }} \\ \" ' \r\n" + "é" * 19_000

REVIEW_OF_D_1 = review_id_of("d_1", None)


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands at noon."""
    return MovableClock()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of a simulated DynamoDB."""
    with simulated_dynamo() as client:
        yield client


@pytest.fixture(params=["sqlite", "dynamodb", "dynamodb-sent-twice"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: MovableClock, client: Client) -> Iterator[Store]:
    """Open an empty store of each kind."""
    if request.param == "dynamodb":
        yield dynamo_store(client, clock)
    elif request.param == "dynamodb-sent-twice":
        yield dynamo_store(client, clock, SendsTwice)
    else:
        with open_sqlite(tmp_path / "moderato.sqlite3", clock) as store:
            yield store


def pages(read: Callable[[str | None], Page[Record]]) -> list[list[Record]]:
    """Return all pages of a list."""
    found, cursor, is_more = [], None, True
    while is_more:
        page = read(cursor)
        found.append(page.records)
        cursor, is_more = page.cursor, page.cursor is not None
    return found


def minute(number: int) -> str:
    """Return the time so many minutes after noon."""
    return f"2026-11-21T12:{number:02}:00+00:00"


def queue(store: Store, count: int) -> list[Review]:
    """Add so many waiting reviews, a minute apart."""
    reviews = [text_review(f"text {number}", created=minute(number)) for number in range(count)]
    assert all(store.add_review(review) for review in reviews)
    return reviews


def batch(reviews: list[Review], job: str = "moderato-1", **fields: Any) -> Batch:
    """Return a batch of these reviews."""
    return Batch(job=job, review_ids=[review.review_id for review in reviews], created=minute(0), **fields)


def status_of(store: Store, review: Review) -> Status:
    """Return where a review stands."""
    return store.get_review(review.review_id).status


# Decisions


def test_a_decision_comes_back_as_it_was(store: Store) -> None:
    kept = decision(
        text=HOSTILE,
        item_id="null",
        scores={"insult": 5e-324, "threat": 1.0, "": 0.1},
        reasons=[Reason("insult", 0.9, 0.8, Action.BLOCK)],
        sampling_probability=0.01,
        kept_because="sampled",
        expires=2_000_000_000,
    )
    store.record_decisions([kept])
    assert store.get_decision("d_1") == kept


def test_a_decision_that_is_there_stays_as_it_is(store: Store) -> None:
    store.record_decisions([decision(text="first")])
    store.record_decisions([decision(text="second"), decision(decision_id="d_2", text="third")])
    assert [store.get_decision(one).text for one in ("d_1", "d_2")] == ["first", "third"]


def test_a_decision_is_stored_with_its_review(store: Store) -> None:
    kept = [decision(), decision(decision_id="d_2"), decision(decision_id="d_3")]
    queued = [review_of(one, ReviewReason.UNCERTAIN, minute(0)) for one in kept[:2]]
    store.record_decisions(kept, queued)
    assert [store.get_decision(one.decision_id) for one in kept] == kept
    assert [store.get_review(one.review_id) for one in queued] == queued
    with pytest.raises(UnknownReview):
        store.get_review(review_id_of("d_3", None))


def test_a_review_that_is_there_stays_when_its_decision_comes(store: Store) -> None:
    first = review_of(decision(), ReviewReason.DISAGREEMENT, minute(0))
    store.add_review(first)
    store.record_decisions([decision()], [review_of(decision(), ReviewReason.UNCERTAIN, minute(1))])
    assert store.get_decision("d_1") == decision()
    assert store.get_review(REVIEW_OF_D_1) == first


def test_a_hundred_of_the_longest_texts_are_stored_at_once(store: Store) -> None:
    longest = "\x00" * 20_000  # a character that JSON writes with six
    kept = [decision(decision_id=f"d_{number}", text=longest) for number in range(100)]
    store.record_decisions(kept, [review_of(one, ReviewReason.UNCERTAIN, minute(0)) for one in kept])
    assert store.get_decision("d_99").text == longest
    assert store.count_reviews()[Status.WAITING] == 100


def test_recording_nothing_is_fine(store: Store) -> None:
    store.record_decisions([])
    assert store.list_decisions(10) == Page([])


@pytest.mark.parametrize("decision_id", ["d_9", "", "d" * 5_000, "\u2028\x00"])
def test_a_decision_that_was_never_stored_is_unknown(store: Store, decision_id: str) -> None:
    store.record_decisions([decision()])
    with pytest.raises(UnknownDecision):
        store.get_decision(decision_id)
    with pytest.raises(UnknownDecision):
        store.delete_decision(decision_id)
    assert store.erased() == set()


def test_decisions_are_listed_newest_first_each_on_one_page(store: Store) -> None:
    kept = [decision(decision_id=f"d_{number}", created=minute(number // 2)) for number in range(5)]
    store.record_decisions(kept)
    listed = pages(lambda cursor: store.list_decisions(2, cursor))
    assert [[one.decision_id for one in page] for page in listed] == [["d_4", "d_3"], ["d_2", "d_1"], ["d_0"]]
    assert pages(lambda cursor: store.list_decisions(5, cursor)) == [kept[::-1]]


def test_a_decision_made_while_a_list_is_read_moves_nothing_to_another_page(store: Store) -> None:
    store.record_decisions([decision(decision_id=f"d_{number}", created=minute(number)) for number in range(4)])
    first = store.list_decisions(2)
    store.record_decisions([decision(decision_id="d_9", created=minute(9))])
    second = store.list_decisions(2, first.cursor)
    assert [one.decision_id for one in first.records + second.records] == ["d_3", "d_2", "d_1", "d_0"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "bm8=", "eyJhIjoxfQ==", "WzEsMl0=", "/w=="])
def test_a_cursor_that_no_list_gave_is_refused(store: Store, cursor: str) -> None:
    for read in (store.list_decisions, store.list_labels):
        with pytest.raises(InvalidRequest):
            read(10, cursor)
    with pytest.raises(InvalidRequest):
        store.list_reviews(Status.WAITING, 10, cursor)
    with pytest.raises(InvalidRequest):
        store.annotations_by("ann", 10, cursor)


# Feedback


def test_feedback_and_its_review_are_stored_together(store: Store) -> None:
    given, review = reported(labels={"insult": False}, correct=None, note=HOSTILE, text=HOSTILE, expires=2_000_000_000)
    assert store.record_feedback(given, "digest", review) == Recorded("f_1", review_queued=True, replayed=False)
    assert store.feedback_of("d_1") == [given]
    assert store.feedback_of_review(review.review_id) == [given]
    assert store.get_review(review.review_id) == review


def test_feedback_without_a_review_queues_none(store: Store) -> None:
    given, review = reported(correct=True)
    assert store.record_feedback(given, "digest", None) == Recorded("f_1", review_queued=False, replayed=False)
    assert store.feedback_of("d_1") == [given]
    with pytest.raises(UnknownReview):
        store.get_review(review.review_id)


def test_feedback_on_a_text_is_found_by_its_review_only(store: Store) -> None:
    given, review = reported_text()
    store.record_feedback(given, "digest", review)
    assert store.feedback_of_review(review.review_id) == [given]
    assert store.feedback_of("d_1") == []


def test_a_second_report_is_stored_and_leaves_the_review_as_it_is(store: Store) -> None:
    first, review = reported()
    store.record_feedback(first, "a", review)
    store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
    second, again = reported(feedback_id="f_2", moderator="noa", created=minute(1))
    assert store.record_feedback(second, "b", again) == Recorded("f_2", review_queued=True, replayed=False)
    assert store.feedback_of("d_1") == [first, second]
    assert status_of(store, review) is Status.DISPUTED


def test_the_same_feedback_again_changes_nothing_and_gets_the_first_answer(store: Store) -> None:
    given, review = reported()
    store.record_feedback(given, "digest", review)
    later, _ = reported(created=minute(9), moderator="eve")
    assert store.record_feedback(later, "digest", None) == Recorded("f_1", review_queued=True, replayed=True)
    assert store.feedback_of("d_1") == [given]


def test_another_request_under_a_used_id_is_a_conflict(store: Store) -> None:
    given, review = reported()
    store.record_feedback(given, "digest", review)
    other, other_review = reported("d_2", note="other")
    with pytest.raises(Conflict):
        store.record_feedback(other, "other digest", other_review)
    assert store.feedback_of("d_1") == [given]
    assert store.feedback_of("d_2") == []
    with pytest.raises(UnknownReview):
        store.get_review(other_review.review_id)


def test_a_hundred_tries_at_once_are_one_record_and_get_one_answer(store: Store) -> None:
    given, review = reported()
    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(lambda _: store.record_feedback(given, "digest", review), range(100)))
    assert {(one.feedback_id, one.review_queued) for one in recorded} == {("f_1", True)}
    assert sum(not one.replayed for one in recorded) == 1
    assert store.feedback_of("d_1") == [given]
    assert store.count_reviews()[Status.WAITING] == 1


def test_feedback_is_listed_oldest_first(store: Store) -> None:
    for number, created in enumerate([minute(2), minute(0), minute(1)]):
        given, _ = reported(feedback_id=f"f_{number}", created=created)
        store.record_feedback(given, f"digest {number}", None)
    assert [one.feedback_id for one in store.feedback_of("d_1")] == ["f_1", "f_2", "f_0"]
    assert [one.feedback_id for one in store.feedback_of_review(REVIEW_OF_D_1)] == ["f_1", "f_2", "f_0"]


# Reviews


def test_a_review_comes_back_as_it_was(store: Store) -> None:
    review = review_of(decision(text=HOSTILE), ReviewReason.SAMPLED, minute(0))
    gold = text_review("gold", status=Status.GOLD, gold={"insult": True, "threat": False}, expires=2_000_000_000)
    assert store.add_review(review)
    assert store.add_review(gold)
    assert store.get_review(review.review_id) == review
    assert store.get_review(gold.review_id) == gold


def test_a_review_is_added_once(store: Store) -> None:
    assert store.add_review(text_review())
    assert not store.add_review(text_review(created=minute(9)))
    assert store.get_review(text_review().review_id) == text_review()


@pytest.mark.parametrize("review_id", ["r_9", "", "r" * 5_000, "\u2028\x00"])
def test_a_review_that_was_never_stored_is_unknown(store: Store, review_id: str) -> None:
    store.add_review(text_review())
    with pytest.raises(UnknownReview):
        store.get_review(review_id)
    with pytest.raises(UnknownReview):
        store.record_annotation(annotation(text_review(review_id=review_id)))
    with pytest.raises(UnknownReview):
        store.settle(label(text_review(review_id=review_id)))
    with pytest.raises(UnknownReview):
        store.unsettle(review_id)
    assert not store.move_review(review_id, Status.WAITING, Status.DISPUTED)
    assert not store.withdraw_annotation(review_id, "ann")
    assert store.annotations_of(review_id) == []
    assert store.feedback_of_review(review_id) == []
    assert store.get_label(review_id) is None
    assert store.annotators() == []


def test_reviews_are_listed_by_status_oldest_first_each_on_one_page(store: Store) -> None:
    reviews = queue(store, 5)
    store.move_review(reviews[1].review_id, Status.WAITING, Status.DISPUTED)
    listed = pages(lambda cursor: store.list_reviews(Status.WAITING, 2, cursor))
    assert listed == [[reviews[0], reviews[2]], [reviews[3], reviews[4]]]
    assert [one.review_id for one in store.list_reviews(Status.DISPUTED, 9).records] == [reviews[1].review_id]
    assert store.list_reviews(Status.SETTLED, 9) == Page([])


def test_reviews_of_the_same_moment_are_each_on_one_page(store: Store) -> None:
    reviews = [text_review(f"text {number}") for number in range(7)]
    for review in reviews:
        store.add_review(review)
    listed = pages(lambda cursor: store.list_reviews(Status.WAITING, 3, cursor))
    assert [len(page) for page in listed] == [3, 3, 1]
    assert {one.review_id for page in listed for one in page} == {one.review_id for one in reviews}


def test_a_review_that_leaves_while_a_list_is_read_moves_nothing_to_another_page(store: Store) -> None:
    reviews = queue(store, 4)
    first = store.list_reviews(Status.WAITING, 2)
    store.move_review(reviews[1].review_id, Status.WAITING, Status.DISPUTED)
    assert store.list_reviews(Status.WAITING, 2, first.cursor).records == reviews[2:]


def test_reviews_of_one_reason_are_listed_alone(store: Store) -> None:
    reasons = [ReviewReason.SAMPLED, ReviewReason.DISAGREEMENT, ReviewReason.UNCERTAIN, ReviewReason.SAMPLED]
    for number, reason in enumerate(reasons):
        store.add_review(text_review(f"text {number}", reason=reason, created=minute(number)))
    listed = pages(lambda cursor: store.list_reviews(Status.WAITING, 1, cursor, reason=ReviewReason.SAMPLED))
    assert [[one.text for one in page] for page in listed] == [["text 0"], ["text 3"]]
    every = pages(lambda cursor: store.list_reviews(Status.WAITING, 3, cursor))
    assert [[one.text for one in page] for page in every] == [["text 0", "text 1", "text 2"], ["text 3"]]


def test_every_status_is_counted(store: Store) -> None:
    reviews = queue(store, 3)
    store.add_review(text_review("gold", status=Status.GOLD, gold={"insult": True}))
    store.move_review(reviews[0].review_id, Status.WAITING, Status.DISPUTED)
    assert store.count_reviews() == {
        Status.WAITING: 2, Status.LABELING: 0, Status.DISPUTED: 1, Status.SETTLED: 0, Status.GOLD: 1,
    }  # fmt: skip
    assert store.count_reviews(Status.WAITING, Status.SETTLED) == {Status.WAITING: 2, Status.SETTLED: 0}


def test_a_review_moves_from_the_expected_status_only(store: Store) -> None:
    [review] = queue(store, 1)
    assert not store.move_review(review.review_id, Status.DISPUTED, Status.SETTLED)
    assert status_of(store, review) is Status.WAITING
    assert store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
    assert not store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
    assert status_of(store, review) is Status.DISPUTED


def test_of_many_who_move_a_review_at_once_one_does(store: Store) -> None:
    [review] = queue(store, 1)
    with ThreadPoolExecutor(8) as pool:
        moved = list(
            pool.map(lambda _: store.move_review(review.review_id, Status.WAITING, Status.DISPUTED), range(20))
        )
    assert sum(moved) == 1


# Annotations


def test_an_answer_comes_back_as_it_was(store: Store) -> None:
    [review] = queue(store, 1)
    answers = [
        annotation(review, "ann", note=HOSTILE, is_adjudication=True, job="moderato-1", expires=2_000_000_000),
        annotation(review, "bob", labels=[]),
        annotation(review, "名前 🙂", labels=None, created=minute(1)),
    ]
    for answer in answers:
        store.record_annotation(answer)
    assert store.annotations_of(review.review_id) == answers
    assert store.annotations_by("名前 🙂", 9) == Page([answers[2]])


def test_the_same_answer_again_changes_nothing(store: Store) -> None:
    [review] = queue(store, 1)
    store.record_annotation(annotation(review, labels=["insult", "threat"]))
    store.record_annotation(annotation(review, labels=["threat", "insult"], created=minute(9)))
    assert store.annotations_of(review.review_id) == [annotation(review, labels=["insult", "threat"])]


@pytest.mark.parametrize("other", [{"labels": []}, {"labels": None}, {"note": "no"}, {"is_adjudication": True}])
def test_another_answer_is_a_conflict_until_the_first_is_withdrawn(store: Store, other: dict[str, Any]) -> None:
    [review] = queue(store, 1)
    store.record_annotation(annotation(review))
    with pytest.raises(Conflict):
        store.record_annotation(annotation(review, **other))
    assert store.annotations_of(review.review_id) == [annotation(review)]
    assert store.withdraw_annotation(review.review_id, "ann")
    store.record_annotation(annotation(review, **other))
    assert store.annotations_of(review.review_id) == [annotation(review, **other)]


def test_a_skip_and_none_of_the_categories_are_different_answers(store: Store) -> None:
    [review] = queue(store, 1)
    store.record_annotation(annotation(review, labels=None))
    with pytest.raises(Conflict):
        store.record_annotation(annotation(review, labels=[]))


def test_an_answer_is_withdrawn_once(store: Store) -> None:
    [review] = queue(store, 1)
    store.record_annotation(annotation(review, "ann"))
    store.record_annotation(annotation(review, "bob"))
    assert store.withdraw_annotation(review.review_id, "ann")
    assert not store.withdraw_annotation(review.review_id, "ann")
    assert store.annotations_of(review.review_id) == [annotation(review, "bob")]
    assert store.annotations_by("ann", 9) == Page([])


def test_answers_are_listed_oldest_first_by_review_and_newest_first_by_annotator(store: Store) -> None:
    reviews = queue(store, 3)
    for number, review in enumerate(reviews):
        store.record_annotation(annotation(review, "ann", created=minute(number)))
        store.record_annotation(annotation(review, "bob", created=minute(5 - number)))
    assert [one.annotator for one in store.annotations_of(reviews[0].review_id)] == ["ann", "bob"]
    listed = pages(lambda cursor: store.annotations_by("ann", 2, cursor))
    ids = [review.review_id for review in reviews]
    assert [[one.review_id for one in page] for page in listed] == [[ids[2], ids[1]], [ids[0]]]


def test_everybody_who_ever_answered_is_listed_in_alphabetical_order(store: Store) -> None:
    [review] = queue(store, 1)
    for annotator in ("cid", "ann", "bob"):
        store.record_annotation(annotation(review, annotator))
    store.withdraw_annotation(review.review_id, "bob")
    assert store.annotators() == ["ann", "bob", "cid"]


# Labels


def test_a_label_comes_back_as_it_was_and_settles_its_review(store: Store) -> None:
    [review] = queue(store, 1)
    settled = label(
        review,
        values={"insult": None, "threat": False, "🙂": True},
        method="groundtruth",
        adjudicator="dan",
        job="moderato-1",
        expires=2_000_000_000,
    )
    store.settle(settled)
    assert store.get_label(review.review_id) == settled
    assert status_of(store, review) is Status.SETTLED
    assert store.get_review(review.review_id).job == "moderato-1"


def test_a_label_that_no_dataset_has_is_replaced(store: Store) -> None:
    [review] = queue(store, 1)
    store.settle(label(review))
    other = label(review, values={"insult": False}, created=minute(1))
    store.settle(other)
    assert store.get_label(review.review_id) == other
    assert pages(lambda cursor: store.list_labels(9, cursor)) == [[other]]


def test_a_review_has_no_label_until_it_is_settled(store: Store) -> None:
    [review] = queue(store, 1)
    assert store.get_label(review.review_id) is None
    store.unsettle(review.review_id)
    assert status_of(store, review) is Status.WAITING


def test_a_label_that_is_removed_makes_its_review_wait(store: Store) -> None:
    [review] = queue(store, 1)
    store.settle(label(review, job="moderato-1"))
    store.unsettle(review.review_id)
    assert store.get_label(review.review_id) is None
    assert store.get_review(review.review_id) == review
    assert store.list_labels(9) == Page([])


def test_without_a_label_nothing_is_removed(store: Store) -> None:
    [review] = queue(store, 1)
    store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
    store.unsettle(review.review_id)
    assert status_of(store, review) is Status.DISPUTED


def test_a_label_that_a_dataset_has_stays(store: Store) -> None:
    [review] = queue(store, 1)
    store.settle(label(review))
    store.mark_labels([review.review_id], "starter 3")
    with pytest.raises(Conflict):
        store.settle(label(review, values={"insult": False}))
    with pytest.raises(Conflict):
        store.unsettle(review.review_id)
    assert store.get_label(review.review_id) == label(review, dataset="starter 3")
    assert status_of(store, review) is Status.SETTLED


def test_a_label_keeps_the_first_dataset_that_has_it(store: Store) -> None:
    reviews = queue(store, 3)
    for review in reviews:
        store.settle(label(review))
    ids = [review.review_id for review in reviews]
    store.mark_labels(ids[:1], "starter 3")
    store.mark_labels([*ids[:2], "r_9"], "starter 4")
    store.mark_labels([], "starter 5")
    found = [store.get_label(review_id) for review_id in ids]
    assert [one and one.dataset for one in found] == ["starter 3", "starter 4", None]
    assert store.get_label("r_9") is None


def test_many_labels_are_marked(store: Store) -> None:
    reviews = queue(store, 20)
    for review in reviews:
        store.settle(label(review))
    store.mark_labels({review.review_id for review in reviews}, "starter 3")
    assert {one.dataset for one in store.list_labels(99).records} == {"starter 3"}


def test_labels_are_listed_oldest_first_each_on_one_page(store: Store) -> None:
    reviews = queue(store, 3)
    for number, review in enumerate(reviews):
        store.settle(label(review, created=minute(9 - number)))
    listed = pages(lambda cursor: store.list_labels(2, cursor))
    ids = [review.review_id for review in reviews]
    assert [[one.review_id for one in page] for page in listed] == [[ids[2], ids[1]], [ids[0]]]


# Erasure


def everything_about(store: Store) -> Review:
    """Store a decision with all that may belong to it."""
    store.record_decisions([decision()])
    given, review = reported(text="you fool", note="a joke")
    store.record_feedback(given, "digest", review)
    store.record_annotation(annotation(review, note="really"))
    store.settle(label(review))
    return review


def test_erasure_leaves_nothing_and_remembers_two_ids(store: Store) -> None:
    review = everything_about(store)
    store.delete_decision("d_1")
    with pytest.raises(UnknownDecision):
        store.get_decision("d_1")
    with pytest.raises(UnknownReview):
        store.get_review(review.review_id)
    assert store.feedback_of("d_1") == []
    assert store.feedback_of_review(review.review_id) == []
    assert store.annotations_of(review.review_id) == []
    assert store.annotations_by("ann", 9) == Page([])
    assert store.get_label(review.review_id) is None
    assert store.list_labels(9) == Page([])
    assert store.list_decisions(9) == Page([])
    assert [store.list_reviews(status, 9) for status in Status] == [Page([])] * 5
    assert set(store.count_reviews().values()) == {0}
    assert store.erased() == {"d_1", review.review_id}


def test_erasure_takes_nothing_else(store: Store) -> None:
    everything_about(store)
    store.record_decisions([decision(decision_id="d_2")])
    given, review = reported("d_2", feedback_id="f_2")
    store.record_feedback(given, "digest", review)
    store.record_annotation(annotation(review))
    store.delete_decision("d_1")
    assert store.get_decision("d_2") == decision(decision_id="d_2")
    assert store.feedback_of("d_2") == [given]
    assert store.get_review(review.review_id) == review
    assert store.annotations_by("ann", 9) == Page([annotation(review)])


def test_nothing_brings_an_erased_decision_back(store: Store) -> None:
    review = everything_about(store)
    store.delete_decision("d_1")
    store.record_decisions([decision(), decision(decision_id="d_2")], [review])
    assert not store.add_review(review)
    assert not store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
    for given in (reported(text="you fool")[0], reported(feedback_id="f_2", text="you fool")[0]):
        for queued in (review, None):
            with pytest.raises(UnknownDecision):
                store.record_feedback(given, "digest", queued)
    writes: list[Callable[[], object]] = [
        lambda: store.record_annotation(annotation(review)),
        lambda: store.settle(label(review)),
        lambda: store.unsettle(review.review_id),
        lambda: store.get_decision("d_1"),
        lambda: store.get_review(review.review_id),
    ]
    for write in writes:
        with pytest.raises((UnknownDecision, UnknownReview)):
            write()
    store.mark_labels([review.review_id], "starter 3")
    assert store.feedback_of("d_1") == []
    assert store.annotations_of(review.review_id) == []
    assert store.get_label(review.review_id) is None
    assert store.get_decision("d_2") == decision(decision_id="d_2")


def test_an_erased_decision_cannot_be_erased_again(store: Store) -> None:
    everything_about(store)
    store.delete_decision("d_1")
    with pytest.raises(UnknownDecision):
        store.delete_decision("d_1")


def test_feedback_on_an_unstored_decision_can_be_erased(store: Store) -> None:
    given, review = reported(text="you fool")
    store.record_feedback(given, "digest", review)
    store.delete_decision("d_1")
    assert store.feedback_of("d_1") == []
    assert store.erased() == {"d_1", review.review_id}
    with pytest.raises(UnknownDecision):
        store.record_feedback(given, "digest", review)


def test_a_decision_with_very_many_answers_is_erased_whole(store: Store) -> None:
    review = everything_about(store)
    for number in range(30):
        given, _ = reported(feedback_id=f"f_more_{number}", text="you fool")
        store.record_feedback(given, "digest", None)
        store.record_annotation(annotation(review, f"annotator {number}"))
    store.delete_decision("d_1")
    assert store.feedback_of("d_1") == []
    assert store.annotations_of(review.review_id) == []
    assert store.annotations_by("annotator 29", 9) == Page([])
    assert store.erased() == {"d_1", review.review_id}


def test_one_feedback_is_erased_alone_where_there_is_a_decision(store: Store) -> None:
    review = everything_about(store)
    other, _ = reported(feedback_id="f_2")
    store.record_feedback(other, "digest", None)
    store.delete_feedback("f_1")
    assert store.feedback_of("d_1") == store.feedback_of_review(review.review_id) == [other]
    assert store.get_decision("d_1") == decision()
    assert store.get_label(review.review_id) == label(review)
    assert store.erased() == {"f_1"}


def test_the_last_feedback_on_a_text_takes_review_annotations_and_label_along(store: Store) -> None:
    given, review = reported_text()
    store.record_feedback(given, "digest", review)
    store.record_annotation(annotation(review))
    store.settle(label(review))
    store.delete_feedback("f_1")
    assert store.feedback_of_review(review.review_id) == []
    assert store.annotations_of(review.review_id) == []
    assert store.get_label(review.review_id) is None
    assert not store.add_review(review)
    assert store.erased() == {"f_1", review.review_id}


def test_a_text_that_others_reported_too_keeps_its_review(store: Store) -> None:
    given, review = reported_text()
    other, _ = reported_text("You fool!", feedback_id="f_2", moderator="noa")
    store.record_feedback(given, "digest", review)
    store.record_feedback(other, "digest", review)
    store.delete_feedback("f_1")
    assert store.feedback_of_review(review.review_id) == [other]
    assert store.get_review(review.review_id) == review
    store.delete_feedback("f_2")
    assert store.erased() == {"f_1", "f_2", review.review_id}


def test_nothing_brings_an_erased_feedback_back(store: Store) -> None:
    given, review = reported_text()
    store.record_feedback(given, "digest", review)
    store.delete_feedback("f_1")
    for again in (given, reported_text("You fool!", feedback_id="f_2")[0]):
        for queued in (review, None):
            with pytest.raises(UnknownReview):
                store.record_feedback(again, "digest", queued)
    on_decision, review = reported(feedback_id="f_3")
    store.record_feedback(on_decision, "digest", review)
    store.delete_feedback("f_3")
    for queued_review in (review, None):
        with pytest.raises(UnknownFeedback):
            store.record_feedback(on_decision, "digest", queued_review)
    assert store.feedback_of("d_1") == []


@pytest.mark.parametrize("feedback_id", ["f_9", "", "f" * 5_000, "\u2028\x00"])
def test_unknown_feedback_cannot_be_erased(store: Store, feedback_id: str) -> None:
    store.record_feedback(feedback(review_id=REVIEW_OF_D_1), "digest", None)
    with pytest.raises(UnknownFeedback):
        store.delete_feedback(feedback_id)
    assert store.erased() == set()


def test_feedback_is_erased_once(store: Store) -> None:
    store.record_feedback(feedback(review_id=REVIEW_OF_D_1), "digest", None)
    store.delete_feedback("f_1")
    with pytest.raises(UnknownFeedback):
        store.delete_feedback("f_1")


# Expiry


def expiring(store: Store, clock: MovableClock) -> Review:
    """Store a decision with all that may belong to it, all of which expires in a day."""
    tomorrow = clock.second(days=1)
    kept = decision(expires=tomorrow)
    review = review_of(kept, ReviewReason.UNCERTAIN, minute(0))
    store.record_decisions([kept], [review])
    store.record_feedback(reported(expires=tomorrow)[0], "digest", None)
    store.record_annotation(annotation(review, expires=tomorrow))
    store.settle(label(review, expires=tomorrow))
    return review


def test_what_has_not_expired_is_read(store: Store, clock: MovableClock) -> None:
    review = expiring(store, clock)
    clock.move(seconds=86_399)
    assert store.get_decision("d_1").decision_id == "d_1"
    assert status_of(store, review) is Status.SETTLED
    assert store.get_label(review.review_id) is not None
    assert len(store.feedback_of("d_1")) == len(store.annotations_of(review.review_id)) == 1


def test_what_has_expired_is_never_read(store: Store, clock: MovableClock) -> None:
    review = expiring(store, clock)
    clock.move(days=1)
    with pytest.raises(UnknownDecision):
        store.get_decision("d_1")
    with pytest.raises(UnknownReview):
        store.get_review(review.review_id)
    assert store.feedback_of("d_1") == []
    assert store.feedback_of_review(review.review_id) == []
    assert store.annotations_of(review.review_id) == []
    assert store.annotations_by("ann", 9) == Page([])
    assert store.get_label(review.review_id) is None
    assert store.list_labels(9) == Page([])
    assert store.list_decisions(9) == Page([])
    assert [store.list_reviews(status, 9) for status in Status] == [Page([])] * 5
    assert set(store.count_reviews().values()) == {0}
    assert store.erased() == set()


def test_nothing_is_added_to_what_has_expired(store: Store, clock: MovableClock) -> None:
    review = expiring(store, clock)
    clock.move(days=1)
    writes: list[Callable[[], object]] = [
        lambda: store.record_annotation(annotation(review, "bob")),
        lambda: store.settle(label(review)),
        lambda: store.unsettle(review.review_id),
    ]
    for write in writes:
        with pytest.raises(UnknownReview):
            write()
    assert not store.move_review(review.review_id, Status.SETTLED, Status.WAITING)
    assert not store.withdraw_annotation(review.review_id, "ann")
    assert store.annotators() == ["ann"]
    with pytest.raises(UnknownDecision):
        store.delete_decision("d_1")


def test_expired_feedback_counts_as_gone_when_it_is_erased(store: Store, clock: MovableClock) -> None:
    expiring(store, clock)
    clock.move(days=1)
    with pytest.raises(UnknownFeedback):
        store.delete_feedback("f_1")


def test_what_has_expired_makes_room(store: Store, clock: MovableClock) -> None:
    review = expiring(store, clock)
    clock.move(days=1)
    again = decision(text="again")
    store.record_decisions([again])
    assert store.get_decision("d_1") == again
    assert store.add_review(review_of(again, ReviewReason.DISAGREEMENT, minute(1)))
    given, _ = reported(note="again")
    assert store.record_feedback(given, "other digest", None).replayed is False
    assert store.feedback_of("d_1") == [given]
    store.record_annotation(annotation(review, labels=[]))
    assert store.annotations_of(review.review_id) == [annotation(review, labels=[])]
    assert store.get_label(review.review_id) is None
    store.settle(label(review))
    assert store.get_label(review.review_id) == label(review)


def test_an_expired_review_makes_room_for_that_of_new_feedback(store: Store, clock: MovableClock) -> None:
    given, review = reported_text(expires=clock.second(days=1))
    store.record_feedback(given, "digest", text_review(expires=clock.second(days=1)))
    clock.move(days=1)
    again, review = reported_text(created=minute(1))
    assert store.record_feedback(again, "other digest", review) == Recorded("f_1", review_queued=True, replayed=False)
    assert store.get_review(review.review_id) == review
    assert store.feedback_of_review(review.review_id) == [again]


def test_an_expired_label_can_be_replaced_although_a_dataset_had_it(store: Store, clock: MovableClock) -> None:
    [review] = queue(store, 1)
    store.settle(label(review, expires=clock.second(days=1)))
    store.mark_labels([review.review_id], "starter 3")
    clock.move(days=1)
    store.settle(label(review))
    assert store.get_label(review.review_id) == label(review)


def test_expired_records_leave_no_gap_in_a_page(store: Store, clock: MovableClock) -> None:
    for number in range(9):
        expires = clock.second(days=1) if number % 3 else None
        store.add_review(text_review(f"text {number}", created=minute(number), expires=expires))
    clock.move(days=1)
    listed = pages(lambda cursor: store.list_reviews(Status.WAITING, 2, cursor))
    assert [[one.text for one in page] for page in listed] == [["text 0", "text 3"], ["text 6"]]
    assert store.count_reviews()[Status.WAITING] == 3


# Batches


def test_a_batch_comes_back_as_it_was(store: Store) -> None:
    opened = batch(queue(store, 3))
    assert store.open_batch(opened) == opened
    assert store.get_batch("moderato-1") == opened


def test_while_a_batch_is_open_no_other_is(store: Store) -> None:
    reviews = queue(store, 2)
    first = store.open_batch(batch(reviews[:1]))
    assert store.open_batch(batch(reviews[1:], "moderato-2")) == first
    with pytest.raises(UnknownJob):
        store.get_batch("moderato-2")


def test_two_batches_opened_at_once_are_one(store: Store) -> None:
    reviews = queue(store, 8)
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda number: store.open_batch(batch(reviews, f"moderato-{number}")), range(8)))
    assert len({one.job for one in opened}) == 1


@pytest.mark.parametrize("status", [BatchStatus.CREATED, BatchStatus.COMPLETED, BatchStatus.FAILED])
def test_once_a_batch_is_on_its_way_another_may_be_opened(store: Store, status: BatchStatus) -> None:
    reviews = queue(store, 2)
    store.open_batch(batch(reviews[:1]))
    store.move_batch("moderato-1", status)
    second = batch(reviews[1:], "moderato-2")
    assert store.open_batch(second) == second
    assert store.get_batch("moderato-1").status is status
    store.move_batch("moderato-1", BatchStatus.COMPLETED)
    assert store.open_batch(batch(reviews, "moderato-3")) == second


def test_a_job_that_had_its_batch_gets_no_other(store: Store) -> None:
    reviews = queue(store, 2)
    store.open_batch(batch(reviews[:1]))
    store.move_batch("moderato-1", BatchStatus.CREATED)
    assert store.open_batch(batch(reviews[1:])) == batch(reviews[:1], status=BatchStatus.CREATED)
    second = batch(reviews[1:], "moderato-2")
    assert store.open_batch(second) == second


def test_a_batch_does_not_open_again(store: Store) -> None:
    store.open_batch(batch(queue(store, 1)))
    store.move_batch("moderato-1", BatchStatus.OPEN)
    store.move_batch("moderato-1", BatchStatus.FAILED)
    with pytest.raises(Conflict):
        store.move_batch("moderato-1", BatchStatus.OPEN)
    assert store.get_batch("moderato-1").status is BatchStatus.FAILED


def test_a_claim_moves_waiting_reviews_into_the_job_in_the_order_of_the_batch(store: Store) -> None:
    reviews = queue(store, 5)
    store.open_batch(batch([reviews[3], reviews[0], reviews[2], text_review("never stored")]))
    store.move_review(reviews[0].review_id, Status.WAITING, Status.DISPUTED)
    claimed = store.claim("moderato-1")
    assert [one.text for one in claimed] == ["text 3", "text 2"]
    assert [(one.status, one.job) for one in claimed] == [(Status.LABELING, "moderato-1")] * 2
    assert [status_of(store, review) for review in reviews] == [
        Status.DISPUTED, Status.WAITING, Status.LABELING, Status.LABELING, Status.WAITING,
    ]  # fmt: skip
    assert store.list_reviews(Status.WAITING, 9).records == [reviews[1], reviews[4]]
    assert len(store.list_reviews(Status.LABELING, 9).records) == 2


def test_every_claim_of_a_job_returns_the_same(store: Store) -> None:
    reviews = queue(store, 3)
    store.open_batch(batch(reviews))
    store.move_review(reviews[0].review_id, Status.WAITING, Status.DISPUTED)
    claimed = store.claim("moderato-1")
    store.move_review(reviews[0].review_id, Status.DISPUTED, Status.WAITING)
    store.move_batch("moderato-1", BatchStatus.CREATED)
    assert store.claim("moderato-1") == claimed
    assert status_of(store, reviews[0]) is Status.WAITING


def test_claims_at_once_return_the_same(store: Store) -> None:
    store.open_batch(batch(queue(store, 12)))
    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda _: store.claim("moderato-1"), range(4)))
    assert [len(one) for one in claimed] == [12] * 4
    assert claimed[0] == claimed[1] == claimed[2] == claimed[3]


def test_a_review_is_in_one_job_only(store: Store) -> None:
    reviews = queue(store, 3)
    store.open_batch(batch(reviews[:2]))
    store.claim("moderato-1")
    store.move_batch("moderato-1", BatchStatus.CREATED)
    store.open_batch(batch(reviews, "moderato-2"))
    assert [one.text for one in store.claim("moderato-2")] == ["text 2"]
    assert [one.text for one in store.claim("moderato-1")] == ["text 0", "text 1"]


def test_what_its_job_settled_is_still_in_the_batch(store: Store) -> None:
    reviews = queue(store, 2)
    store.open_batch(batch(reviews))
    store.claim("moderato-1")
    store.settle(label(reviews[0], job="moderato-1"))
    assert [one.status for one in store.claim("moderato-1")] == [Status.SETTLED, Status.LABELING]


def test_a_release_makes_what_is_still_in_the_job_wait_again(store: Store) -> None:
    reviews = queue(store, 4)
    store.open_batch(batch(reviews[:3]))
    store.claim("moderato-1")
    store.settle(label(reviews[0], job="moderato-1"))
    store.release("moderato-1")
    assert status_of(store, reviews[0]) is Status.SETTLED
    assert store.list_reviews(Status.WAITING, 9).records == reviews[1:]
    assert store.get_batch("moderato-1").status is BatchStatus.FAILED
    second = batch(reviews[1:], "moderato-2")
    assert store.open_batch(second) == second
    assert len(store.claim("moderato-2")) == 3
    store.release("moderato-1")
    assert [one.job for one in store.claim("moderato-2")] == ["moderato-2"] * 3


def test_a_released_batch_claims_nothing(store: Store) -> None:
    reviews = queue(store, 2)
    store.open_batch(batch(reviews))
    store.release("moderato-1")
    assert store.claim("moderato-1") == []
    assert store.list_reviews(Status.WAITING, 9).records == reviews


def test_an_erased_or_expired_review_is_in_no_job(store: Store, clock: MovableClock) -> None:
    given, erased = reported_text("erased")
    store.record_feedback(given, "digest", erased)
    expired = text_review("expired", expires=clock.second(days=1))
    store.add_review(expired)
    [kept] = queue(store, 1)
    store.open_batch(batch([erased, kept, expired]))
    store.delete_feedback("f_1")
    clock.move(days=1)
    assert [one.text for one in store.claim("moderato-1")] == ["text 0"]
    store.release("moderato-1")
    assert store.list_reviews(Status.WAITING, 9).records == [kept]


def test_a_batch_of_five_thousand_reviews_fits(store: Store) -> None:
    reviews = [text_review(f"text {number}") for number in range(5_000)]
    opened = batch(reviews)
    store.open_batch(opened)
    assert store.get_batch("moderato-1") == opened
    for review in reviews[::500]:
        store.add_review(review)
    assert [one.text for one in store.claim("moderato-1")] == [one.text for one in reviews[::500]]


@pytest.mark.parametrize("job", ["moderato-9", "", "m" * 5_000, "\u2028\x00"])
def test_a_job_without_a_batch_is_unknown(store: Store, job: str) -> None:
    store.open_batch(batch(queue(store, 1)))
    calls: list[Callable[[], object]] = [
        lambda: store.get_batch(job),
        lambda: store.claim(job),
        lambda: store.release(job),
        lambda: store.move_batch(job, BatchStatus.CREATED),
    ]
    for call in calls:
        with pytest.raises(UnknownJob):
            call()
