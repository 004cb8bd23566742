"""Retraining: who starts it when, what an execution is given, and what is kept of its end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from moderato.objects import UnknownObject
from moderato.reviews import Status
from retraining.app import Busy
from tests.pipeline_service import PipelineService, execution_event, package_arn, step, throttling
from tests.retraining_world import DRIFT, HAND, HOURLY, PACKAGE, TEXT, WEEKLY, World, small_world

BUSY, RUNNING = "another event is being handled", "its batch is under way"
TOO_FEW, WAITING = "too few new labels", "another execution of the pipeline is under way"
NO_PIPELINE, NOTHING = "there is no such pipeline", "nothing is under way"
DIGEST = "9dbdcc37fb9a5190616f47e57a7a9ccc3709d26acbbff2e5a74db6d50a143bd6"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world in which three labels are new, which is enough, and nothing has happened."""
    world = small_world(tmp_path)
    world.add_labels(3)
    return world


@pytest.fixture
def started(world: World) -> World:
    """A world whose three labels are in an execution."""
    assert world.send(HOURLY) == "started"
    return world


def test_enough_new_labels_start_the_pipeline(started: World) -> None:
    assert len(started.service.executions) == 1
    assert started.marks() == {"starter/batch-000001": 3}
    assert started.counts == {"retraining_started": 1}
    assert [(one["text"], one["values"]["insult"]) for one in started.labels_given()] == [
        (f"{TEXT} 0", True), (f"{TEXT} 1", True), (f"{TEXT} 2", True),
    ]  # fmt: skip
    assert started.erased_given() == []


