"""Gold items test annotators unawares, and cost whoever fails them their say."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from moderato.consolidation import Rules
from moderato.errors import Conflict, InvalidRequest
from moderato.policy import Action
from moderato.review_queue import Filters, ReviewQueue
from moderato.reviews import ReviewReason, Status
from moderato.sqlite import SqliteStore
from tests.queues import ANY, CATEGORIES, Time, add, add_gold, offered, settle
from tests.records import decision


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db", clock)
    yield store
    store.close()


def test_about_one_offer_in_ten_is_gold_and_each_item_comes_once(store: SqliteStore, queue: ReviewQueue) -> None:
    gold = set(add_gold(queue, 40))
    add(store, *range(160))
    shown = []
    for _ in range(150):
        found = offered(queue, "ann")
        assert found is not None
        shown.append(found)
        queue.annotate(found, "ann", ["insult"])
    assert len(set(shown)) == 150
    assert 8 <= len(gold & set(shown)) <= 22


def test_a_gold_item_looks_as_if_it_waited_before_and_after_any_answer(store: SqliteStore, queue: ReviewQueue) -> None:
    (gold,) = add_gold(queue, 1)
    (waiting,) = add(store, 1, expires=2_000_000_000)
    for review_id in (gold, waiting):
        for annotator in ("ann", "ben"):
            for shown in (queue.get(review_id), queue.annotate(review_id, annotator, [])):
                assert (shown.status, shown.gold, shown.expires) == (Status.WAITING, None, None)
                assert (shown.action, shown.reason) == (Action.REVIEW, ReviewReason.DISAGREEMENT)
    assert queue.annotate(gold, "cem", []).status is Status.WAITING


def test_others_answers_to_gold_are_never_shown(queue: ReviewQueue) -> None:
    (gold,) = add_gold(queue, 1)
    queue.annotate(gold, "ann", ["insult"])
    queue.annotate(gold, "ben", ["threat"])
    assert [one.annotator for one in queue.answers(gold, "ben")] == ["ben"]


def test_gold_is_in_the_list_of_what_waits_as_if_it_waited(store: SqliteStore, queue: ReviewQueue) -> None:
    gold = add_gold(queue, 2)
    ids = add(store, *range(20))
    page = queue.waiting(ANY, 22)
    assert {one.review_id for one in page.records} == {*ids, *gold}
    assert [one.created for one in page.records] == sorted(one.created for one in page.records)
    assert {(one.status, one.gold, one.expires) for one in page.records} == {(Status.WAITING, None, None)}


def test_a_list_with_gold_misses_nothing_and_repeats_nothing(store: SqliteStore, queue: ReviewQueue) -> None:
    gold = add_gold(queue, 3)
    ids = add(store, *range(30))
    page = queue.waiting(ANY, 4)
    pages = [page.records]
    while page.cursor is not None:
        page = queue.waiting(ANY, 4, page.cursor)
        pages.append(page.records)
    found = [one.review_id for records in pages for one in records]
    assert len(found) == len(set(found))
    assert set(ids) < set(found) <= {*ids, *gold}
    assert max(map(len, pages)) == 4


def test_a_gold_item_is_never_older_than_a_week(store: SqliteStore, queue: ReviewQueue, clock: Time) -> None:
    (gold,) = add_gold(queue, 1)
    add(store, 1)
    first = queue.get(gold).created
    clock.now += timedelta(days=6)
    assert queue.get(gold).created == first
    clock.now += timedelta(days=30)
    assert queue.get(gold).created[:19] == "2026-12-26T12:00:00"
    old = Filters(older_than_days=7)
    assert [one.review_id for one in queue.waiting(old, 10).records] != [gold]


def test_an_erased_gold_item_is_shown_no_more(store: SqliteStore, clock: Time) -> None:
    queue = ReviewQueue(store, CATEGORIES, clock, Rules(gold_every=1))
    one = decision(decision_id="d_gold", text="you gold")
    store.record_decisions([one])
    assert queue.add_gold(one.text, ["insult"], one)
    (waiting,) = add(store, 1)
    gold = offered(queue, "ann")
    assert gold != waiting
    store.delete_decision("d_gold")
    assert offered(queue, "ann") == waiting
    assert [found.review_id for found in queue.waiting(ANY, 10).records] == [waiting]


def test_gold_is_in_no_list_and_is_not_offered_when_nothing_else_waits(queue: ReviewQueue) -> None:
    add_gold(queue, 3)
    assert queue.waiting(ANY, 10).records == []
    assert queue.offer("ann") is None


def test_gold_cannot_be_adjudicated_and_never_settles(store: SqliteStore, queue: ReviewQueue) -> None:
    (gold,) = add_gold(queue, 1)
    settle(queue, gold, "insult")
    with pytest.raises(Conflict):
        queue.adjudicate(gold, "ada", [])
    assert store.get_review(gold).status is Status.GOLD
    assert store.get_label(gold) is None


def test_an_inverter_loses_trust_at_the_tenth_gold_answer_and_what_rested_on_them_is_taken_back(
    store: SqliteStore, queue: ReviewQueue
) -> None:
    gold = add_gold(queue, 10)
    settled, disputed = add(store, 1, 2)
    for annotator in ("eve", "ann", "ben"):
        queue.annotate(settled, annotator, ["insult"])
    for annotator, labels in (("eve", ["threat"]), ("ann", []), ("ben", [])):
        queue.annotate(disputed, annotator, labels)
    for review_id in gold[:9]:
        queue.annotate(review_id, "eve", ["threat"])
    assert store.get_review(settled).status is Status.SETTLED
    queue.annotate(gold[9], "eve", ["threat"])
    assert store.get_review(settled).status is Status.WAITING
    assert store.get_review(disputed).status is Status.WAITING
    assert store.get_label(settled) is None
    assert queue.annotate(settled, "cem", ["insult"]).status is Status.SETTLED
    label = store.get_label(settled)
    assert label is not None
    assert label.annotators == ["ann", "ben", "cem"]


def test_the_distrusted_may_go_on_answering_and_it_counts_for_nothing(store: SqliteStore, queue: ReviewQueue) -> None:
    for review_id in add_gold(queue, 10):
        queue.annotate(review_id, "eve", [])
    (review_id,) = add(store, 1)
    for annotator in ("eve", "ann", "ben"):
        assert queue.annotate(review_id, annotator, ["insult"]).status is Status.WAITING


def test_a_text_with_a_review_cannot_become_gold(queue: ReviewQueue) -> None:
    assert queue.add_gold("you fool", ["insult"])
    assert not queue.add_gold("You, fool!", [])
    with pytest.raises(InvalidRequest):
        queue.add_gold("you fool again", ["rude"])
