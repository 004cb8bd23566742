"""Everything around the retraining function, and events as it gets them."""

import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from moderato.decisions import Decision
from moderato.reviews import Review, ReviewReason, review_of
from moderato.sqlite import SqliteStore
from moderato.store import Store
from moderato.telemetry import Unit
from retraining.app import create_app
from retraining.bucket import Bucket
from retraining.ledger import Ledger
from retraining.settings import Settings
from tests.buckets import BUCKET, MemoryBucket
from tests.one_item_tables import OneItemTable
from tests.pipeline_service import GROUP, PIPELINE, PipelineService, execution_event
from tests.records import decision, logger_to
from tests.stores import MovableClock, label

CATEGORIES = ("insult", "threat")
SETTINGS = Settings(BUCKET, PIPELINE, GROUP, dataset="starter", fewest_labels=3)
HOURLY = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
WEEKLY = {"source": "moderato", "detail-type": "Retraining Is Due", "detail": {"reason": "weekly"}}
HAND = {"source": "moderato", "detail-type": "Retraining Is Due", "detail": {"reason": "hand"}}
DRIFT = {
    "source": "aws.cloudwatch",
    "detail-type": "CloudWatch Alarm State Change",
    "detail": {"alarmName": "moderato-dev-drift", "state": {"value": "ALARM"}, "previousState": {"value": "OK"}},
}
TEXT = "secret words"
PACKAGE: dict[str, Any] = {
    "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://a-bucket/models/starter-2/model.tar.gz"}]},
    "CustomerMetadataProperties": {"dataset_uri": "s3://a-bucket/datasets/starter/2", "labels_digest": "5eed"},
}
"""What a package says of its model and of what that was trained on."""

Wrap = Callable[[Any], Any]


def as_it_is(part: Any) -> Any:
    """Change nothing of a part."""
    return part


@dataclass
class World:
    """A store, a table, a bucket and SageMaker; `handler` assembles the function anew, as a fresh container does."""

    store: Store
    client: Any = field(default_factory=OneItemTable)
    table: str = "a-table"
    settings: Settings = SETTINGS
    clock: MovableClock = field(default_factory=MovableClock)
    lag: timedelta = timedelta(0)
    bucket: MemoryBucket = field(default_factory=MemoryBucket)
    logs: StringIO = field(default_factory=StringIO)
    counts: Counter[str] = field(default_factory=Counter)
    measured: list[tuple[str, float, str]] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.service = PipelineService(self.clock, self.lag)
        self.logger = logger_to(self.logs)

    def handler(self, wrap: Wrap = as_it_is) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
        """Assemble the function; `wrap` may change what any call to the outside does."""
        return create_app(
            store=wrap(self.store),
            ledger=Ledger(wrap(self.client), self.table, self.clock, pause=lambda _: None),
            bucket=Bucket(wrap(self.bucket), BUCKET),
            sagemaker=wrap(self.service),
            categories=CATEGORIES,
            settings=self.settings,
            logger=self.logger,
            measure=self.measure,
            clock=self.clock,
            count=lambda name: self.counts.update([name]),
        )

    def send(self, event: Mapping[str, Any], wrap: Wrap = as_it_is) -> Any:
        """Let the function handle an event; return what came of it."""
        return self.handler(wrap)(dict(event), None).get("outcome")

    def send_end(self) -> Any:
        """Tell the function that the execution that was started last has changed."""
        execution = self.service.executions[-1]
        return self.send(execution_event(execution.arn, execution.status))

    def measure(self, name: str, value: float, unit: Unit) -> None:
        """Note what was measured."""
        self.measured.append((name, value, unit.value))

    def add_labels(self, count: int) -> list[str]:
        """Settle so many decisions that were contradicted; return the ids of their reviews."""
        return [self.add_label(next(self.numbers)).review_id for _ in range(count)]

    def add_label(self, number: int) -> Review:
        """Settle one decision, `d_<number>`."""
        decided: Decision = decision(decision_id=f"d_{number}", text=f"{TEXT} {number}")
        review = review_of(decided, ReviewReason.DISAGREEMENT, f"2026-11-21T{number // 3600:02}:{number // 60 % 60:02}")
        self.store.record_decisions([decided], [review])
        created = f"2026-11-21T12:{number // 60 % 60:02}:{number % 60:02}+00:00"
        self.store.settle(label(review, method="groundtruth", created=created))
        return review

    def marks(self) -> Counter[str | None]:
        """Return how many labels are marked with each batch."""
        return Counter(one.dataset for one in self.store.list_labels(10_000).records)

    def names(self) -> list[str]:
        """Return the names of the executions, in the order of their starts."""
        return [execution.name for execution in self.service.executions]

    def given(self) -> dict[str, str]:
        """Return the parameters of the execution that was started last."""
        return self.service.executions[-1].parameters

    def labels_given(self) -> list[dict[str, Any]]:
        """Return the labels that lie where the execution that was started last looks for them."""
        return [json.loads(line) for line in self._object("accepted.jsonl").split(b"\n") if line]

    def erased_given(self) -> Any:
        """Return the ids that it is given as erased."""
        return json.loads(self._object("erased.json"))

    def record(self) -> Any:
        """Return the record of the batch that was begun last."""
        return self.records()[-1]

    def records(self) -> list[Any]:
        """Return the records of all batches, the oldest first."""
        return [json.loads(content) for key, content in sorted(self.bucket.objects.items()) if "batch.json" in key]

    def logged(self) -> list[Any]:
        """Return the lines of the log."""
        return [json.loads(line) for line in self.logs.getvalue().splitlines()]

    def _object(self, name: str) -> bytes:
        return self.bucket.objects[self.given()["LabelsUri"].removeprefix(f"s3://{BUCKET}/") + f"/{name}"]


class QuickStore(SqliteStore):
    """An embedded store that does not wait for the disk: thousands of writes are made here, and no power fails."""

    def _connection(self) -> sqlite3.Connection:
        connection = super()._connection()
        if not connection.in_transaction:
            connection.execute("PRAGMA synchronous = OFF")
        return connection


def small_world(folder: Path, **fields: Any) -> World:
    """Return a world with an embedded store, and a table in memory."""
    clock = MovableClock()
    return World(QuickStore(folder / "store.sqlite3", clock), clock=clock, **fields)
