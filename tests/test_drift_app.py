"""The drift function: it measures recent decisions against the reference once a day, and keeps none of their texts."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from drift.app import create_app
from moderato.artifact import Manifest, Reference, load_manifest
from moderato.decisions import Decision, ModelName
from moderato.objects import FolderObjects
from moderato.policy import Action
from moderato.sqlite import SqliteStore
from moderato.store import Store
from moderato.telemetry import Unit
from tests.conftest import STARTER
from tests.function_processes import start
from tests.made_models import make_model
from tests.observations import half_and_half
from tests.records import decision, feedback, logger_to
from tests.stores import dynamo_store, simulated_dynamo

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEDULE = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
KEEP = {"detail-type": "Drift Baseline Is Due", "source": "moderato"}
TEXT = "zebrafish fool"
ENVIRONMENT = {"TABLE": "moderato", "MODEL_DIR": str(STARTER), "DRIFT_DAYS": "7", "BASELINES": ""}


@dataclass
class World:
    """The drift function around a store, and what it measured, logged and counted."""

    store: Store
    folder: Path
    reference: Reference | None = field(default_factory=half_and_half)
    days: int = 7
    measured: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    logs: StringIO = field(default_factory=StringIO)
    counts: Counter[str] = field(default_factory=Counter)
    has_place: bool = True

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        """Let the function handle an event; return its answer."""
        handler = create_app(
            store=self.store,
            manifest=self.manifest,
            days=self.days,
            objects=FolderObjects(self.folder / "objects") if self.has_place else None,
            logger=logger_to(self.logs),
            measure=self.measure,
            clock=lambda: NOON,
            count=lambda name: self.counts.update([name]),
        )
        return handler(event, LambdaContext())

    @property
    def manifest(self) -> Manifest:
        """The manifest of a model with one category, insult."""
        directory = self.folder / f"model-{self.reference is None}"
        if not directory.exists():
            make_model(directory, reference=self.reference)
        return load_manifest(directory)

    def measure(self, name: str, value: float, unit: Unit) -> None:
        """Note what was measured."""
        self.measured[name], self.units[name] = value, unit.value

    def logged(self) -> list[str]:
        """Return the events that were logged."""
        return [json.loads(line)["message"] for line in self.logs.getvalue().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The function over an empty embedded store."""
    return World(SqliteStore(tmp_path / "store.sqlite3", clock=lambda: NOON), tmp_path)


