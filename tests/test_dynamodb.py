"""What is special to a store in DynamoDB: limits of its requests, others who write meanwhile, and being cut off."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest

from moderato.dynamodb import DynamoStore, table_definition
from moderato.dynamodb_schema import Client
from moderato.dynamodb_table import PAUSES_SECONDS, Contended
from moderato.errors import TooLarge, UnknownDecision, UnknownFeedback, UnknownReview
from moderato.reviews import ReviewReason, Status, review_of
from moderato.store import Batch, Page
from tests.records import decision
from tests.stores import (
    NOON,
    MovableClock,
    annotation,
    dynamo_store,
    label,
    reported,
    reported_text,
    simulated_dynamo,
    text_review,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of a simulated DynamoDB."""
    with simulated_dynamo() as client:
        yield client


class Between:
    """A client that lets something happen before each call of one of its methods."""

    def __init__(self, client: Any, method: str, happen: Callable[[int], object]) -> None:
        """Call `happen` with the number of the call, from 0, before each call of the method."""
        self._client, self._method, self._happen = client, method, happen
        self.requests: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """Return the client's method."""
        method = getattr(self._client, name)
        if name != self._method:
            return method

        def send(**request: Any) -> Any:
            self.requests.append(request)
            self._happen(len(self.requests) - 1)
            return method(**request)

        return send


class CutOff(Exception):
    """The function was killed."""


def conflicting(client: Any, times: int) -> Callable[[int], None]:
    """Return what refuses so many calls as DynamoDB does when two transactions meet."""

    def refuse(number: int) -> None:
        if number < times:
            reasons = [{"Code": "TransactionConflict"}]
            raise client.exceptions.TransactionCanceledException({"CancellationReasons": reasons}, "TransactWriteItems")

    return refuse


def around(store: DynamoStore, method: str, happen: Callable[[int], object]) -> tuple[DynamoStore, Between]:
    """Return the same store through a client that lets something happen."""
    between = Between(store._client, method, happen)
    return DynamoStore(between, store._table, store._clock, pause=lambda _: None), between


def writes_of(between: Between) -> list[int]:
    """Return how many writes each transaction had."""
    return [len(request["TransactItems"]) for request in between.requests]


def once(happen: Callable[[], object]) -> Callable[[int], None]:
    """Return what happens before the first call only."""

    def first(number: int) -> None:
        if number == 0:
            happen()

    return first


# Others who write meanwhile


def test_a_transaction_that_meets_another_is_tried_again(client: Client) -> None:
    pauses: list[float] = []
    store = dynamo_store(client)
    between = Between(client, "transact_write_items", conflicting(client, 3))
    DynamoStore(between, store._table, pause=pauses.append).add_review(text_review())
    assert store.get_review(text_review().review_id) == text_review()
    assert len(pauses) == 3
    assert all(0 <= pause <= most for pause, most in zip(pauses, PAUSES_SECONDS[1:], strict=False))


def test_a_transaction_that_always_meets_others_fails_in_the_end(client: Client) -> None:
    store, between = around(dynamo_store(client), "transact_write_items", conflicting(client, 99))
    with pytest.raises(Contended):
        store.add_review(text_review())
    assert len(between.requests) == len(PAUSES_SECONDS)


def test_a_request_that_dynamodb_cannot_take_is_not_tried_again(client: Client) -> None:
    def refuse(_: int) -> None:
        reasons = [{"Code": "ValidationError"}]
        raise client.exceptions.TransactionCanceledException({"CancellationReasons": reasons}, "TransactWriteItems")

    store, between = around(dynamo_store(client), "transact_write_items", refuse)
    with pytest.raises(client.exceptions.TransactionCanceledException):
        store.add_review(text_review())
    assert len(between.requests) == 1


def test_a_review_that_comes_meanwhile_does_not_keep_feedback_out(client: Client) -> None:
    plain = dynamo_store(client)
    given, review = reported()
    earlier = review_of(decision(), ReviewReason.UNCERTAIN, NOON)
    store, _ = around(plain, "transact_write_items", once(lambda: plain.add_review(earlier)))
    assert store.record_feedback(given, "digest", review).review_queued
    assert store.feedback_of("d_1") == [given]
    assert store.get_review(review.review_id) == earlier


