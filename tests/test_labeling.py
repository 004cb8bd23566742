"""Labeling: every review gets into exactly one job, and what comes back is believed as far as it can be."""

import copy
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from labeling.app import create_app, create_queue_app
from labeling.settings import Settings
from moderato.errors import UnknownReview
from moderato.groundtruth_jobs import Task
from moderato.objects import FolderObjects
from moderato.reviews import Annotation, Review, ReviewReason, Status, review_of
from moderato.sqlite import SqliteStore
from moderato.store import BatchStatus, Store
from moderato.telemetry import Unit
from tests import records
from tests.labeling_service import LabelingService, annotated, arn, state_change, worker_response
from tests.records import logger_to
from tests.stores import dynamo_store, simulated_dynamo

CATEGORIES = ("insult", "threat")
LABELS = [*CATEGORIES, "none"]
TASK = Task(
    region="us-east-1",
    bucket="a-bucket",
    role="arn:aws:iam::111122223333:role/labeling",
    workteam="arn:aws:sagemaker:us-east-1:111122223333:workteam/private-crowd/moderators",
)
SETTINGS = Settings(TASK, fewest=3, most=50)
SCHEDULE = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
THREE = ("ann", "ben", "cat")


class Killed(BaseException):
    """A process was ended here, as by kill -9: nothing catches it."""


class Killer:
    """Ends the process at the n-th step: each call that writes is two, just before it happens and just after.

    Dying at a read is the same as dying just before the next write.
    """

    READS = ("get", "list", "count", "lines", "keys", "exists", "describe", "annotations", "feedback")

    def __init__(self, step: int | None = None) -> None:
        self.step = step
        self.steps: list[str] = []
        self.kills: Callable[[str], bool] = lambda _: False

    def wrap(self, part: Any) -> Any:
        """Return the part, with its calls counted."""
        return _Mortal(part, self)

    def pass_step(self, name: str) -> None:
        """Die here, if it is the step."""
        self.steps.append(name)
        if len(self.steps) - 1 == self.step or self.kills(name):
            raise Killed


class _Mortal:
    def __init__(self, part: Any, killer: Killer) -> None:
        self._part, self._killer = part, killer

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if name == "exceptions" or name.startswith(Killer.READS):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self._killer.pass_step(f"before {name}")
            answer = attribute(*arguments, **named)
            self._killer.pass_step(f"after {name}")
            return answer

        return call


MakeStore = Callable[[Path], Store]


def sqlite_store(folder: Path) -> Store:
    """Return the embedded store in a folder."""
    return SqliteStore(folder / "store.sqlite3", clock=lambda: NOON)


