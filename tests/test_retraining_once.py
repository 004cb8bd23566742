"""Retraining: one execution for each batch of labels, whatever comes twice, at once, late, or is killed on its way."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it has no types

from retraining.app import Busy
from tests.interleavings import Killed, Walker, interleave
from tests.pipeline_service import execution_event, step, throttling
from tests.retraining_world import DRIFT, HAND, HOURLY, WEEKLY, World, small_world
from tests.stores import MovableClock, SendsTwice, dynamo_store, simulated_dynamo

MakeWorld = Callable[[Path], World]

WRITES = {"transact_write_items", "put_object", "delete_object", "start_pipeline_execution", "mark_labels"}


class Killer:
    """Ends the process before its n-th call; nothing that it does after gets through."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps: list[str] = []

    def wrap(self, part: Any) -> Any:
        """Return the part, with its calls counted."""
        return _Mortal(part, self)

    def pass_step(self, name: str) -> None:
        """Die here, or be dead already."""
        self.steps.append(name)
        if self.at is not None and len(self.steps) > self.at:
            raise Killed


class _Mortal:
    def __init__(self, part: Any, killer: Killer) -> None:
        self._part, self._killer = part, killer

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if name == "exceptions" or not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self._killer.pass_step(name)
            return attribute(*arguments, **named)

        return call