@pytest.fixture(params=["sqlite", "dynamodb"])
def either_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The function over an empty store of either kind."""
    if request.param == "sqlite":
        yield World(SqliteStore(tmp_path / "store.sqlite3", clock=lambda: NOON), tmp_path)
    else:
        with simulated_dynamo() as client:
            yield World(dynamo_store(client, lambda: NOON), tmp_path)


def add(store: Store, count: int, score: float, **fields: Any) -> list[Decision]:
    """Store so many decisions of the last hours, all of which are kept; they are flagged from 0.5 on."""
    flagged = {} if score >= 0.5 else {"action": Action.ALLOW, "reasons": []}
    begin = fields.pop("begin", NOON - timedelta(hours=5))
    defaults = {"text": TEXT, "scores": {"insult": score}, "model": ModelName("made", "1.0.0"), "kept_because": "all"}
    made = [
        decision(
            **(
                defaults
                | flagged
                | {
                    "decision_id": f"d_{score}_{begin:%d%H}_{number}",
                    "created": (begin + timedelta(seconds=number)).isoformat(),
                }
                | fields
            )
        )
        for number in range(count)
    ]
    store.record_decisions(made)
    return made


def judge(store: Store, decisions: Sequence[Decision], correct: bool) -> None:
    """Let a moderator say of each decision whether it is right."""
    for one in decisions:
        given = feedback(feedback_id=f"f_{one.decision_id}", decision_id=one.decision_id, correct=correct)
        store.record_feedback(given, "digest", None)


def test_scores_of_the_same_distribution_are_measured_and_do_not_alarm(world: World) -> None:
    add(world.store, 60, 0.1)
    add(world.store, 60, 0.9)
    assert world.send(SCHEDULE) == {}
    assert world.measured == {
        "drift_texts": 120,
        "drift_effective_texts": 120,
        "drifting_categories": 0,
        "population_stability_index": 0,
        "recent_flag_rate": 0.5,
    }
    assert [name for name, unit in world.units.items() if unit == "None"] == [
        "population_stability_index",
        "recent_flag_rate",
    ]
    assert world.logged() == []


def test_scores_of_another_distribution_alarm_and_the_category_is_logged(world: World) -> None:
    add(world.store, 135, 0.1)
    add(world.store, 15, 0.9)
    world.send(SCHEDULE)
    assert world.measured["drifting_categories"] == 1
    # 0.4 ln 1.8 - 0.4 ln 0.2 = 0.8789, and half texts make it a little less.
    assert world.measured["population_stability_index"] == pytest.approx(0.87, abs=0.02)
    assert world.measured["recent_flag_rate"] == pytest.approx(0.1)
    (line,) = map(json.loads, world.logs.getvalue().splitlines())
    assert (line["message"], line["category"], line["highest"]) == ("category_drifts", "insult", 0.2)


def test_the_reversal_rate_is_of_the_flags_that_moderators_judged(either_world: World) -> None:
    allowed, flagged = add(either_world.store, 60, 0.1), add(either_world.store, 60, 0.9)
    judge(either_world.store, flagged[:3], correct=False)
    judge(either_world.store, flagged[3:10], correct=True)
    judge(either_world.store, allowed[:5], correct=False)  # missed, and not flagged wrongly
    either_world.send(SCHEDULE)
    assert either_world.measured["recent_reversal_rate"] == pytest.approx(0.3)


def test_labels_reverse_a_flag_and_the_most_decide(world: World) -> None:
    add(world.store, 60, 0.1)
    first, second, third, *_ = add(world.store, 60, 0.9)
    for number, (one, labels) in enumerate(
        [(first, {"insult": False}), (second, {"insult": True}), (third, {"insult": False}), (third, {"insult": True})]
    ):
        given = feedback(feedback_id=f"f_{number}", decision_id=one.decision_id, correct=None, labels=labels)
        world.store.record_feedback(given, "digest", None)
    world.send(SCHEDULE)
    # One of three: of the third flag as many say so as not.
    assert world.measured["recent_reversal_rate"] == pytest.approx(1 / 3)


def test_a_sampled_decision_counts_for_those_that_were_not_kept(either_world: World) -> None:
    add(either_world.store, 110, 0.1, kept_because="sampled", sampling_probability=0.1)
    add(either_world.store, 20, 0.9, kept_because="flagged", begin=NOON - timedelta(hours=9))
    add(either_world.store, 15, 0.4, kept_because="uncertain", begin=NOON - timedelta(hours=1))
    either_world.send(SCHEDULE)
    # 1,100 allowed texts and 20 flagged ones: 1,120^2 / (110 * 100 + 20) effective texts.
    assert either_world.measured["drift_texts"] == 130
    assert either_world.measured["drift_effective_texts"] == pytest.approx(113.8, abs=0.1)
    assert either_world.measured["recent_flag_rate"] == pytest.approx(20 / 1_120)


def test_where_nothing_is_stored_nothing_alarms(world: World) -> None:
    world.send(SCHEDULE)
    assert world.measured == {"drift_texts": 0, "drift_effective_texts": 0}
    assert world.logged() == ["too_few_decisions"]


def test_too_few_decisions_say_nothing(world: World) -> None:
    add(world.store, 99, 0.1)
    world.send(SCHEDULE)
    assert set(world.measured) == {"drift_texts", "drift_effective_texts"}
    add(world.store, 1, 0.1, begin=NOON - timedelta(hours=1))
    world.send(SCHEDULE)
    assert world.measured["drifting_categories"] == 1


def test_older_decisions_and_those_of_other_models_do_not_count(either_world: World) -> None:
    add(either_world.store, 30, 0.9, begin=NOON - timedelta(days=8))
    add(either_world.store, 30, 0.8, model=ModelName("made", "0.9.0"))
    add(either_world.store, 30, 0.7, model=ModelName("other", "1.0.0"))
    either_world.send(SCHEDULE)
    assert either_world.measured["drift_texts"] == 0
    either_world.days = 9
    either_world.send(SCHEDULE)
    assert either_world.measured["drift_texts"] == 30


def test_a_model_without_a_reference_is_counted_and_not_compared(world: World) -> None:
    world.reference = None
    add(world.store, 120, 0.9)
    world.send(SCHEDULE)
    assert set(world.measured) == {"drift_texts", "drift_effective_texts"}
    assert (world.logged(), world.counts) == (["reference_missing"], {"reference_missing": 1})


def test_a_baseline_that_was_kept_is_what_later_decisions_are_compared_with(world: World) -> None:
    add(world.store, 135, 0.1)
    flagged = add(world.store, 15, 0.9)
    judge(world.store, flagged[:4], correct=False)
    assert world.send(KEEP) == {"kept": "drift/made-1_0_0/20261121T120000000000Z.json"}
    assert world.counts == {"baseline_kept": 1}
    world.send(SCHEDULE)
    assert world.measured["drifting_categories"] == 0
    assert world.measured["population_stability_index"] == 0


def test_a_baseline_makes_up_for_a_missing_reference(world: World) -> None:
    world.reference = None
    add(world.store, 120, 0.9)
    world.send(KEEP)
    world.send(SCHEDULE)
    assert world.measured["drifting_categories"] == 0


@pytest.mark.parametrize(
    ("has_place", "count", "why"), [(False, 120, "names no bucket"), (True, 20, "count as 20 texts")]
)
def test_a_baseline_that_cannot_be_kept_is_refused_with_its_reason(
    world: World, has_place: bool, count: int, why: str
) -> None:
    world.has_place = has_place
    add(world.store, count, 0.9)
    assert why in world.send(KEEP)["refused"]
    assert not list((world.folder / "objects").rglob("*.json"))


def test_an_unknown_event_is_counted_and_measures_nothing(world: World) -> None:
    add(world.store, 120, 0.9)
    assert world.send({"detail-type": "Reviews Wait"}) == {}
    assert (world.measured, world.counts, world.logged()) == ({}, {"unknown_event": 1}, ["unknown_event"])


def test_no_text_leaves_the_store(world: World) -> None:
    add(world.store, 120, 0.9)
    answers = [world.send(event) for event in (SCHEDULE, KEEP, SCHEDULE)]
    kept = [path.read_text() for path in (world.folder / "objects").rglob("*.json")]
    assert len(kept) == 1
    for said in (world.logs.getvalue(), str(world.measured), str(answers), *kept):
        assert "zebrafish" not in said


@pytest.mark.parametrize("days", [0, 91])
def test_days_out_of_range_do_not_start(tmp_path: Path, days: int) -> None:
    world = World(SqliteStore(tmp_path / "store.sqlite3"), tmp_path, days=days)
    with pytest.raises(ValueError, match=f"1 to 90 days, not {days}"):
        world.send(SCHEDULE)


def test_the_function_starts_without_the_models_runtime() -> None:
    result = start("drift", ENVIRONMENT, {"detail-type": "Reviews Wait"})
    assert result == {"answers": [{}], "loaded": []}


@pytest.mark.parametrize("missing", ["TABLE", "MODEL_DIR", "DRIFT_DAYS", "BASELINES"])
def test_what_is_missing_from_the_environment_is_named_at_the_start(missing: str) -> None:
    given = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    assert f"KeyError: '{missing}'" in start("drift", given)


_MAIN = """
import boto3
from moto import mock_aws
from moderato.dynamodb import table_definition
with mock_aws():
    boto3.client("dynamodb").create_table(**table_definition("a-table"))
    boto3.client("s3").create_bucket(Bucket="a-bucket")
    from drift.main import handler
    handler({"detail-type": "Scheduled Event"}, None)
    print(handler({"detail-type": "Drift Baseline Is Due"}, None)["refused"])
"""


def test_on_lambda_the_metrics_are_those_of_its_stack() -> None:
    environment = {
        "PYTHONPATH": str(STARTER.parents[1] / "functions"), "MODEL_DIR": str(STARTER), "TABLE": "a-table",
        "STACK": "moderato-dev", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "DRIFT_DAYS": "7", "BASELINES": "a-bucket",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _MAIN], env=environment, check=True, capture_output=True, text=True)
    first, second, logged, _, refused = done.stdout.splitlines()
    assert [(json.loads(line)["service"], json.loads(line)["stack"]) for line in (first, second)] == [
        ("drift", "moderato-dev")
    ] * 2
    assert json.loads(first)["drift_texts"] == [0.0]
    assert json.loads(first)["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "drift_texts", "Unit": "Count"}]
    assert json.loads(second)["drift_effective_texts"] == [0.0]
    assert json.loads(logged)["message"] == "too_few_decisions"
    assert refused == "the decisions of the last 7 days count as 0 texts; a baseline needs 100"