@pytest.fixture(params=["sqlite", "dynamodb"])
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Make empty stores of either kind."""
    if request.param == "sqlite":
        yield sqlite_store
    else:
        with simulated_dynamo() as client:
            yield lambda _: dynamo_store(client, lambda: NOON)


@dataclass
class World:
    """Everything around the labeling function; `app` assembles it anew, as a fresh container does."""

    folder: Path
    make_store: "MakeStore" = field(default_factory=lambda: sqlite_store)
    settings: Settings = SETTINGS
    logs: StringIO = field(default_factory=StringIO)
    counts: Counter[str] = field(default_factory=Counter)
    measured: list[tuple[str, float, str]] = field(default_factory=list)
    seconds: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.store = self.make_store(self.folder)
        self.objects = FolderObjects(self.folder / "objects")
        self.service = LabelingService(self.objects, self.clock)

    def clock(self) -> datetime:
        """Tell a time that is a second later each time."""
        return NOON + timedelta(seconds=next(self.seconds))

    def send(self, event: dict[str, Any], killer: Killer | None = None) -> None:
        """Let the function handle an event; a killer may end it."""
        killer = killer or Killer()
        handler = create_app(
            store=killer.wrap(self.store),
            objects=killer.wrap(self.objects),
            sagemaker=killer.wrap(self.service),
            categories=CATEGORIES,
            settings=self.settings,
            logger=logger_to(self.logs),
            measure=self.measure,
            clock=self.clock,
            count=lambda name: self.counts.update([name]),
        )
        handler(event, records_context())

    def send_without_ground_truth(self, event: dict[str, Any]) -> None:
        """Let the function handle an event where the console alone labels."""
        handler = create_queue_app(
            self.store, logger_to(self.logs), self.measure, self.clock, lambda name: self.counts.update([name])
        )
        handler(event, records_context())

    def measure(self, name: str, value: float, unit: Unit) -> None:
        """Note what was measured."""
        self.measured.append((name, value, unit.value))

    def add(self, number: int, text: str | None = None, created: datetime = NOON) -> str:
        """Queue a review, and return its id."""
        review_id = f"r_{number:03}"
        review = Review(
            review_id=review_id,
            text=text or f"you fool {number}",
            reason=ReviewReason.DISAGREEMENT,
            created=created.isoformat(),
        )
        assert self.store.add_review(review)
        return review_id

    def statuses(self) -> dict[str, str]:
        """Return where each review stands, by id."""
        return {
            review.review_id: review.status
            for status in Status
            for review in self.store.list_reviews(status, 1000).records
        }

    def labeled(self) -> Counter[str]:
        """Return in how many jobs each review is."""
        return Counter(review_id for job in self.service.jobs for review_id in self.service.texts(job))

    def job(self) -> str:
        """Return the one job that there is."""
        (name,) = self.service.jobs
        return name

    def quarantined(self, job: str) -> list[dict[str, Any]]:
        """Return what the quarantine file of a job holds."""
        (key,) = self.objects.keys(f"labeling/quarantine/{job}/")
        return [json.loads(line) for line in self.objects.lines(key, 1000)]


def records_context() -> Any:
    """Return Lambda's context, of which nothing is used."""
    return None


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world in which four reviews wait, and nothing has happened."""
    world = World(tmp_path)
    for number in range(4):
        world.add(number)
    return world


@pytest.fixture
def started(world: World) -> World:
    """A world whose four reviews are in a job."""
    world.send(SCHEDULE)
    return world


def unanimous(world: World, *chosen: str) -> dict[str, dict[str, Sequence[str]]]:
    """Return three annotators' same answer to every text of the job."""
    return {review_id: dict.fromkeys(THREE, chosen) for review_id in world.service.texts(world.job())}


def complete(world: World, choices: dict[str, dict[str, Sequence[str]]], *, with_responses: bool = True) -> None:
    """Complete the one job, and tell the function."""
    world.service.complete(world.job(), choices, with_responses=with_responses)
    world.send(state_change(world.job(), "Completed"))


def test_reviews_that_wait_become_one_job(started: World) -> None:
    assert started.labeled() == {"r_000": 1, "r_001": 1, "r_002": 1, "r_003": 1}
    assert set(started.statuses().values()) == {Status.LABELING}
    assert started.store.get_batch(started.job()).status is BatchStatus.CREATED
    assert started.store.get_review("r_000").job == started.job()
    assert started.service.labels(started.job()) == ["insult", "threat", "none"]


def test_too_few_reviews_wait_for_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add(1)
    world.add(2)
    world.send(SCHEDULE)
    assert world.service.jobs == {}
    world.add(3)
    world.send({"detail-type": "Reviews Wait"})
    assert len(world.labeled()) == 3


def test_a_review_that_waited_for_long_is_not_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add(1, created=NOON - timedelta(days=3))
    world.send(SCHEDULE)
    assert world.labeled() == {"r_001": 1}


def test_a_job_has_no_more_reviews_than_the_settings_say(world: World) -> None:
    world.settings = replace(SETTINGS, most=3)
    world.send(SCHEDULE)
    assert world.labeled() == {"r_000": 1, "r_001": 1, "r_002": 1}
    assert world.statuses()["r_003"] == Status.WAITING


def test_a_text_that_does_not_fit_waits_for_the_console(world: World) -> None:
    world.add(9, text="é" * 20_000)
    world.send(SCHEDULE)
    assert "r_009" not in world.labeled()
    assert world.statuses()["r_009"] == Status.WAITING


@pytest.mark.parametrize("event", [SCHEDULE, {"detail-type": "Reviews Wait"}])
def test_an_event_delivered_five_times_starts_one_job(world: World, event: dict[str, Any]) -> None:
    for _ in range(5):
        world.send(event)
    assert set(world.labeled().values()) == {1}
    assert len(world.labeled()) == 4