def test_the_request_is_this_one(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    world.add_labels(3)
    world.service.register(4, "Approved", **PACKAGE)
    world.send(HOURLY)
    assert world.service.executions[0].request == {
        "PipelineName": "moderato-dev",
        "PipelineExecutionDisplayName": "batch-000001-9dbdcc37fb9a",
        "PipelineExecutionDescription": "Batch 1: 3 labels, 3 of them new",
        "PipelineParameters": [
            {"Name": "LabelsUri", "Value": "s3://a-bucket/retraining/batches/000001-9dbdcc37fb9a"},
            {"Name": "LabelsDigest", "Value": DIGEST},
            {"Name": "DatasetUri", "Value": "s3://a-bucket/datasets/starter/2"},
            {"Name": "ChampionUri", "Value": "s3://a-bucket/models/starter-2/model.tar.gz"},
            {"Name": "Reason", "Value": "labels"},
        ],
        "ClientRequestToken": "c088ad0d18c660f4fa16b7ab44a36c54496d9b6093d116fd07742edb87f4010a",
    }


def test_the_champion_is_the_newest_package_that_is_approved(world: World) -> None:
    for version in range(1, 6):
        world.clock.move(seconds=1)
        status = "Approved" if version < 4 else "Rejected"
        uri = f"s3://a-bucket/models/{version}/model.tar.gz"
        world.service.register(version, status, InferenceSpecification={"Containers": [{"ModelDataUrl": uri}]})
    world.send(HOURLY)
    given = world.given()
    assert given["ChampionUri"] == "s3://a-bucket/models/3/model.tar.gz"
    assert "DatasetUri" not in given  # the package names none


def test_without_an_approved_package_the_pipelines_own_defaults_hold(started: World) -> None:
    assert started.given().keys() == {"LabelsUri", "LabelsDigest", "Reason"}


def test_too_few_new_labels_wait_for_more(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    world.add_labels(2)
    assert world.send(HOURLY) == TOO_FEW
    assert world.service.executions == []
    assert world.bucket.written == []
    world.add_labels(1)
    assert world.send(HOURLY) == "started"


@pytest.mark.parametrize(("event", "reason"), [(WEEKLY, "weekly"), (DRIFT, "drift")])
def test_a_week_or_a_drift_needs_one_new_label(tmp_path: Path, event: dict[str, Any], reason: str) -> None:
    world = small_world(tmp_path)
    assert world.send(event) == TOO_FEW
    world.add_labels(1)
    assert world.send(event) == "started"
    assert world.given()["Reason"] == reason


def test_by_hand_it_starts_without_any_label(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    assert world.send(HAND) == "started"
    assert world.given()["Reason"] == "hand"
    assert world.labels_given() == []


def test_a_batch_has_all_labels_and_counts_those_that_are_new(started: World) -> None:
    started.service.end("Succeeded")
    started.send_end()
    started.add_labels(4)
    assert started.send(HOURLY) == "started"
    assert len(started.labels_given()) == 7
    assert [(one["labels"], one["new_labels"]) for one in started.records()] == [(3, 3), (7, 4)]
    assert started.marks() == {"starter/batch-000001": 3, "starter/batch-000002": 4}


def test_while_an_execution_is_under_way_none_is_started(started: World) -> None:
    started.add_labels(5)
    for event in (HOURLY, WEEKLY, DRIFT, HAND):
        assert started.send(event) == RUNNING
    started.service.end("Stopping")
    assert started.send(HAND) == RUNNING
    assert len(started.service.executions) == 1


def test_an_execution_that_somebody_else_started_is_waited_for(world: World) -> None:
    begin_elsewhere(world.service)
    for _ in range(3):  # whatever is newer in the list has ended
        begin_elsewhere(world.service)
        world.service.end("Stopped")
        world.clock.move(seconds=1)
    assert world.send(HAND) == WAITING
    assert world.bucket.written == []
    world.service.executions[0].status = "Succeeded"
    assert world.send(HOURLY) == "started"


def begin_elsewhere(service: PipelineService) -> None:
    """Start an execution as `python -m training.pipeline start` would."""
    number = len(service.executions)
    service.start_pipeline_execution(
        PipelineName="moderato-dev",
        PipelineExecutionDisplayName=f"by-hand-{number}",
        PipelineParameters=[],
        ClientRequestToken=f"{number:032}",
    )


def test_a_new_model_that_was_registered_is_recorded(started: World) -> None:
    started.clock.move(seconds=3600)
    arn = package_arn(7)
    started.service.end("Succeeded", step("PrepareDataset"), step("RegisterChallenger", RegisterModel={"Arn": arn}))
    assert started.send_end() == NOTHING
    assert started.counts["retraining_succeeded"] == 1
    assert started.record() == {
        "number": 1,
        "digest": started.given()["LabelsDigest"],
        "reason": "labels",
        "status": "succeeded",
        "pinned": "2026-11-21T12:00:00+00:00",
        "labels": 3,
        "new_labels": 3,
        "erased_before_start": 0,
        "dataset_uri": None,
        "champion_uri": None,
        "execution": started.names()[0],
        "execution_arn": started.service.executions[0].arn,
        "started": "2026-11-21T12:00:00+00:00",
        "ended": "2026-11-21T13:00:00+00:00",
        "failed_step": None,
        "failure": None,
        "package_arn": arn,
        "new_review_ids": [one.review_id for one in started.store.list_labels(10).records],
    }


def test_a_champion_that_stays_is_no_failure_and_the_reason_is_kept(started: World) -> None:
    reason = "insult: area 0.951, the champion's is 0.962"
    steps = [
        step("PrepareDataset"), step("TrainChallenger"), step("EvaluateChallenger"), step("IsBetter"),
        step("KeepChampion", "Failed", "ClientError: the step failed", Fail={"ErrorMessage": reason}),
    ]  # fmt: skip
    started.service.end("Failed", *steps, failure="Step failure: One or multiple steps failed.")
    started.send_end()
    assert (started.counts["champion_kept"], started.counts["retraining_failed"]) == (1, 0)
    assert (started.record()["status"], started.record()["failure"]) == ("champion kept", reason)


def test_a_failure_rings_and_its_batch_is_not_started_again(started: World) -> None:
    failed = step("TrainChallenger", "Failed", "CapacityError: Unable to provision requested ML compute capacity.")
    started.service.end("Failed", step("PrepareDataset"), failed, failure="Step failure")
    for _ in range(3):
        started.send_end()
        started.send(HOURLY)
        started.send(WEEKLY)
    assert len(started.service.executions) == 1
    assert (started.counts["champion_kept"], started.counts["retraining_failed"]) == (0, 1)
    record = started.record()
    assert (record["status"], record["failed_step"]) == ("failed", "TrainChallenger")
    assert record["failure"] == "CapacityError: Unable to provision requested ML compute capacity."
    [line] = [one for one in started.logged() if one["message"] == "retraining_failed"]
    assert (line["level"], line["batch"], line["step"]) == ("ERROR", 1, "TrainChallenger")


def test_after_a_failure_somebody_starts_a_new_batch_with_all_labels(started: World) -> None:
    started.service.end("Failed", step("TrainChallenger", "Failed", "CapacityError"))
    started.send_end()
    assert started.send(HAND) == "started"
    assert len(started.labels_given()) == 3
    assert [(one["number"], one["new_labels"]) for one in started.records()] == [(1, 3), (2, 0)]
    # The same labels, dataset and champion: what the first one finished is taken from the pipeline's cache.
    first, second = (execution.parameters["LabelsDigest"] for execution in started.service.executions)
    assert first == second
    tokens = {execution.request["ClientRequestToken"] for execution in started.service.executions}
    assert len(tokens) == 2


def test_another_champion_makes_another_digest_of_the_same_labels(started: World) -> None:
    started.service.end("Failed", step("TrainChallenger", "Failed", "CapacityError"))
    started.service.register(1, "Approved", **PACKAGE)
    started.send(HAND)
    first, second = (execution.parameters["LabelsDigest"] for execution in started.service.executions)
    assert first != second


def test_an_execution_that_somebody_stopped_does_not_ring(started: World) -> None:
    started.service.end("Stopped")
    started.send_end()
    assert (started.counts["retraining_stopped"], started.counts["retraining_failed"]) == (1, 0)
    assert started.record()["status"] == "stopped"


def test_a_failure_whose_step_is_not_listed_yet_is_looked_at_again(started: World) -> None:
    started.service.end("Failed", step("PrepareDataset"), failure="Step failure")
    assert started.send_end() == RUNNING
    assert started.record()["status"] == "running"
    started.service.executions[0].steps.append(step("KeepChampion", "Failed", "no better"))
    started.send(HOURLY)
    assert started.record()["failure"] == "no better"


def test_a_failure_before_the_first_step_is_one(started: World) -> None:
    started.service.end("Failed", failure="The role cannot be assumed")
    started.clock.move(seconds=15 * 60)
    started.send(HOURLY)
    assert (started.record()["status"], started.record()["failure"]) == ("failed", "The role cannot be assumed")


def test_an_execution_that_was_deleted_does_not_hold_up_the_next(started: World) -> None:
    kept, started.service.executions = started.service.executions, []
    assert started.send(HOURLY) == RUNNING  # a new one may not be there yet
    started.clock.move(seconds=15 * 60)
    started.send(HOURLY)
    assert started.counts["retraining_failed"] == 1
    assert started.record()["failure"] == "SageMaker does not know the execution any more"
    assert started.record()["execution_arn"] == kept[0].arn


def test_the_next_batch_may_begin_with_the_event_that_finds_the_end_of_the_last(started: World) -> None:
    started.add_labels(3)
    started.service.end("Succeeded")
    assert started.send(HOURLY) == "started"
    assert [one["status"] for one in started.records()] == ["succeeded", "running"]


def test_an_event_is_believed_nothing(started: World) -> None:
    assert started.send(execution_event(started.service.executions[0].arn, "Failed")) == RUNNING
    assert started.record()["status"] == "running"


def test_events_of_executions_that_are_none_of_ours_are_counted(world: World) -> None:
    assert world.send(execution_event("arn:aws:sagemaker:eu-central-1:1:pipeline/x/execution/y", "Failed")) == NOTHING
    assert world.counts == {"execution_event_ignored": 1}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"detail-type": "you fool"},
        {"detail-type": ["x"]},
        {"detail-type": "Retraining Is Due", "detail": {"reason": "you fool"}},
        {"detail-type": "Retraining Is Due", "detail": {"reason": "labels"}},
        {"detail-type": "Retraining Is Due", "detail": {"reason": ["hand"]}},
        {"detail-type": "Retraining Is Due"},
        {"detail-type": "CloudWatch Alarm State Change", "detail": {"state": {"value": "OK"}}},
        {"detail-type": "CloudWatch Alarm State Change", "detail": {"state": "ALARM"}},
        {"detail-type": "CloudWatch Alarm State Change", "detail": "ALARM"},
    ],
)
def test_unknown_events_are_counted_and_not_repeated_in_the_log(world: World, event: dict[str, Any]) -> None:
    world.send(event)
    assert world.counts == {"unknown_event": 1}
    assert "fool" not in world.logs.getvalue()
    assert world.service.executions == []