def test_expired_feedback_is_no_first_try(client: Client) -> None:
    clock = MovableClock()
    plain = dynamo_store(client, clock)
    plain.record_feedback(reported(expires=clock.second(days=1))[0], "digest", None)
    clock.move(days=1)
    given, review = reported(note="again")
    store, _ = around(plain, "transact_write_items", once(lambda: plain.add_review(review)))
    assert store.record_feedback(given, "other digest", review).replayed is False
    assert store.feedback_of("d_1") == [given]


def test_a_review_whose_time_is_up_meanwhile_takes_no_answer(client: Client) -> None:
    plain = dynamo_store(client)
    review = text_review()
    plain.add_review(review)
    key = {"pk": {"S": f"case#{review.review_id}"}, "sk": {"S": "review"}}
    removal = partial(cast("Any", client).delete_item, TableName=plain._table, Key=key)
    store, _ = around(plain, "transact_write_items", once(removal))
    with pytest.raises(UnknownReview):
        store.record_annotation(annotation(review))
    assert store.annotators() == []


def test_a_release_that_comes_meanwhile_leaves_nothing_in_the_job(client: Client) -> None:
    plain = dynamo_store(client)
    reviews = [text_review("one"), text_review("two")]
    for review in reviews:
        plain.add_review(review)
    plain.open_batch(Batch(job="moderato-1", review_ids=[one.review_id for one in reviews], created=NOON))
    store, _ = around(plain, "transact_write_items", once(lambda: plain.release("moderato-1")))
    assert store.claim("moderato-1") == []
    assert store.count_reviews()[Status.WAITING] == 2


def test_an_erasure_that_comes_meanwhile_keeps_feedback_out(client: Client) -> None:
    plain = dynamo_store(client)
    plain.record_decisions([decision()])
    given, review = reported(text="you fool")
    store, _ = around(plain, "transact_write_items", once(lambda: plain.delete_decision("d_1")))
    with pytest.raises(UnknownDecision):
        store.record_feedback(given, "digest", review)
    assert not stored_texts(store)


def test_feedback_of_another_that_comes_meanwhile_keeps_the_review_of_a_text(client: Client) -> None:
    plain = dynamo_store(client)
    given, review = reported_text()
    other, _ = reported_text(feedback_id="f_2", moderator="noa")
    plain.record_feedback(given, "digest", review)
    store, _ = around(plain, "transact_write_items", once(lambda: plain.record_feedback(other, "digest", None)))
    store.delete_feedback("f_1")
    assert store.feedback_of_review(review.review_id) == [other]
    assert store.get_review(review.review_id) == review
    assert store.erased() == {"f_1"}


def test_a_dataset_that_comes_meanwhile_keeps_its_label(client: Client) -> None:
    plain = dynamo_store(client)
    review = text_review()
    plain.add_review(review)
    plain.settle(label(review))
    store, _ = around(plain, "transact_write_items", once(lambda: plain.mark_labels([review.review_id], "starter 3")))
    with pytest.raises(Exception, match="a dataset has the label"):
        store.settle(label(review, values={"insult": False}))
    assert store.get_label(review.review_id) == label(review, dataset="starter 3")


def test_a_review_that_left_and_came_back_meanwhile_is_still_moved_once(client: Client) -> None:
    plain = dynamo_store(client)
    review = text_review()
    plain.add_review(review)

    def elsewhere_and_back(number: int) -> None:
        if number == 0:
            plain.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
            plain.move_review(review.review_id, Status.DISPUTED, Status.WAITING)

    store, between = around(plain, "transact_write_items", elsewhere_and_back)
    assert store.move_review(review.review_id, Status.WAITING, Status.LABELING)
    assert writes_of(between) == [1, 1]


