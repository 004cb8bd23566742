"""Retraining, step by step: exactly one execution for each batch of labels, whatever comes twice and is killed when.

    pinned     number and digest of a batch are in the ledger, then its objects are written
    starting   all that the execution is given is fixed: what was erased meanwhile is taken out, then it is started
    running    its labels are marked; when it has ended the outcome is recorded, and the texts go

Only who has the turn moves a batch from one stage to the next, and before `starting` nobody starts anything. From then
on every try makes the same request, with the same token, after a look for an execution of the batch's name. So also
somebody whose turn ran out meanwhile, and who does not know it, starts nothing twice.
"""

from collections.abc import Iterable
from enum import StrEnum

from moderato import acceptance
from moderato.objects import UnknownObject
from moderato.review_queue import ReviewQueue
from retraining.batches import Batches, Content, Status, content_of
from retraining.executions import Ended, Executions, PipelineMissing
from retraining.ledger import LabelBatch, Stage, State, TakenOver, Turn
from retraining.packages import Packages
from retraining.parts import Parts
from retraining.settings import Reason


class Outcome(StrEnum):
    """What came of an event."""

    STARTED = "started"
    RUNNING = "its batch is under way"
    NOTHING = "nothing is under way"
    TOO_FEW = "too few new labels"
    WAITING = "another execution of the pipeline is under way"
    NO_PIPELINE = "there is no such pipeline"
    BUSY = "another event is being handled"


_METRICS = {
    Status.SUCCEEDED: "retraining_succeeded",
    Status.CHAMPION_KEPT: "champion_kept",
    Status.FAILED: "retraining_failed",
    Status.STOPPED: "retraining_stopped",
}