def test_killed_fifty_times_between_writing_and_creating_every_review_is_in_one_job(world: World) -> None:
    for _ in range(50):
        killer = Killer()
        killer.kills = "before create_labeling_job".__eq__
        with pytest.raises(Killed):
            world.send(SCHEDULE, killer)
    assert world.service.jobs == {}
    for _ in range(5):
        world.send(SCHEDULE)
    assert world.labeled() == {"r_000": 1, "r_001": 1, "r_002": 1, "r_003": 1}


def steps_of(world: World, event: dict[str, Any]) -> list[str]:
    """Return the steps of handling an event."""
    killer = Killer()
    world.send(event, killer)
    return killer.steps


def test_killed_at_any_step_of_starting_every_review_is_in_one_job(tmp_path: Path, make_store: MakeStore) -> None:
    def fresh(name: str) -> World:
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, make_store)
        for number in range(4):
            world.add(number)
        return world

    steps = steps_of(fresh("counted"), SCHEDULE)
    assert {"before create_labeling_job", "after claim", "after put", "after open_batch"} <= set(steps)
    for step in range(1, len(steps), 2):  # just before one write is just after another
        world = fresh(f"killed-{step}")
        with pytest.raises(Killed):
            world.send(SCHEDULE, Killer(step))
        world.add(4)  # another list than that of the first try
        world.send(SCHEDULE)
        world.send(SCHEDULE)
        in_jobs = world.labeled()
        assert set(in_jobs.values()) == {1}, steps[step]
        assert in_jobs.keys() >= {"r_000", "r_001", "r_002", "r_003"}, steps[step]
        in_labeling = {name for name, status in world.statuses().items() if status == Status.LABELING}
        assert in_labeling == in_jobs.keys(), steps[step]
        assert {world.store.get_batch(job).status for job in world.service.jobs} == {BatchStatus.CREATED}, steps[step]


def test_killed_at_any_step_of_completing_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "finished").mkdir()
    finished = World(tmp_path / "finished")
    for number in range(4):
        finished.add(number)
    finished.send(SCHEDULE)
    answers: dict[str, dict[str, Sequence[str]]] = {
        "r_000": dict.fromkeys(THREE, ("insult",)),
        "r_001": {"ann": ["insult"], "ben": ["threat"], "cat": ["insult"]},
        "r_002": {"ann": ["none"]},
    }
    job = finished.job()
    finished.service.complete(job, answers)
    event = state_change(job, "Completed")

    def fresh(name: str) -> World:
        shutil.copytree(tmp_path / "finished", tmp_path / name)
        world = World(tmp_path / name)
        world.service.jobs = copy.deepcopy(finished.service.jobs)
        return world

    steps = steps_of(fresh("counted"), event)
    assert {"before settle", "after record_annotation", "after release", "before move_review"} <= set(steps)
    for step in range(len(steps)):
        world = fresh(f"killed-{step}")
        with pytest.raises(Killed):
            world.send(event, Killer(step))
        world.send(event)
        assert world.statuses() == {
            "r_000": Status.SETTLED,
            "r_001": Status.DISPUTED,
            "r_002": Status.WAITING,
            "r_003": Status.WAITING,
        }, steps[step]
        assert [len(world.store.annotations_of(f"r_00{number}")) for number in range(4)] == [3, 3, 1, 0], steps[step]
        assert world.store.get_batch(job).status is BatchStatus.COMPLETED, steps[step]
        assert len(world.quarantined(job)) == 1


def test_five_at_once_start_one_job(tmp_path: Path, make_store: MakeStore) -> None:
    for attempt in range(4):
        (tmp_path / str(attempt)).mkdir()
        world = World(tmp_path / str(attempt), make_store)
        for number in range(4):
            world.add(number)
        in_parallel([lambda world=world: world.send(SCHEDULE) for _ in range(5)])  # type: ignore[misc]
        assert world.labeled() == {"r_000": 1, "r_001": 1, "r_002": 1, "r_003": 1}


def test_five_at_once_take_in_one_result(tmp_path: Path, make_store: MakeStore) -> None:
    started = World(tmp_path, make_store)
    for number in range(4):
        started.add(number)
    started.send(SCHEDULE)
    started.service.complete(started.job(), unanimous(started, "insult"))
    in_parallel([lambda: started.send(state_change(started.job(), "Completed"))] * 5)
    assert set(started.statuses().values()) == {Status.SETTLED}
    assert len(started.store.list_labels(100).records) == 4
    assert [len(started.store.annotations_of(name)) for name in started.statuses()] == [3, 3, 3, 3]


