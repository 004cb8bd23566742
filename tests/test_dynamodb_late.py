"""The client that is made on its first use: never for an allowed text, and once whoever comes first."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import StringIO
from typing import Any, cast

import pytest

from moderato.dynamodb_late import LateClient
from moderato.dynamodb_schema import Client
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.store import Store
from predict.app import create_app
from tests.events import send
from tests.records import decision, logger_to
from tests.stores import dynamo_store, reported, simulated_dynamo

THREADS = 8


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of a simulated DynamoDB."""
    with simulated_dynamo() as client:
        yield client


class Made:
    """Makes the client, and remembers how often; the first times it may fail, and it may take its time."""

    def __init__(self, client: Any, failures: int = 0, takes: Callable[[], object] = lambda: None) -> None:
        """Return this client when called, after as many failures."""
        self._client, self._failures, self._takes = client, failures, takes
        self.times = 0

    def __call__(self) -> Client:
        """Make the client."""
        self.times += 1
        self._takes()
        if self.times <= self._failures:
            raise OSError("no credentials yet")
        return cast("Client", self._client)


def test_an_allowed_text_makes_no_client_and_a_flagged_one_does(client: Client, scorer: Scorer) -> None:
    make = Made(client)
    store = dynamo_store(client, wrap=lambda _: LateClient(make))
    app = create_app(
        scorer, "", {"default": default_policy(scorer.manifest)}, cast("Store", store),
        Retention(Keep.FLAGGED, 0.0, lambda: 1.0), logger_to(StringIO()),
    )  # fmt: skip
    send(app, "POST", "/moderate", {"text": "Have a lovely day!"})
    assert make.times == 0
    _, body = send(app, "POST", "/moderate", {"text": "You are a stupid idiot."})
    assert make.times == 1
    assert store.get_decision(body["results"][0]["decision_id"]).text == "You are a stupid idiot."


def test_everything_a_store_does_is_done_by_the_client_that_was_made(client: Client) -> None:
    make = Made(client)
    store = dynamo_store(client, wrap=lambda _: LateClient(make))
    given, review = reported()
    store.record_decisions([decision()])
    store.record_decisions([decision()])  # what the service refuses is told by the client's own exceptions
    store.record_feedback(given, "digest", review)
    assert [one.feedback_id for one in store.feedback_of("d_1")] == [given.feedback_id]
    assert [one.decision_id for one in store.list_decisions(10).records] == ["d_1"]
    store.delete_decision("d_1")
    assert store.list_decisions(10).records == []
    assert make.times == 1


def test_threads_that_come_together_make_one_client(client: Client) -> None:
    together, in_the_making = threading.Barrier(THREADS), threading.Barrier(2)

    def wait_for_another() -> None:
        with suppress(threading.BrokenBarrierError):
            in_the_making.wait(timeout=0.2)

    make = Made(client, takes=wait_for_another)
    store = dynamo_store(client, wrap=lambda _: LateClient(make))

    def read(_: int) -> int:
        together.wait()
        return len(store.list_decisions(1).records)

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(read, range(THREADS))) == [0] * THREADS
    assert make.times == 1


def test_a_client_that_could_not_be_made_is_tried_again(client: Client) -> None:
    make = Made(client, failures=1)
    store = dynamo_store(client, wrap=lambda _: LateClient(make))
    with pytest.raises(OSError, match="no credentials yet"):
        store.list_decisions(1)
    assert store.list_decisions(1).records == []
    assert make.times == 2