class Retrainer:
    """Does what is next, whoever asks and however often."""

    def __init__(self, parts: Parts, packages: Packages) -> None:
        """Work with these parts; `packages` know the champion."""
        self._parts, self._packages = parts, packages
        self._store, self._settings, self._logger = parts.store, parts.settings, parts.logger
        self._batches = Batches(parts.bucket)
        self._executions = Executions(parts.sagemaker, parts.settings)

    def count_new_labels(self) -> int:
        """Return how many labels no batch has. Some may have to wait for the next but one: shares are limited."""
        return sum(1 for _ in acceptance.unused_labels(self._store))

    def run(self, reason: Reason | None = None) -> Outcome:
        """Bring the batch that is on its way forward; where none is, begin one if a reason is given and it is due."""
        turn = self._parts.ledger.take()
        if turn is None:
            return Outcome.BUSY
        try:
            return self._advance(turn, reason)
        except TakenOver:
            return Outcome.BUSY
        except PipelineMissing:
            self._logger.error("pipeline_missing", extra={"pipeline": self._settings.pipeline})
            self._parts.count("pipeline_missing")
            return Outcome.NO_PIPELINE
        finally:
            turn.release()

    def _advance(self, turn: Turn, reason: Reason | None) -> Outcome:
        batch = turn.state.pending
        if batch is not None and turn.state.stage is Stage.RUNNING:
            ended = self._ended(turn.state)
            if ended is None:
                return Outcome.RUNNING
            self._finish(turn, batch, ended)
        elif batch is not None and turn.state.stage is Stage.STARTING:
            return self._start(turn, batch)
        elif batch is not None:
            # It was left while its objects were written. Labels may have changed: it is made anew, for its reason.
            self._batches.remove(batch)
            return self._begin(turn, self._easiest([batch.reason, *([reason] if reason else [])]))
        return Outcome.NOTHING if reason is None else self._begin(turn, reason)

    def _easiest(self, reasons: Iterable[Reason]) -> Reason:
        return min(reasons, key=self._settings.needed.__getitem__)

    def _begin(self, turn: Turn, reason: Reason) -> Outcome:
        if not self._is_enough(self.count_new_labels(), reason):
            return self._leave(turn)
        if self._executions.is_any_under_way(self._parts.clock()):
            return Outcome.WAITING
        content = self._content()
        if not self._is_enough(len(content.new_review_ids), reason):
            return self._leave(turn)
        batch = self._batch(turn.state.batch + 1, reason, content)
        turn.pin(batch)
        self._batches.write(batch, content)
        turn.fix()
        return self._start(turn, batch)

    def _leave(self, turn: Turn) -> Outcome:
        if turn.state.pending is not None:
            turn.clear()
        return Outcome.TOO_FEW

    def _is_enough(self, new_labels: int, reason: Reason) -> bool:
        return new_labels >= self._settings.needed[reason]

    def _content(self) -> Content:
        accepted = ReviewQueue(self._store, self._parts.categories, self._parts.clock).accepted(known=())
        return content_of(accepted, self._store.erased())

    def _batch(self, number: int, reason: Reason, content: Content) -> LabelBatch:
        champion = self._packages.champion()
        return LabelBatch(
            number=number,
            digest=content.digest(champion.dataset_uri, champion.model_uri),
            reason=reason,
            pinned=self._parts.clock().isoformat(),
            labels=content.labels,
            new_labels=len(content.new_review_ids),
            dataset_uri=champion.dataset_uri,
            champion_uri=champion.model_uri,
        )

    def _start(self, turn: Turn, batch: LabelBatch) -> Outcome:
        self._leave_out_erased(turn, batch)
        arn = self._executions.find(batch)
        if arn is None:
            if self._executions.is_any_under_way(self._parts.clock()):
                return Outcome.WAITING
            turn.require(self._parts.clock())
            arn = self._executions.start(batch)
        mark = f"{self._settings.dataset}/{batch.mark}"
        new = self._new_review_ids(batch, mark)
        self._store.mark_labels(new, mark)
        started = self._parts.clock().isoformat()
        turn.run(arn, started)
        self._batches.note(batch, status=Status.RUNNING, execution_arn=arn, started=started, new_review_ids=new)
        fields = {"batch": batch.number, "reason": batch.reason.value}
        self._logger.info("retraining_started", extra=fields | {"labels": batch.labels, "new_labels": batch.new_labels})
        self._parts.count("retraining_started")
        return Outcome.STARTED

    def _leave_out_erased(self, turn: Turn, batch: LabelBatch) -> None:
        try:
            self._batches.leave_out_erased(batch, self._store.erased())
        except UnknownObject:
            # They were removed, because the batch has come to its end in another's turn; else it is an error.
            turn.require(self._parts.clock())
            raise

    def _new_review_ids(self, batch: LabelBatch, mark: str) -> list[str]:
        noted = self._batches.new_review_ids(batch)
        if noted is not None:
            return noted
        self._logger.error("batch_record_lost", extra={"batch": batch.number})
        self._parts.count("batch_record_lost")
        # As the store tells it: what no batch had before, and what a try that was killed has marked already.
        given, known = self._batches.review_ids(batch), acceptance.all_labels(self._store)
        return [one.review_id for one in known if one.review_id in given and one.dataset in (None, mark)]

    def _ended(self, state: State) -> Ended | None:
        return self._executions.ended(str(state.execution_arn), str(state.started), self._parts.clock())

    def _finish(self, turn: Turn, batch: LabelBatch, ended: Ended) -> None:
        self._batches.note(
            batch,
            status=ended.status,
            execution_arn=turn.state.execution_arn,
            started=turn.state.started,
            ended=ended.ended,
            failed_step=ended.failed_step,
            failure=ended.failure,
            package_arn=ended.package_arn,
        )
        self._batches.remove_texts(batch)
        # Counted before it is forgotten: whoever is killed here lets an alarm ring twice, rather than never.
        fields = {"batch": batch.number, "step": ended.failed_step}
        log = self._logger.error if ended.status is Status.FAILED else self._logger.info
        log(_METRICS[ended.status], extra=fields)
        self._parts.count(_METRICS[ended.status])
        turn.clear()