def test_each_scheduled_event_measures_new_labels_before_anything_else(world: World) -> None:
    world.service.has_pipeline = False
    world.send(HOURLY)
    assert world.measured == [("labels_new", 3, "Count")]
    world.service.has_pipeline = True
    world.send(HOURLY)
    world.send(HOURLY)
    world.send(WEEKLY)
    assert world.measured == [("labels_new", 3, "Count"), ("labels_new", 3, "Count"), ("labels_new", 0, "Count")]


def test_without_a_pipeline_labels_wait_for_it(world: World) -> None:
    world.service.has_pipeline = False
    for _ in range(2):
        assert world.send(HOURLY) == NO_PIPELINE
    assert world.counts == {"pipeline_missing": 2}
    assert [line["pipeline"] for line in world.logged()] == ["moderato-dev", "moderato-dev"]
    assert world.bucket.written == []
    world.service.has_pipeline = True
    assert world.send(HOURLY) == "started"
    assert len(world.labels_given()) == 3


def test_a_pipeline_that_goes_while_its_batch_is_pinned_does_not_lose_it(world: World) -> None:
    def go(operation: str) -> None:
        world.service.has_pipeline = operation != "StartPipelineExecution"

    world.service.refuse = go
    assert world.send(WEEKLY) == NO_PIPELINE
    world.service.has_pipeline, world.service.refuse = True, lambda _: None
    assert world.send(execution_event("x", "Failed")) == "started"
    assert world.given()["Reason"] == "weekly"


