"""The state of retraining: one item of the table, which one function at a time may change."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from moderato.dynamodb_items import Item, Key, Value
from moderato.dynamodb_table import DynamoTable
from moderato.errors import ModeratoError
from retraining.settings import Reason

STATE: Key = ("retraining", "state")

LEASE = timedelta(minutes=30)
"""Twice what the function lives, so that clocks may be minutes apart before two believe that it is their turn."""

_FREE = "attribute_not_exists(#lease) OR #lease_until <= :now OR #write = :write"
_OURS = "#lease = :owner OR #write = :write"


class TakenOver(ModeratoError):
    """The lease ran out and another function has the turn: leave everything to it."""


class Stage(StrEnum):
    """How far a batch is."""

    PINNED = "pinned"
    """Its objects are being written. Nobody may start it, so it can be dropped."""
    STARTING = "starting"
    """All that an execution is given is fixed. It may have been started: any further try makes the same request."""
    RUNNING = "running"
    """Its execution is known, and its labels are marked."""


class LabelBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The labels that one execution is for, and everything else that it is given."""

    number: int
    digest: str
    """SHA-256 of all that goes into the training: the labels, what was erased, the dataset and the champion."""
    reason: Reason
    pinned: str
    labels: int
    new_labels: int
    dataset_uri: str | None
    champion_uri: str | None

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.number:06}-{self.digest[:12]}"

    @property
    def mark(self) -> str:
        """What its labels are marked with, beside the name of the dataset."""
        return f"batch-{self.number:06}"

    @property
    def execution(self) -> str:
        """The display name of its execution."""
        return f"batch-{self.name}"


@dataclass(frozen=True)
class State:
    """The number of the last batch, and the one that is on its way, if any."""

    batch: int = 0
    pending: LabelBatch | None = None
    stage: Stage | None = None
    execution_arn: str | None = None
    started: str | None = None


class Turn:
    """One function's turn at the state: nobody else changes it, until it is given back or its lease runs out."""

    def __init__(
        self, state: State, until: datetime, save: Callable[[State], None], release: Callable[[], None]
    ) -> None:
        """Begin with what is stored."""
        self.state, self._until, self._save, self.release = state, until, save, release

    def require(self, now: datetime) -> None:
        """Raise TakenOver where the lease has run out: whoever was held up for so long does nothing that costs."""
        if now >= self._until:
            raise TakenOver("the lease ran out")

    def save(self, state: State) -> None:
        """Store the state. Raises TakenOver where the turn is over, and then nothing is stored."""
        self._save(state)
        self.state = state

    def pin(self, batch: LabelBatch) -> None:
        """Store a batch, in place of one that nobody could have started."""
        self.save(State(batch.number, batch, Stage.PINNED))

    def clear(self) -> None:
        """Store that no batch is on its way."""
        self.save(State(batch=self.state.batch))

    def fix(self) -> None:
        """Store that what the batch's execution is given does not change any more."""
        self.save(replace(self.state, stage=Stage.STARTING))

    def run(self, execution_arn: str, started: str) -> None:
        """Store the batch's execution."""
        self.save(replace(self.state, stage=Stage.RUNNING, execution_arn=execution_arn, started=started))


class Ledger(DynamoTable):
    """The state, in the table of the deployment; any number of functions may ask for a turn.

    Its item has the key `retraining`, `state` and these attributes:

        batch          the number of the last batch
        pending        the batch that is on its way, as JSON
        stage          how far it is
        execution_arn  its execution
        started        since when that is known
        lease          whose turn it is
        lease_until    until when, in seconds since 1970
    """

    def take(self) -> Turn | None:
        """Return a turn, or None where another function has it."""
        owner = secrets.token_urlsafe(12)
        until = self._clock() + LEASE
        leased: dict[str, Value | None] = {"lease": owner, "lease_until": int(until.timestamp())}
        if self._transact(self._writer().update(STATE, leased, _FREE)):
            return None
        item = self._get(STATE) or {}
        if item.get("lease") != owner:
            return None  # held up before this line for as long as the lease: what was read is another's by now
        return Turn(state_of(item), until, lambda state: self._save(owner, state), lambda: self._release(owner))

    def _save(self, owner: str, state: State) -> None:
        if self._transact(self._writer().update(STATE, _attributes(state), _OURS, owner=owner)):
            raise TakenOver("the lease ran out, and another function goes on")

    def _release(self, owner: str) -> None:
        # Where another has the turn by now, there is nothing to give back.
        self._transact(self._writer().update(STATE, {"lease": None, "lease_until": None}, _OURS, owner=owner))


def state_of(item: Item) -> State:
    """Return what an item says; one that has never been saved says that nothing was started yet."""
    texts = {name: str(item[name]) for name in ("pending", "stage", "execution_arn", "started") if name in item}
    return State(
        batch=int(item.get("batch", 0)),
        pending=msgspec.json.decode(texts["pending"], type=LabelBatch) if "pending" in texts else None,
        stage=Stage(texts["stage"]) if "stage" in texts else None,
        execution_arn=texts.get("execution_arn"),
        started=texts.get("started"),
    )


def _attributes(state: State) -> dict[str, Value | None]:
    return {
        "batch": state.batch,
        "pending": None if state.pending is None else msgspec.json.encode(state.pending).decode(),
        "stage": None if state.stage is None else state.stage.value,
        "execution_arn": state.execution_arn,
        "started": state.started,
    }