@pytest.fixture(params=["memory", "dynamodb"])
def make_world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Make worlds whose labels and state are in SQLite and in memory, or both in one simulated DynamoDB table."""
    if request.param == "memory":
        yield small_world
        return
    with simulated_dynamo() as client:

        def make(_: Path) -> World:
            clock = MovableClock()
            store = dynamo_store(client, clock)
            return World(store, client, store._table, clock=clock)

        yield make


def fresh(make_world: MakeWorld, folder: Path, name: object) -> World:
    """Return a world in which three labels are new."""
    place = folder / str(name)
    place.mkdir()
    world = make_world(place)
    world.add_labels(3)
    return world


def test_killed_before_any_call_of_a_start_there_is_one_execution(make_world: MakeWorld, tmp_path: Path) -> None:
    counted = Killer()
    fresh(make_world, tmp_path, "counted").send(HOURLY, counted.wrap)
    assert set(counted.steps) >= WRITES - {"delete_object"}
    for number, name in enumerate(counted.steps):
        if make_world is not small_world and name not in WRITES:
            continue  # dying before a read is dying before the next write
        world = fresh(make_world, tmp_path, number)
        with pytest.raises(Killed):
            world.send(HOURLY, Killer(number).wrap)
        world.add_labels(1)
        world.send(HOURLY)
        world.clock.move(seconds=1801)
        for _ in range(3):
            world.send(HOURLY)
        assert len(world.service.executions) == 1, name
        [record] = world.records()
        assert record["execution"] == world.names()[0], name
        marked = f"starter/batch-{record['number']:06}"
        assert world.marks()[marked] == record["new_labels"] >= 3, name
        assert sum(world.marks().values()) == 4, name
        assert len(world.labels_given()) == record["labels"] == record["new_labels"], name


def test_killed_before_any_call_of_leaving_out_what_was_erased_it_is_left_out_and_counted(tmp_path: Path) -> None:
    def erased(name: object) -> World:
        world = fresh(small_world, tmp_path, name)
        stopped = Killer()
        stopped.at = next(number for number, step in enumerate(steps) if step == "start_pipeline_execution")
        with pytest.raises(Killed):
            world.send(HOURLY, stopped.wrap)
        world.store.delete_decision("d_1")
        world.clock.move(seconds=1801)
        return world

    whole = Killer()
    fresh(small_world, tmp_path, "whole").send(HOURLY, whole.wrap)
    steps = whole.steps
    counted = Killer()
    erased("counted").send(HOURLY, counted.wrap)
    assert counted.steps.count("put_object") >= 3
    for number, name in enumerate(counted.steps):
        world = erased(number)
        with pytest.raises(Killed):
            world.send(HOURLY, Killer(number).wrap)
        world.clock.move(seconds=1801)
        world.send(HOURLY)
        assert len(world.service.executions) == 1, name
        [record] = world.records()
        assert (record["labels"], record["erased_before_start"]) == (3, 1), name
        assert [one["decision_id"] for one in world.labels_given()] == ["d_0", "d_2"], name
        assert "d_1" in world.erased_given(), name


def test_killed_before_any_call_at_an_end_the_outcome_is_recorded(make_world: MakeWorld, tmp_path: Path) -> None:
    def ended(name: object) -> World:
        world = fresh(make_world, tmp_path, name)
        world.send(HOURLY)
        world.service.end("Failed", step("KeepChampion", "Failed", "no better"))
        return world

    counted, world = Killer(), ended("counted")
    event = execution_event(world.service.executions[0].arn, "Failed")
    world.send(event, counted.wrap)
    assert set(counted.steps) >= {"put_object", "delete_object", "transact_write_items"}
    for number, name in enumerate(counted.steps):
        if make_world is not small_world and name not in WRITES:
            continue
        world = ended(number)
        with pytest.raises(Killed):
            world.send(event, Killer(number).wrap)
        world.clock.move(seconds=1801)
        world.send(event)
        [record] = world.records()
        assert (record["status"], record["failure"]) == ("champion kept", "no better"), name
        # Who is killed after counting and before noting it lets it be counted again: better than never.
        assert world.counts["champion_kept"] >= 1, name
        assert [key.rsplit("/", 1)[1] for key in world.bucket.objects] == ["batch.json"], name
        assert world.send(HOURLY) == "too few new labels", name


def test_a_write_that_was_made_and_answered_as_an_error_is_made_once() -> None:
    with simulated_dynamo() as client:
        clock = MovableClock()
        store = dynamo_store(client, clock, SendsTwice)
        world = World(store, SendsTwice(client), store._table, clock=clock)
        world.add_labels(3)
        assert world.send(HOURLY) == "started"
        world.service.end("Succeeded")
        assert world.send_end() == "nothing is under way"
        assert world.send(HAND) == "started"
        assert [one["status"] for one in world.records()] == ["succeeded", "running"]


def test_five_threads_at_once_start_one_execution(make_world: MakeWorld, tmp_path: Path) -> None:
    for attempt in range(3):
        world = fresh(make_world, tmp_path, attempt)
        together = threading.Barrier(5)

        def send(world: World = world, together: threading.Barrier = together) -> Any:
            together.wait()
            return world.send(HOURLY)

        with ThreadPoolExecutor(5) as pool:
            outcomes = [future.result() for future in [pool.submit(send) for _ in range(5)]]
        assert outcomes.count("started") == 1
        assert len(world.service.executions) == 1
        assert world.marks() == {"starter/batch-000001": 3}


def test_who_is_held_up_before_it_reads_the_state_has_no_turn(tmp_path: Path) -> None:
    world = fresh(small_world, tmp_path, "world")
    late, other = Walker(), Walker()
    with ThreadPoolExecutor(2) as pool:
        for walker in (late, other):
            pool.submit(walker.run, lambda walker: world.send(HOURLY, walker.wrap))
        late.move(2)  # it has the lease, and has not read the state yet
        world.clock.move(seconds=1801)
        while len(world.bucket.objects) < 2:
            other.move(1)
        late.move(1_000)
        other.move(1_000)
    assert (late.is_over, late.error, other.is_over, other.error) == (True, None, True, None)
    assert [record["status"] for record in world.records()] == ["running"]
    assert len(world.labels_given()) == 3


TRIES = 1_000
BATCHES_OF_A_WORLD = 10


def test_in_a_thousand_tries_each_batch_has_one_execution_and_each_label_one_batch(tmp_path: Path) -> None:
    batches = 0
    with ThreadPoolExecutor(4) as pool:
        for seed in range(TRIES // BATCHES_OF_A_WORLD):
            folder = tmp_path / str(seed)
            folder.mkdir()
            world = small_world(folder, lag=timedelta(minutes=10))
            Storm(world, pool, Random(seed)).rage(BATCHES_OF_A_WORLD)
            batches += len(world.service.executions)
            world.store.close()  # type: ignore[attr-defined]  # it is an embedded one
    assert batches >= TRIES


class Storm:
    """Events that repeat, come at once and out of order, of functions that stall, fail and are killed at any call."""

    def __init__(self, world: World, pool: ThreadPoolExecutor, random: Random) -> None:
        self.world, self.pool, self.random = world, pool, random
        self.stalled = 0

    def rage(self, batches: int) -> None:
        """Let so many batches of labels come, each in a storm, and hold all of it against the rule."""
        world = self.world
        while len(world.service.executions) < batches:
            world.add_labels(self.random.randint(1, 4))
            self._storm()
            self._calm()
        # Whatever is left comes to its end, at last also what is too little for a batch.
        for event in (HOURLY, HOURLY, WEEKLY, HOURLY):
            world.clock.move(seconds=3600)
            self._end_execution()
            world.send(event)
        self._check()

    def _storm(self) -> None:
        self.stalled = 0
        self.world.service.refuse = self._throttle
        events = [self._event() for _ in range(self.random.randint(2, 4))]
        calls = [self._sending(event) for event in events]
        walkers = interleave(self.pool, calls, self.random, self._between, kill=0.02, stall=0.05)
        self.world.service.refuse = lambda _: None
        for walker in walkers:
            if not isinstance(walker.error, Killed | ClientError | TimeoutError | Busy | None):
                raise walker.error

    def _calm(self) -> None:
        """An hour goes by, and what was left behind is found."""
        self.world.clock.move(seconds=3600)
        self.world.send(HOURLY)
        if self.random.random() < 0.7:
            self._end_execution()

    def _event(self) -> dict[str, Any]:
        executions = self.world.service.executions
        arn = self.random.choice(executions).arn if executions else "arn:aws:sagemaker:x"
        end = execution_event(arn, self.random.choice(["Succeeded", "Failed", "Executing"]))
        return self.random.choice([HOURLY, HOURLY, WEEKLY, DRIFT, HAND, end, end])

    def _sending(self, event: dict[str, Any]) -> Callable[[Walker], None]:
        def call(walker: Walker) -> None:
            self.world.send(event, lambda part: _Flaky(walker.wrap(part), self.random))

        return call

    def _throttle(self, operation: str) -> None:
        if self.random.random() < 0.02:
            raise throttling(operation)

    def _between(self, is_stalled: bool) -> None:
        chance = self.random.random()
        if is_stalled and self.stalled < 4:
            self.stalled += 1
            self.world.clock.move(seconds=1900)  # every lease has run out, and whoever had it does not know
        elif chance < 0.02:
            self._end_execution()
        elif chance < 0.04:
            self.world.add_labels(1)
        else:
            self.world.clock.move(seconds=1)

    def _end_execution(self) -> None:
        executions = self.world.service.executions
        if executions and executions[-1].status == "Executing":
            steps = self.random.choice([[], [step("KeepChampion", "Failed", "no")], [step("X", "Failed", "no")]])
            self.world.service.end("Failed" if steps else "Succeeded", *steps)

    def _check(self) -> None:
        world = self.world
        # A record that stays "pinned" is of a batch that another function dropped, and that was never started.
        records = [record for record in world.records() if record["status"] != "pinned"]
        assert world.names() == [record["execution"] for record in records]
        numbers = [name.split("-")[1] for name in world.names()]
        assert len(set(numbers)) == len(numbers)
        assert all(record["status"] in ("succeeded", "champion kept", "failed") for record in records)
        labels = world.store.list_labels(10_000).records
        new = list(itertools.chain.from_iterable(record["new_review_ids"] for record in records))
        assert sorted(new) == sorted(one.review_id for one in labels)
        assert {
            f"starter/batch-{one['number']:06}": one["new_labels"] for one in records if one["new_labels"]
        } == world.marks()
        assert {key.rsplit("/", 1)[1] for key in world.bucket.objects} == {"batch.json"}


class _Flaky:
    """A part whose start of an execution may time out, though it was made."""

    def __init__(self, part: Any, random: Random) -> None:
        self._part, self._random = part, random

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if name != "start_pipeline_execution":
            return attribute

        def call(**request: Any) -> Any:
            answer = attribute(**request)
            if self._random.random() < 0.1:
                raise TimeoutError
            return answer

        return call