@pytest.mark.parametrize("operation", ["ListModelPackages", "StartPipelineExecution"])
def test_throttling_is_an_error_that_the_next_event_makes_up_for(world: World, operation: str) -> None:
    def refuse(asked: str) -> None:
        if asked == operation:
            raise throttling(asked)

    world.service.refuse = refuse
    for _ in range(2):  # the turn was given back: the second one gets as far
        with pytest.raises(ClientError, match="ThrottlingException"):
            world.send(HOURLY)
    world.service.refuse = lambda _: None
    assert world.send(HOURLY) == "started"
    assert len(world.service.executions) == 1
    assert world.marks() == {"starter/batch-000001": 3}


def test_throttling_at_the_end_of_an_execution_loses_nothing(started: World) -> None:
    def refuse(asked: str) -> None:
        if asked == "ListPipelineExecutionSteps":
            raise throttling(asked)

    started.service.end("Failed", step("KeepChampion", "Failed", "no better"))
    started.service.refuse = refuse
    with pytest.raises(ClientError, match="ThrottlingException"):
        started.send_end()
    started.service.refuse = lambda _: None
    started.send_end()
    assert started.counts["champion_kept"] == 1


def test_texts_are_removed_when_they_have_served_and_the_record_stays(started: World) -> None:
    folder = started.given()["LabelsUri"].removeprefix("s3://a-bucket/")
    assert sorted(started.bucket.objects) == [f"{folder}/{name}" for name in FILES]
    started.service.end("Succeeded")
    started.send_end()
    assert list(started.bucket.objects) == [f"{folder}/batch.json"]


