"""Both stores for tests, a clock that a test moves, and records whose ids belong together."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
from moto import mock_aws

from moderato.clock import Clock, utc_now
from moderato.decisions import Decision, Feedback
from moderato.dynamodb import DynamoStore, table_definition
from moderato.dynamodb_schema import Client
from moderato.reviews import Annotation, Label, Review, ReviewReason, review_id_of, review_of
from moderato.sqlite import SqliteStore
from tests.records import decision, feedback

NOON = "2026-11-21T12:00:00+00:00"

_numbers = itertools.count()


class MovableClock:
    """A clock that stands at noon until a test moves it."""

    def __init__(self) -> None:
        """Begin at noon of 21 November 2026."""
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def move(self, **delta: float) -> None:
        """Move on, by `days` or `seconds`."""
        self.now += timedelta(**delta)

    def second(self, **delta: float) -> int:
        """Return the second since 1970 that is so far ahead."""
        return int((self.now + timedelta(**delta)).timestamp())


@contextmanager
def open_sqlite(path: Path, clock: Clock = utc_now) -> Iterator[SqliteStore]:
    """Open an embedded store in a file, and close it after."""
    store = SqliteStore(path, clock)
    try:
        yield store
    finally:
        store.close()


class SendsTwice:
    """A DynamoDB client that sends each write twice, as boto3 does when the first was made but answered 500."""

    def __init__(self, client: Client) -> None:
        """Send twice through this client."""
        self._client = client

    def __getattr__(self, name: str) -> Any:
        """Return the client's method; of a write, one that calls it twice."""
        method = getattr(self._client, name)
        if name not in ("transact_write_items", "batch_write_item"):
            return method

        def send(**request: Any) -> Any:
            method(**request)
            return method(**request)

        return send


class OneAtATime:
    """A DynamoDB client whose calls out of several threads come one after another: moto takes one at a time only."""

    def __init__(self, client: Client) -> None:
        """Send through this client."""
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Return the client's method, which waits for its turn."""
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def send(**request: Any) -> Any:
            with self._lock:
                return method(**request)

        return send


Wrap = Callable[[Client], Client]


@contextmanager
def open_dynamo(clock: Clock = utc_now) -> Iterator[DynamoStore]:
    """Open a store in a simulated DynamoDB of its own, with no network."""
    with simulated_dynamo() as client:
        yield dynamo_store(client, clock)


@contextmanager
def simulated_dynamo() -> Iterator[Client]:
    """Return a client of a simulated DynamoDB, for the stores of many tests: making one takes longer than a test."""
    with mock_aws():
        client = boto3.client(
            "dynamodb", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        with closing(client):
            yield OneAtATime(client)


def dynamo_store(client: Any, clock: Clock = utc_now, wrap: Wrap = lambda client: client) -> DynamoStore:
    """Return a store with a table of its own; `wrap` may change what its client does."""
    name = f"moderato-{next(_numbers)}"
    client.create_table(**table_definition(name))
    # The store's own pauses, shortened: without any, the slowest of several threads could lose every try.
    return DynamoStore(wrap(client), name, clock, pause=lambda seconds: time.sleep(seconds / 20))


def reported(decision_id: str = "d_1", **fields: Any) -> tuple[Feedback, Review]:
    """Return feedback that calls a decision wrong, and the review that it queues."""
    kept: Decision = decision(decision_id=decision_id)
    review = review_of(kept, ReviewReason.DISAGREEMENT, NOON)
    return feedback(**({"decision_id": decision_id, "review_id": review.review_id} | fields)), review


def reported_text(text: str = "you fool", **fields: Any) -> tuple[Feedback, Review]:
    """Return feedback on a text that has no decision, and the review that it queues."""
    review = text_review(text)
    given = feedback(**({"decision_id": None, "text": text, "review_id": review.review_id} | fields))
    return given, review


def text_review(text: str = "you fool", **fields: Any) -> Review:
    """Return the review of a text that has no decision."""
    defaults: dict[str, Any] = {
        "review_id": review_id_of(None, text),
        "text": text,
        "reason": ReviewReason.DISAGREEMENT,
        "created": NOON,
    }
    return Review(**(defaults | fields))


def annotation(review: Review, annotator: str = "ann", **fields: Any) -> Annotation:
    """Return an annotator's answer that the text is an insult."""
    defaults: dict[str, Any] = {"labels": ["insult"], "created": NOON}
    return Annotation(review_id=review.review_id, annotator=annotator, **(defaults | fields))


def label(review: Review, **fields: Any) -> Label:
    """Return a label on which three annotators agree: an insult, and no threat."""
    defaults: dict[str, Any] = {
        "values": {"insult": True, "threat": False},
        "method": "agreement",
        "annotators": ["ann", "bob", "cid"],
        "created": NOON,
    }
    return Label(review_id=review.review_id, **(defaults | fields))
