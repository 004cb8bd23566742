"""What the loop says of itself: one annotator's progress, and the report."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, Status
from moderato.sqlite import SqliteStore
from tests.queues import Time, add, add_gold, dispute, settle


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


def test_progress_counts_answers_skips_and_today(store: SqliteStore, queue: ReviewQueue, clock: Time) -> None:
    first, second, third, _ = add(store, 1, 2, 3, 4)
    queue.annotate(first, "ann", ["insult"])
    clock.now = datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC)
    queue.annotate(second, "ann", [])
    queue.annotate(third, "ann", None)
    progress = queue.progress("ann")
    assert (progress.answered, progress.skipped, progress.today, progress.waiting) == (2, 1, 1, 4)
    assert progress.agreement is None


def test_agreement_is_with_settled_labels_and_gold_does_not_count(store: SqliteStore, queue: ReviewQueue) -> None:
    agreed, disputed = add(store, 1, 2)
    settle(queue, agreed, "insult")
    dispute(queue, disputed)
    (gold,) = add_gold(queue, 1)
    queue.annotate(gold, "ann", ["threat"])
    queue.adjudicate(disputed, "ada", [])
    assert queue.progress("ann").agreement == 0.5
    assert queue.progress("cem").agreement == 1.0
    assert queue.progress("ada").agreement is None


def test_the_report_tells_labels_annotators_and_agreement(store: SqliteStore, queue: ReviewQueue) -> None:
    first, second, third, _ = add(store, 1, 2, 3, 4)
    settle(queue, first, "insult")
    settle(queue, second)
    dispute(queue, third)
    store.mark_labels([first], "starter-1")
    found = queue.loop_report()
    assert found.reviews[Status.WAITING] == 1
    assert found.reviews[Status.DISPUTED] == 1
    assert found.reviews[Status.SETTLED] == 2
    assert (found.labels.accepted, found.labels.rejected, found.labels.in_dataset) == (1, 0, 1)
    assert [(one.annotator, one.answers, one.agreement) for one in found.annotators] == [
        ("ann", 3, 1.0),
        ("ben", 3, 1.0),
        ("cem", 3, 1.0),
    ]
    # 9 answers in 3 reviews of 3, 5 with an insult and 4 without: 1 - 8 * (2/2 pairs of 1 review) / (5 * 4).
    assert found.alpha == {"insult": pytest.approx(0.6), "threat": None}


def test_the_report_tells_who_is_distrusted_and_which_labels_that_cost(store: SqliteStore, queue: ReviewQueue) -> None:
    (review_id,) = add(store, 1)
    for annotator in ("eve", "ann", "ben"):
        queue.annotate(review_id, annotator, ["insult"])
    for gold in add_gold(queue, 10):
        queue.annotate(gold, "eve", [])
    found = queue.loop_report()
    eve = next(one for one in found.annotators if one.annotator == "eve")
    assert (eve.gold_answers, eve.gold_accuracy, eve.is_distrusted) == (10, 0.0, True)
    assert (found.labels.accepted, found.labels.rejected) == (0, 1)
    hidden = found.without_gold()
    assert [(one.annotator, one.answers) for one in hidden.annotators] == [("ann", 1), ("ben", 1), ("eve", 11)]
    assert {(one.gold_answers, one.gold_accuracy, one.is_distrusted) for one in hidden.annotators} == {(None,) * 3}
    assert Status.GOLD not in hidden.reviews


def test_the_sample_tells_what_share_of_the_allowed_is_harmful(store: SqliteStore, queue: ReviewQueue) -> None:
    for number in range(20):
        (review_id,) = add(store, number, reason=ReviewReason.SAMPLED, sampling_probability=0.01)
        settle(queue, review_id, *(["threat"] if number < 2 else []))
    (uncertain,) = add(store, 20, reason=ReviewReason.UNCERTAIN)
    settle(queue, uncertain, "insult")
    share = queue.loop_report().harmful_allowed
    assert share is not None
    assert (share.share, share.count) == (0.1, 20)
    # Wilson's interval of 2 in 20.
    assert (share.interval.low, share.interval.high) == pytest.approx((0.0279, 0.3010), abs=0.0001)


def test_an_empty_loop_has_a_report(queue: ReviewQueue) -> None:
    found = queue.loop_report()
    assert (found.labels.accepted, found.annotators, found.harmful_allowed) == (0, [], None)