FILES = ["accepted.jsonl", "batch.json", "erased.json"]


def held_up(world: World) -> None:
    """Let the start of a batch fail after it was pinned."""

    def refuse(asked: str) -> None:
        if asked == "StartPipelineExecution":
            raise throttling(asked)

    world.service.refuse = refuse
    with pytest.raises(ClientError):
        world.send(HOURLY)
    world.service.refuse = lambda _: None


def test_what_was_erased_between_pinning_and_start_is_not_trained_on(world: World) -> None:
    held_up(world)
    world.store.delete_decision("d_1")
    assert world.send(HOURLY) == "started"
    assert [one["text"] for one in world.labels_given()] == [f"{TEXT} 0", f"{TEXT} 2"]
    assert "d_1" in world.erased_given()
    record = world.record()
    assert (record["labels"], record["erased_before_start"]) == (3, 1)
    assert f"{TEXT} 1" not in str(world.bucket.objects)
    assert world.marks() == {"starter/batch-000001": 2}


def test_what_was_erased_twice_between_pinning_and_start_is_counted_as_a_whole(world: World) -> None:
    held_up(world)
    world.store.delete_decision("d_1")
    held_up(world)
    world.store.delete_decision("d_2")
    world.send(HOURLY)
    assert world.record()["erased_before_start"] == 2
    assert [one["decision_id"] for one in world.labels_given()] == ["d_0"]


@pytest.mark.parametrize("erased", [[], ["d_3"]])
def test_a_record_that_somebody_removed_is_made_anew_and_told_once(started: World, erased: list[str]) -> None:
    world = started
    world.service.end("Succeeded")
    world.send_end()
    reviews = world.add_labels(3)
    held_up(world)
    del world.bucket.objects[max(key for key in world.bucket.objects if key.endswith("batch.json"))]
    for decision_id in erased:
        world.store.delete_decision(decision_id)
    assert world.send(HOURLY) == "started"
    assert (world.record()["status"], world.record()["labels"], world.record()["new_labels"]) == ("running", 6, 3)
    assert world.record()["erased_before_start"] == len(erased)
    assert world.record()["new_review_ids"] == reviews[len(erased) :]
    assert world.marks()["starter/batch-000002"] == 3 - len(erased)
    assert world.counts["batch_record_lost"] == 1
    assert [line["level"] for line in world.logged() if line["message"] == "batch_record_lost"] == ["ERROR"]
    world.service.end("Succeeded")
    world.send_end()
    assert world.send(HOURLY) == "too few new labels"


def test_an_erasure_of_something_else_is_told_to_the_pipeline(world: World) -> None:
    held_up(world)
    review = world.add_label(99)
    world.store.delete_decision("d_99")
    world.send(HOURLY)
    assert set(world.erased_given()) == {"d_99", review.review_id}
    assert len(world.labels_given()) == 3


def test_a_label_that_vanished_between_pinning_and_start_is_not_marked(world: World) -> None:
    held_up(world)
    [first, *_] = world.store.list_labels(10).records
    world.store.unsettle(first.review_id)
    world.send(HOURLY)
    assert world.marks() == {"starter/batch-000001": 2}
    assert world.store.get_review(first.review_id).status is Status.WAITING


def test_labels_that_come_between_pinning_and_start_are_new_for_the_next_batch(world: World) -> None:
    held_up(world)
    world.add_labels(2)
    world.send(HOURLY)
    assert len(world.labels_given()) == 3
    assert world.marks() == {"starter/batch-000001": 3, None: 2}