def in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Run the calls at once, and raise what any of them raised."""
    together = threading.Barrier(len(calls))
    errors: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        together.wait()
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def test_agreeing_annotators_make_a_label(started: World) -> None:
    complete(started, unanimous(started, "insult"))
    label = started.store.get_label("r_000")
    assert label is not None
    assert (label.values, label.method) == ({"insult": True, "threat": False}, "agreement")
    assert label.annotators == ["ann", "ben", "cat"]
    assert label.job == started.job()
    answers = started.store.annotations_of("r_000")
    assert [(answer.annotator, answer.labels, answer.job) for answer in answers] == [
        ("ann", ["insult"], started.job()),
        ("ben", ["insult"], started.job()),
        ("cat", ["insult"], started.job()),
    ]
    ended = started.service.describe_labeling_job(LabelingJobName=started.job())["LastModifiedTime"]
    assert {answer.created for answer in answers} == {ended.astimezone(UTC).isoformat()}


def test_none_is_an_answer_with_no_categories(started: World) -> None:
    complete(started, unanimous(started, "none"))
    label = started.store.get_label("r_000")
    assert label is not None
    assert label.values == {"insult": False, "threat": False}
    assert [answer.labels for answer in started.store.annotations_of("r_000")] == [[], [], []]


def test_annotators_who_disagree_leave_it_to_an_adjudicator(started: World) -> None:
    choices = unanimous(started, "insult") | {"r_001": {"ann": ["insult"], "ben": ["none"], "cat": ["insult"]}}
    complete(started, choices)
    assert started.statuses()["r_001"] == Status.DISPUTED
    assert started.store.get_label("r_001") is None


def test_a_reporter_who_annotates_does_not_count(tmp_path: Path) -> None:
    world = World(tmp_path)
    decision = records.decision()
    review = review_of(decision, ReviewReason.DISAGREEMENT, NOON.isoformat())
    world.store.record_decisions([decision])
    world.store.record_feedback(records.feedback(moderator="ann", review_id=review.review_id), "digest", review)
    world.add(1)
    world.add(2)
    world.send(SCHEDULE)
    complete(world, unanimous(world, "insult"))
    assert world.statuses() == {review.review_id: Status.WAITING, "r_001": Status.SETTLED, "r_002": Status.SETTLED}


def test_an_answer_from_the_console_counts_with_those_of_the_job(world: World) -> None:
    given = Annotation(review_id="r_000", annotator="dan", labels=["threat"], created=NOON.isoformat())
    world.store.record_annotation(given)
    world.send(SCHEDULE)
    complete(world, unanimous(world, "insult"))
    assert world.statuses()["r_000"] == Status.DISPUTED
    assert world.statuses()["r_001"] == Status.SETTLED


def test_who_answered_before_is_not_heard_twice(world: World) -> None:
    given = Annotation(review_id="r_000", annotator="ann", labels=["threat"], created=NOON.isoformat())
    world.store.record_annotation(given)
    world.send(SCHEDULE)
    complete(world, unanimous(world, "insult"))
    assert given in world.store.annotations_of("r_000")
    assert len(world.store.annotations_of("r_000")) == 3


def test_without_single_answers_the_consolidated_one_settles(started: World) -> None:
    complete(started, unanimous(started, "insult"), with_responses=False)
    label = started.store.get_label("r_000")
    assert label is not None
    assert (label.values, label.method) == ({"insult": True, "threat": False}, "groundtruth")
    assert (label.annotators, label.job) == ([], started.job())


def test_without_single_answers_an_unsure_one_is_disputed(started: World) -> None:
    choices = unanimous(started, "insult") | {"r_001": {"ann": ["insult"], "ben": ["none"], "cat": ["insult"]}}
    complete(started, choices, with_responses=False)
    assert started.statuses()["r_001"] == Status.DISPUTED
    assert started.statuses()["r_000"] == Status.SETTLED


def test_without_single_answers_a_lone_one_makes_no_label(started: World) -> None:
    complete(started, {name: {"ann": ["insult"]} for name in started.statuses()}, with_responses=False)
    assert set(started.statuses().values()) == {Status.WAITING}


def test_single_answers_that_are_not_those_of_the_output_are_disputed(started: World) -> None:
    job = started.job()
    for annotator in THREE:
        started.service.write_response(job, 0, annotator, worker_response(annotator, ["threat"]))
    complete(started, unanimous(started, "insult"), with_responses=False)
    assert started.statuses()["r_000"] == Status.DISPUTED
    assert started.store.annotations_of("r_000") == []


def test_what_was_not_annotated_waits_again_and_goes_into_another_job(started: World) -> None:
    first = started.job()
    complete(started, {})
    assert set(started.statuses().values()) == {Status.WAITING}
    assert [one["reason"] for one in started.quarantined(first)] == ["not annotated"] * 4
    started.send(SCHEDULE)
    assert set(started.labeled().values()) == {2}
    assert len(started.service.jobs) == 2


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_the_reviews_of_a_job_that_failed_wait_again(started: World, status: str) -> None:
    job = started.job()
    started.service.finish(job, status)
    started.send(state_change(job, status))
    assert set(started.statuses().values()) == {Status.WAITING}
    assert started.store.get_batch(job).status is BatchStatus.FAILED
    started.send(SCHEDULE)
    assert set(started.statuses().values()) == {Status.LABELING}
    assert len(started.service.jobs) == 2


def test_a_hostile_output_is_quarantined_and_the_good_line_taken(started: World) -> None:
    job = started.job()
    good = {"source": "you fool 0", "item-id": "r_000"} | annotated(job, LABELS, [["insult"]] * 3)
    foreign = good | {"item-id": "r_001", "source": "you fool 1", "source-ref": "s3://a-bucket/secret"}
    changed = good | {"item-id": "r_002", "source": "secret words"}
    lines = [good, foreign, changed, good | {"item-id": "r_099"}, good]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b"\xff\n"
    started.service.write_output(job, content)
    started.service.finish(job, "Completed")
    started.send(state_change(job, "Completed"))
    assert started.statuses() == {
        "r_000": Status.SETTLED,
        "r_001": Status.WAITING,
        "r_002": Status.WAITING,
        "r_003": Status.WAITING,
    }
    assert started.quarantined(job) == [
        {"line_number": 2, "reason": "foreign key", "review_id": None},
        {"line_number": 3, "reason": "changed text", "review_id": "r_002"},
        {"line_number": 4, "reason": "unknown id", "review_id": None},
        {"line_number": 5, "reason": "duplicate", "review_id": "r_000"},
        {"line_number": 6, "reason": "not JSON", "review_id": None},
    ]
    assert started.counts["label_quarantined"] == 5


def test_an_erased_review_is_quarantined_and_stays_gone(tmp_path: Path) -> None:
    world = World(tmp_path)
    decision = records.decision()
    review = review_of(decision, ReviewReason.DISAGREEMENT, NOON.isoformat())
    world.store.record_decisions([decision], [review])
    world.add(1)
    world.add(2)
    world.send(SCHEDULE)
    world.store.delete_decision("d_1")
    complete(world, unanimous(world, "insult"))
    with pytest.raises(UnknownReview):
        world.store.get_review(review.review_id)
    assert world.store.get_label(review.review_id) is None
    assert [one["reason"] for one in world.quarantined(world.job())] == ["gone"]
    assert world.statuses() == {"r_001": Status.SETTLED, "r_002": Status.SETTLED}


def test_an_event_is_believed_only_as_far_as_sagemaker_confirms_it(started: World) -> None:
    for status in ("Completed", "Failed", "Stopped", "Nonsense"):
        started.send(state_change(started.job(), status))
    assert set(started.statuses().values()) == {Status.LABELING}


def test_repeated_and_late_events_change_nothing(started: World) -> None:
    complete(started, unanimous(started, "insult"))
    before = started.store.list_labels(100)
    for status in ("Completed", "Failed", "Stopped", "Completed"):
        started.send(state_change(started.job(), status))
    assert started.counts["job_event_ignored"] == 4
    assert started.store.list_labels(100) == before
    assert set(started.statuses().values()) == {Status.SETTLED}


def test_a_label_that_is_there_is_left_as_it_is_when_the_rest_is_taken_in(started: World) -> None:
    started.service.complete(started.job(), unanimous(started, "insult"))
    killer = Killer()
    killer.kills = "before release".__eq__
    with pytest.raises(Killed):
        started.send(state_change(started.job(), "Completed"), killer)
    before = started.store.list_labels(100)
    started.send(state_change(started.job(), "Completed"))
    assert started.store.list_labels(100) == before


def test_a_job_that_ends_before_its_start_is_noted_stays_completed(world: World) -> None:
    def end(step: str) -> bool:
        if step == "after create_labeling_job":
            complete(world, unanimous(world, "insult"))
        return False

    killer = Killer()
    killer.kills = end
    world.send(SCHEDULE, killer)
    assert world.store.get_batch(world.job()).status is BatchStatus.COMPLETED
    assert set(world.statuses().values()) == {Status.SETTLED}


@pytest.mark.parametrize(
    "resources",
    [
        [arn("somebody-elses")],
        [],
        [arn("moderato-1"), arn("moderato-2")],
        "arn",
        [7],
        [{"a": 1}],
        None,
        ["arn:aws:sagemaker:us-east-1:111122223333:training-job/moderato-1"],
        [arn("../../etc")],
    ],
)
def test_events_of_foreign_jobs_change_nothing(started: World, resources: object) -> None:
    started.send(state_change("x", "Completed") | {"resources": resources})
    assert set(started.statuses().values()) == {Status.LABELING}
    assert started.counts["job_event_ignored"] == 1


@pytest.mark.parametrize("event", [{}, {"detail-type": "you fool"}, {"detail-type": ["x"]}, {"Records": []}])
def test_unknown_events_are_counted_and_not_repeated_in_the_log(world: World, event: dict[str, Any]) -> None:
    world.send(event)
    assert world.counts == {"unknown_event": 1}
    assert "fool" not in world.logs.getvalue()
    assert world.service.jobs == {}


def test_a_lost_event_is_made_up_for_by_the_schedule(started: World) -> None:
    started.service.complete(started.job(), unanimous(started, "insult"))
    started.send(SCHEDULE)
    assert set(started.statuses().values()) == {Status.SETTLED}


def test_a_completed_job_whose_output_is_late_is_looked_at_again(started: World) -> None:
    started.service.finish(started.job(), "Completed")
    started.send(state_change(started.job(), "Completed"))
    assert set(started.statuses().values()) == {Status.LABELING}
    assert started.counts["labeling_output_missing"] == 1
    started.service.complete(started.job(), unanimous(started, "insult"))
    started.send(SCHEDULE)
    assert set(started.statuses().values()) == {Status.SETTLED}


def test_a_batch_whose_reviews_were_settled_meanwhile_is_dropped(world: World) -> None:
    killer = Killer()
    killer.kills = "after open_batch".__eq__
    with pytest.raises(Killed):
        world.send(SCHEDULE, killer)
    for name in world.statuses():
        world.store.move_review(name, Status.WAITING, Status.DISPUTED)
    for number in range(10, 13):
        world.add(number)
    world.send(SCHEDULE)
    assert world.labeled() == {"r_010": 1, "r_011": 1, "r_012": 1}


def test_a_name_that_was_used_is_not_used_again(world: World) -> None:
    world.seconds = itertools.repeat(0)
    world.send(SCHEDULE)
    world.service.finish(world.job(), "Failed")
    world.send(state_change(world.job(), "Failed"))
    world.send(SCHEDULE)
    assert set(world.statuses().values()) == {Status.WAITING}
    world.seconds = itertools.count(1)
    world.send(SCHEDULE)
    assert len(world.service.jobs) == 2


def test_a_refusal_by_sagemaker_leaves_the_batch_for_the_next_try(world: World) -> None:
    world.settings = replace(SETTINGS, task=replace(TASK, role="a-role-that-is-no-arn"))
    with pytest.raises(world.service.exceptions.ClientError, match="ValidationException"):
        world.send(SCHEDULE)
    world.settings = SETTINGS
    world.send(SCHEDULE)
    assert set(world.labeled().values()) == {1}


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, task=replace(TASK, annotators=2)),
        replace(SETTINGS, fewest=0),
        replace(SETTINGS, fewest=60),
        replace(SETTINGS, most=100_001),
    ],
)
def test_settings_that_no_label_could_come_from_are_refused_at_the_start(world: World, settings: Settings) -> None:
    world.settings = settings
    with pytest.raises(ValueError, match=r"annotators|a job has"):
        world.send(SCHEDULE)


def test_no_text_gets_into_the_logs(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(3):
        world.add(number, text=f"secret words {number}")
    world.send(SCHEDULE)
    complete(world, unanimous(world, "insult"))
    assert "labeling_job_completed" in world.logs.getvalue()
    assert "secret" not in world.logs.getvalue()


def test_each_scheduled_event_measures_the_queue_before_anything_else(tmp_path: Path, make_store: MakeStore) -> None:
    world = World(tmp_path, make_store, seconds=itertools.repeat(0))
    world.add(1, created=NOON - timedelta(minutes=5))
    world.add(2, created=NOON - timedelta(hours=2))
    world.add(3)
    world.send(SCHEDULE)
    assert world.measured == [("reviews_waiting", 3, "Count"), ("oldest_review_seconds", 7200, "Seconds")]
    world.measured.clear()
    world.send(SCHEDULE)  # all of them are in a job
    assert world.measured == [("reviews_waiting", 0, "Count"), ("oldest_review_seconds", 0, "Seconds")]


def test_the_queue_is_measured_though_labeling_fails(world: World) -> None:
    world.settings = replace(SETTINGS, task=replace(TASK, role="a-role-that-is-no-arn"))
    with pytest.raises(world.service.exceptions.ClientError):
        world.send(SCHEDULE)
    assert [name for name, _, _ in world.measured] == ["reviews_waiting", "oldest_review_seconds"]


def test_the_end_of_a_job_measures_nothing(started: World) -> None:
    started.measured.clear()
    complete(started, unanimous(started, "insult"))
    assert started.measured == []


def test_without_ground_truth_the_queue_is_measured_and_reviews_wait_for_the_console(world: World) -> None:
    world.seconds = itertools.repeat(60)
    world.send_without_ground_truth(SCHEDULE)
    assert world.measured == [("reviews_waiting", 4, "Count"), ("oldest_review_seconds", 60, "Seconds")]
    assert world.service.jobs == {}
    assert set(world.statuses().values()) == {Status.WAITING}


def test_a_review_that_was_made_by_a_clock_ahead_has_waited_for_no_time(world: World) -> None:
    world.add(9, created=NOON - timedelta(days=1))
    world.store.move_review("r_009", Status.WAITING, Status.DISPUTED)  # which waits for an adjudicator, not here
    world.seconds = itertools.repeat(-30)
    world.send_without_ground_truth(SCHEDULE)
    assert world.measured == [("reviews_waiting", 4, "Count"), ("oldest_review_seconds", 0, "Seconds")]


def test_without_ground_truth_the_end_of_a_job_is_no_event_that_is_known(world: World) -> None:
    world.send_without_ground_truth(state_change("moderato-1", "Completed"))
    assert world.counts == {"unknown_event": 1}
    assert world.measured == []


_MAIN = """
import boto3
from moto import mock_aws
from moderato.dynamodb import table_definition
with mock_aws():
    boto3.client("dynamodb").create_table(**table_definition("a-table"))
    from labeling.main import handler
    handler({"detail-type": "Scheduled Event"}, None)
    handler({"detail-type": "SageMaker Ground Truth Labeling Job State Change"}, None)