def test_what_the_index_still_lists_and_the_table_has_no_more_is_not_listed(client: Client) -> None:
    plain = dynamo_store(client)
    reviews = [text_review(f"text {number}", created=f"2026-11-21T12:00:0{number}+00:00") for number in range(3)]
    for review in reviews:
        plain.add_review(review)
    moved = reviews[0].review_id
    # Between reading the index and reading the table, as when the index lags.
    store, _ = around(plain, "batch_get_item", lambda _: plain.move_review(moved, Status.WAITING, Status.DISPUTED))
    assert store.list_reviews(Status.WAITING, 2) == Page(reviews[1:])


def test_what_a_batch_leaves_out_is_asked_for_again(client: Client) -> None:
    class HalfAnswers:
        """A client that answers one key of a batch at a time, as DynamoDB may."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def batch_get_item(self, **request: Any) -> Any:
            [(table, wanted)] = request["RequestItems"].items()
            now, later = wanted["Keys"][:2], wanted["Keys"][2:]
            answer = client.batch_get_item(RequestItems={table: {**wanted, "Keys": now}})
            return {**answer, "UnprocessedKeys": {table: {**wanted, "Keys": later}} if later else {}}

    plain = dynamo_store(client)
    reviews = [text_review(f"text {number}", created=f"2026-11-21T12:00:0{number}+00:00") for number in range(5)]
    for review in reviews:
        plain.add_review(review)
    store = DynamoStore(cast("Client", HalfAnswers()), plain._table, pause=lambda _: None)
    assert store.list_reviews(Status.WAITING, 9) == Page(reviews)


# Limits


def test_a_transaction_has_at_most_a_hundred_writes_and_a_decision_goes_with_its_review(client: Client) -> None:
    store, between = around(dynamo_store(client), "transact_write_items", lambda _: None)
    kept = [decision(decision_id=f"d_{number}") for number in range(75)]
    store.record_decisions(kept, [review_of(one, ReviewReason.UNCERTAIN, NOON) for one in kept])
    assert writes_of(between) == [100, 50]
    partitions = [
        [write["Put"]["Item"]["pk"]["S"] for write in request["TransactItems"]] for request in between.requests
    ]
    assert not set(partitions[0]) & set(partitions[1])


def test_a_transaction_has_at_most_four_megabytes(client: Client) -> None:
    store, between = around(dynamo_store(client), "transact_write_items", lambda _: None)
    kept = [decision(decision_id=f"d_{number}", text="\x00" * 20_000) for number in range(40)]
    store.record_decisions(kept)
    assert writes_of(between) == [26, 14]  # 120,000 bytes each, and 10,000 reckoned for the rest


def test_the_same_decision_twice_in_one_call_is_stored_once(client: Client) -> None:
    store = dynamo_store(client)
    store.record_decisions([decision(text="first"), decision(text="second")])
    assert store.get_decision("d_1").text == "first"


def test_a_record_larger_than_an_item_may_be_is_refused(client: Client) -> None:
    with pytest.raises(TooLarge):
        dynamo_store(client).open_batch(Batch(job="moderato-1", review_ids=["r" * 28] * 13_000, created=NOON))


def test_a_review_of_a_decision_must_have_the_id_that_follows_from_it(client: Client) -> None:
    with pytest.raises(ValueError, match="review_id_of"):
        dynamo_store(client).add_review(text_review(review_id="r_1", decision_id="d_1"))


# Being cut off


def stored_texts(store: DynamoStore) -> list[str]:
    """Return the places of all items that hold a record."""
    items = store._client.scan(TableName=store._table)["Items"]  # type: ignore[attr-defined]  # tests only
    return [item["sk"]["S"] for item in items if "record" in item]


def everything_about(store: DynamoStore) -> None:
    """Store a decision with all that may belong to it."""
    store.record_decisions([decision()])
    given, review = reported(text="you fool")
    store.record_feedback(given, "digest", review)
    store.record_annotation(annotation(review))
    store.settle(label(review))


def cut_off_at(call: int) -> Callable[[int], None]:
    """Return what kills the function before this call."""

    def kill(number: int) -> None:
        if number == call:
            raise CutOff

    return kill


@pytest.mark.parametrize("call", [0, 1])
def test_an_erasure_that_was_cut_off_hides_everything_and_is_finished_by_the_next_try(
    client: Client, call: int
) -> None:
    plain = dynamo_store(client)
    everything_about(plain)
    store, _ = around(plain, "batch_write_item", cut_off_at(call))
    with pytest.raises(CutOff):
        store.delete_decision("d_1")
    assert stored_texts(plain)
    assert plain.feedback_of("d_1") == []
    assert plain.annotations_of(reported()[1].review_id) == []
    assert plain.get_label(reported()[1].review_id) is None
    with pytest.raises(UnknownDecision):
        plain.record_feedback(reported()[0], "digest", None)
    plain.delete_decision("d_1")
    assert not stored_texts(plain)
    with pytest.raises(UnknownDecision):
        plain.delete_decision("d_1")


def test_an_erasure_of_feedback_that_was_cut_off_is_finished_by_the_next_try(client: Client) -> None:
    plain = dynamo_store(client)
    given, review = reported_text()
    plain.record_feedback(given, "digest", review)
    plain.record_annotation(annotation(review))
    store, _ = around(plain, "batch_write_item", cut_off_at(0))
    with pytest.raises(CutOff):
        store.delete_feedback("f_1")
    assert stored_texts(plain) == ["annotation#ann"]
    assert plain.annotations_of(review.review_id) == []
    plain.delete_feedback("f_1")
    assert not stored_texts(plain)
    with pytest.raises(UnknownFeedback):
        plain.delete_feedback("f_1")


def test_a_claim_that_was_cut_off_is_finished_by_the_next_try(client: Client) -> None:
    plain = dynamo_store(client)
    reviews = [text_review(f"{number}" + "\x00" * 19_000) for number in range(30)]
    for review in reviews:
        plain.add_review(review)
    plain.open_batch(Batch(job="moderato-1", review_ids=[one.review_id for one in reviews], created=NOON))
    store, _ = around(plain, "transact_write_items", cut_off_at(1))
    with pytest.raises(CutOff):
        store.claim("moderato-1")
    counted = plain.count_reviews()
    assert counted[Status.LABELING] > 0 < counted[Status.WAITING]
    assert [one.text for one in plain.claim("moderato-1")] == [one.text for one in reviews]


def test_a_release_that_was_cut_off_is_finished_by_the_next_try(client: Client) -> None:
    plain = dynamo_store(client)
    reviews = [text_review(f"text {number}") for number in range(3)]
    for review in reviews:
        plain.add_review(review)
    plain.open_batch(Batch(job="moderato-1", review_ids=[one.review_id for one in reviews], created=NOON))
    plain.claim("moderato-1")
    for call in range(3):
        store, _ = around(plain, "transact_write_items", cut_off_at(call))
        with pytest.raises(CutOff):
            store.release("moderato-1")
    plain.release("moderato-1")
    assert plain.count_reviews()[Status.WAITING] == 3
    assert plain.get_batch("moderato-1").status == "failed"


# The table


def test_the_index_holds_no_text(client: Client) -> None:
    store = dynamo_store(client)
    everything_about(store)
    index = store._client.scan(TableName=store._table, IndexName="listings")  # type: ignore[attr-defined]
    assert {name for item in index["Items"] for name in item} <= {"pk", "sk", "listing", "position", "expires"}
    assert len(index["Items"]) == 4  # decision, review, annotation, label


def test_expiry_is_the_attribute_that_the_table_is_told_of(client: Client) -> None:
    clock = MovableClock()
    store = dynamo_store(client, clock)
    given, review = reported_text(expires=clock.second(days=1))
    store.record_feedback(given, "digest", text_review(expires=clock.second(days=1)))
    store.record_annotation(annotation(review, expires=clock.second(days=1)))
    store.settle(label(review, expires=clock.second(days=1)))
    items = store._client.scan(TableName=store._table)["Items"]  # type: ignore[attr-defined]
    without = {item["pk"]["S"] for item in items if item.get("expires") != {"N": str(clock.second(days=1))}}
    assert without == {"annotators"}


def test_the_definition_of_the_table_is_what_the_template_needs() -> None:
    definition = table_definition("moderato")
    assert definition["BillingMode"] == "PAY_PER_REQUEST"
    assert definition["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert [index["IndexName"] for index in definition["GlobalSecondaryIndexes"]] == ["listings"]