def test_the_champion_of_a_batch_is_that_of_its_pinning(world: World) -> None:
    held_up(world)
    world.service.register(1, "Approved", **PACKAGE)
    world.send(HOURLY)
    assert "ChampionUri" not in world.given()


def test_a_start_that_timed_out_and_succeeded_is_found_by_its_name(world: World) -> None:
    class TimesOut:
        def __init__(self, part: Any) -> None:
            self.part = part

        def __getattr__(self, name: str) -> Any:
            if name != "start_pipeline_execution":
                return getattr(self.part, name)

            def call(**request: Any) -> Any:
                self.part.start_pipeline_execution(**request)
                raise TimeoutError

            return call

    with pytest.raises(TimeoutError):
        world.send(HOURLY, wrap=lambda part: TimesOut(part) if part is world.service else part)
    world.service.end("Failed", step("TrainChallenger", "Failed", "CapacityError"))
    world.clock.move(days=2)  # no token is known for so long
    assert world.send(HOURLY) == "started"
    assert len(world.service.executions) == 1
    world.send(HOURLY)
    assert (world.record()["status"], world.counts["retraining_failed"]) == ("failed", 1)


def test_a_start_that_the_list_does_not_show_yet_is_known_by_its_token(tmp_path: Path) -> None:
    world = small_world(tmp_path, lag=timedelta(minutes=5))
    world.add_labels(3)
    killed = False

    class Dies:
        def __init__(self, part: Any) -> None:
            self.part = part

        def __getattr__(self, name: str) -> Any:
            nonlocal killed
            if name == "mark_labels" and not killed:
                killed = True
                raise KeyboardInterrupt
            return getattr(self.part, name)

    with pytest.raises(KeyboardInterrupt):
        world.send(HOURLY, wrap=lambda part: Dies(part) if part is world.store else part)
    assert world.send(HOURLY) == "started"
    assert len(world.service.executions) == 1


def test_who_has_not_the_turn_does_nothing(world: World) -> None:
    def meet(operation: str) -> None:
        world.service.refuse = lambda _: None
        if operation == "ListPipelineExecutions":
            assert world.send(HAND) == BUSY

    world.service.refuse = meet
    assert world.send(HOURLY) == "started"
    assert len(world.service.executions) == 1


@pytest.mark.parametrize("event", [WEEKLY, DRIFT])
def test_a_week_and_a_drift_that_have_not_the_turn_are_sent_again(world: World, event: dict[str, Any]) -> None:
    def meet(_: str) -> None:
        world.service.refuse = lambda _: None
        with pytest.raises(Busy, match=f"^{BUSY}$"):
            world.send(event)

    world.service.refuse = meet
    assert world.send(HOURLY) == "started"
    assert world.send(event) == RUNNING  # as Lambda repeats it
    assert len(world.service.executions) == 1


@pytest.mark.parametrize("operation", ["ListModelPackages", "StartPipelineExecution"])
def test_who_was_held_up_for_longer_than_its_lease_starts_nothing_twice(tmp_path: Path, operation: str) -> None:
    world = small_world(tmp_path, lag=timedelta(hours=1))  # nobody learns from the list what another did
    world.add_labels(3)

    def stay(asked: str) -> None:
        if asked == operation:
            world.service.refuse = lambda _: None
            world.clock.move(seconds=1801)
            assert world.send(HAND) == "started"

    world.service.refuse = stay
    assert world.send(HOURLY) == BUSY
    assert len(world.service.executions) == 1
    assert world.marks() == {"starter/batch-000001": 3}
    assert len(world.records()) == 1


class Before:
    """Does something once, before the first call of this name that is `given` an argument, if one is named."""

    def __init__(self, name: str, do: Callable[[], Any], given: str | None = None) -> None:
        self.name, self.given, self.do, self.is_done = name, given, do, False

    def __call__(self, part: Any) -> Any:
        """Wrap a part of the function."""
        return _Called(part, self)


