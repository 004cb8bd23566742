"""Labeling on events: a schedule measures the queue and starts jobs, the end of a job brings in its answers."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from labeling.jobs import JobStarter
from labeling.parts import Parts
from labeling.progress import JobWatcher
from labeling.queue import measure_queue
from labeling.service import SageMaker
from labeling.settings import Settings
from moderato.clock import Clock, utc_now
from moderato.consolidation import Rules
from moderato.groundtruth_jobs import MAX_REVIEWS, label_names
from moderato.objects import ObjectStore
from moderato.store import Store
from moderato.telemetry import Count, Measure, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

JOB_EVENT = "SageMaker Ground Truth Labeling Job State Change"
START_EVENTS = ("Scheduled Event", "Reviews Wait")
"""EventBridge's own schedule, and the detail type of whoever else finds that reviews wait."""

_JOB_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:labeling-job/([a-z0-9](?:-*[a-z0-9]){0,62})")


def create_app(
    store: Store,
    objects: ObjectStore,
    sagemaker: SageMaker,
    categories: Sequence[str],
    settings: Settings,
    logger: Logger,
    measure: Measure,
    clock: Clock = utc_now,
    count: Count = ignore,
) -> Handler:
    """Return the Lambda handler of labeling events. Raises ValueError for settings that no label could come from.

    An event tells it only where to look: what became of a job is what SageMaker says when asked.
    """
    check(categories, settings)
    parts = Parts(store, objects, sagemaker, tuple(categories), settings, logger, clock, count)
    starter = JobStarter(parts)
    watcher = JobWatcher(parts, starter)

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda passes both
        kind = event.get("detail-type")
        if kind in START_EVENTS:
            # First of all: that reviews wait is seen also when labeling fails.
            measure_queue(store, measure, clock)
            watcher.look_at_all()
            starter.start()
        elif kind == JOB_EVENT:
            watcher.look_at(job_of(event))
        else:
            _report_unknown(logger, count)
        return {}

    return handler


def create_queue_app(
    store: Store, logger: Logger, measure: Measure, clock: Clock = utc_now, count: Count = ignore
) -> Handler:
    """Return the Lambda handler where the console alone labels: it measures the queue, and makes no jobs."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda passes both
        if event.get("detail-type") in START_EVENTS:
            measure_queue(store, measure, clock)
        else:
            _report_unknown(logger, count)
        return {}

    return handler


def check(categories: Sequence[str], settings: Settings) -> None:
    """Raise ValueError for what would make jobs that Ground Truth refuses, or whose answers never make a label."""
    label_names(categories)
    fewest = Rules().annotators
    if settings.task.annotators < fewest:
        raise ValueError(f"a label rests on {fewest} annotators at least; a task has {settings.task.annotators}")
    if not 1 <= settings.fewest <= settings.most <= MAX_REVIEWS:
        raise ValueError(f"a job has 1 to {MAX_REVIEWS} reviews, and the fewest are not more than the most")


def job_of(event: Mapping[str, Any]) -> str | None:
    """Return the name of the labeling job that an event is about; None when it names none."""
    resources = event.get("resources")
    arn = resources[0] if isinstance(resources, list) and len(resources) == 1 else None
    match = _JOB_ARN.fullmatch(arn) if isinstance(arn, str) else None
    return match[1] if match else None


def _report_unknown(logger: Logger, count: Count) -> None:
    logger.warning("unknown_event")
    count("unknown_event")
