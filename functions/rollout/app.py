"""The hook that CodeDeploy calls before it shifts traffic to a new version: Succeeded, or Failed and all stays."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.telemetry import Count, ignore
from rollout.trial import Trial
from rollout.version import Doubt, NewVersion

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

QUESTION_SECONDS = 75
"""What must be left of the hook's time for another question (53 seconds at most) and the report (12)."""


class Status(StrEnum):
    """What CodeDeploy is told."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Deployments(Protocol):
    """What is needed of boto3's client of CodeDeploy."""

    def put_lifecycle_event_hook_execution_status(self, **request: object) -> Mapping[str, Any]:
        """PutLifecycleEventHookExecutionStatus."""


class HookEvent(msgspec.Struct, frozen=True, rename="pascal"):
    """What CodeDeploy sends to a hook."""

    deployment_id: str
    lifecycle_event_hook_execution_id: str


def create_app(
    model: Path, version: NewVersion, deployments: Deployments, logger: Logger, count: Count = ignore
) -> Handler:
    """Return the Lambda handler of the hook; `model` is the directory whose golden answers are expected.

    CodeDeploy is told Failed at any doubt, and always told: it waits an hour for a hook that says nothing. When
    telling it fails, that is an error of the function, which CodeDeploy and the alarm see.
    """
    trial = Trial(model, version, logger)

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        hook = msgspec.convert(event, HookEvent)
        status = _status(trial, context, logger)
        count(f"rollout_{status.lower()}")
        deployments.put_lifecycle_event_hook_execution_status(
            deploymentId=hook.deployment_id,
            lifecycleEventHookExecutionId=hook.lifecycle_event_hook_execution_id,
            status=status.value,
        )
        return {"status": status.value}

    return handler


def _status(trial: Trial, context: LambdaContext, logger: Logger) -> Status:
    try:
        difference = trial.run(lambda: _require_time(context))
    except Doubt as doubt:
        logger.error("new_version_refused", extra={"reason": str(doubt)})
    except Exception as error:  # noqa: BLE001  # whatever it was, traffic may not go where it was not seen to be right
        logger.error("new_version_refused", extra={"reason": type(error).__name__})
    else:
        logger.info("new_version_accepted", extra={"largest_difference": difference})
        return Status.SUCCEEDED
    return Status.FAILED


def _require_time(context: LambdaContext) -> None:
    if context.get_remaining_time_in_millis() < QUESTION_SECONDS * 1000:
        raise Doubt("the new version answers so slowly that the hook has no time left")