class _Called:
    def __init__(self, part: Any, before: Before) -> None:
        self._part, self._before = part, before

    def __getattr__(self, name: str) -> Any:
        attribute, before = getattr(self._part, name), self._before
        if name != before.name:
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            if not before.is_done and (before.given is None or before.given in named):
                before.is_done = True
                before.do()
            return attribute(*arguments, **named)

        return call


def test_who_was_held_up_until_its_batch_had_come_to_its_end_leaves_all_as_it_is(world: World) -> None:
    def others() -> None:
        world.clock.move(seconds=1801)
        world.send(HOURLY)
        world.service.end("Succeeded")
        world.send(HOURLY)

    held_up(world)
    assert world.send(HOURLY, Before("erased", others)) == BUSY
    assert (world.record()["status"], len(world.service.executions)) == ("succeeded", 1)


def test_a_text_that_is_missing_though_its_batch_has_not_ended_is_an_error(world: World) -> None:
    held_up(world)
    [key] = [key for key in world.bucket.objects if key.endswith("accepted.jsonl")]
    del world.bucket.objects[key]
    world.store.delete_decision("d_1")
    with pytest.raises(UnknownObject):
        world.send(HOURLY)


def test_the_end_of_a_batch_is_the_last_word_about_it(world: World) -> None:
    def others() -> None:
        world.clock.move(seconds=1801)
        world.service.end("Succeeded")
        assert world.send(HOURLY) == TOO_FEW

    # It notes at last that the batch runs, which has ended meanwhile.
    assert world.send(HOURLY, Before("put_object", others, given="IfMatch")) == "started"
    assert world.record()["status"] == "succeeded"


def test_texts_that_somebody_wrote_too_late_are_removed_with_the_next(started: World) -> None:
    started.bucket.objects["retraining/batches/000000-5eed/accepted.jsonl"] = b"late"
    started.bucket.objects["retraining/batches/000002-5eed/accepted.jsonl"] = b"of the next one, in another's turn"
    started.service.end("Succeeded")
    started.send_end()
    texts = [key for key in started.bucket.objects if not key.endswith("batch.json")]
    assert texts == ["retraining/batches/000002-5eed/accepted.jsonl"]


def test_who_finds_that_its_lease_has_run_out_starts_nothing(world: World) -> None:
    moves = iter([0, 0, 1801])  # before the list is looked at for the last time

    def stay(asked: str) -> None:
        if asked == "ListPipelineExecutions":
            world.clock.move(seconds=next(moves))

    world.service.refuse = stay
    assert world.send(HOURLY) == BUSY
    assert world.service.executions == []
    world.service.refuse = lambda _: None
    assert world.send(HOURLY) == "started"


def test_clocks_may_be_minutes_apart(world: World) -> None:
    def meet(_: str) -> None:
        world.service.refuse = lambda _: None
        world.clock.move(seconds=1790)
        assert world.send(HAND) == BUSY
        world.clock.move(seconds=-1790)

    world.service.refuse = meet
    assert world.send(HOURLY) == "started"
    assert len(world.service.executions) == 1


def test_no_text_gets_into_logs_records_metrics_or_requests(started: World) -> None:
    started.service.end("Failed", step("TrainChallenger", "Failed", "CapacityError"))
    started.send_end()
    started.send(HAND)
    records = [content for key, content in started.bucket.written if key.endswith("batch.json")]
    requests = [execution.request for execution in started.service.executions]
    for place in (started.logs.getvalue(), str(records), str(started.counts), str(requests), str(started.client.items)):
        assert len(place) > 20
        assert "secret" not in place


@pytest.mark.parametrize("fewest", [0, -1])
def test_settings_by_which_every_hour_would_start_one_are_refused(world: World, fewest: int) -> None:
    world.settings = replace(world.settings, fewest_labels=fewest)
    with pytest.raises(ValueError, match="at least one new label"):
        world.send(HOURLY)