"""


@pytest.mark.parametrize(
    ("workteam", "role", "end_of_a_job"), [("", "", "unknown_event"), (TASK.workteam, TASK.role, "job_event_ignored")]
)
def test_the_function_on_lambda_follows_jobs_for_a_workteam_and_else_measures_alone(
    workteam: str, role: str, end_of_a_job: str
) -> None:
    root = Path(__file__).parents[1]
    environment = {
        "PYTHONPATH": str(root / "functions"), "MODEL_DIR": str(root / "models" / "starter"), "TABLE": "a-table",
        "STACK": "moderato-dev", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "LABELING_WORKTEAM": workteam, "LABELING_KEY": "", "LABELING_BUCKET": "a-bucket", "LABELING_ROLE": role,
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _MAIN], env=environment, check=True, capture_output=True, text=True)
    *metrics, logged, _counted = (json.loads(line) for line in done.stdout.splitlines())
    assert [(line["service"], line.get("reviews_waiting"), line.get("oldest_review_seconds")) for line in metrics] == [
        ("labeling", [0.0], None), ("labeling", None, [0.0]),
    ]  # fmt: skip
    assert metrics[1]["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "Moderato",
            "Dimensions": [["service", "stack"]],
            "Metrics": [{"Name": "oldest_review_seconds", "Unit": "Seconds"}],
        }
    ]
    assert logged["message"] == end_of_a_job
