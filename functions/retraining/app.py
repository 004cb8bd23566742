"""Retraining on events: a schedule, a drift alarm or somebody starts it; the ends of executions are recorded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.clock import Clock, utc_now
from moderato.errors import ModeratoError
from moderato.store import Store
from moderato.telemetry import Count, Measure, Unit, ignore
from retraining.bucket import Bucket
from retraining.ledger import Ledger
from retraining.packages import Packages
from retraining.parts import Parts
from retraining.retrainer import Outcome, Retrainer
from retraining.service import SageMaker
from retraining.settings import Reason, Settings

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

SCHEDULE = "Scheduled Event"
DUE = "Retraining Is Due"
ALARM = "CloudWatch Alarm State Change"
EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
PACKAGE = "SageMaker Model Package State Change"

LABELS_NEW = "labels_new"

_ASKED_FOR = (Reason.WEEKLY, Reason.HAND)

_COME_ONCE = (Reason.WEEKLY, Reason.DRIFT)
"""What nothing makes up for soon: the next hour asks for enough labels, and who asks by hand reads the answer."""


class Busy(ModeratoError):
    """Another event is being handled: send this one again. Lambda does so twice; then it is a dead letter."""


def create_app(
    store: Store,
    ledger: Ledger,
    bucket: Bucket,
    sagemaker: SageMaker,
    categories: Sequence[str],
    settings: Settings,
    logger: Logger,
    measure: Measure,
    clock: Clock = utc_now,
    count: Count = ignore,
) -> Handler:
    """Return the Lambda handler of retraining; it answers with what came of the event, for whoever calls it by hand.

    An event tells it only where to look: what became of an execution or a package is what SageMaker says when asked.
    Raises ValueError for settings by which every hour would start a batch. The handler raises Busy for a week and for a
    drift that come while another event is handled.
    """
    if settings.fewest_labels < 1:
        raise ValueError(f"a batch begins with at least one new label; the fewest are {settings.fewest_labels}")
    parts = Parts(store, ledger, bucket, sagemaker, tuple(categories), settings, logger, clock, count)
    packages = Packages(sagemaker, bucket, settings.model_group, logger, count)
    retrainer = Retrainer(parts, packages)

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda passes both
        kind = event.get("detail-type")
        if kind == PACKAGE:
            packages.record(event)
            return {}
        if kind == EXECUTION:
            return _answer(_look(retrainer, logger, count))
        reason = reason_of(event)
        if reason is None:
            logger.warning("unknown_event")
            count("unknown_event")
            return {}
        if kind == SCHEDULE:
            # First of all: that labels wait is seen also when retraining fails.
            measure(LABELS_NEW, retrainer.count_new_labels(), Unit.COUNT)
        outcome = retrainer.run(reason)
        if outcome is Outcome.BUSY and reason in _COME_ONCE:
            raise Busy(outcome.value)
        return _answer(outcome)

    return handler


def reason_of(event: Mapping[str, Any]) -> Reason | None:
    """Return why an event wants a retraining; None where it does not, or nothing is known of such events."""
    kind, detail = event.get("detail-type"), event.get("detail")
    detail = detail if isinstance(detail, Mapping) else {}
    if kind == SCHEDULE:
        return Reason.LABELS
    if kind == DUE:
        return next((reason for reason in _ASKED_FOR if detail.get("reason") == reason), None)
    state = detail.get("state")
    is_alarm = kind == ALARM and isinstance(state, Mapping) and state.get("value") == "ALARM"
    return Reason.DRIFT if is_alarm else None


def _look(retrainer: Retrainer, logger: Logger, count: Count) -> Outcome:
    outcome = retrainer.run()
    if outcome is Outcome.NOTHING:
        # It was started by somebody else, or its end was seen before: events may repeat.
        logger.info("execution_event_ignored")
        count("execution_event_ignored")
    return outcome


def _answer(outcome: Outcome) -> dict[str, Any]:
    return {"outcome": outcome.value}
