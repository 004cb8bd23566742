"""Executions of the training pipeline: started once for each batch, found again, and asked what became of them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moderato.errors import ModeratoError
from retraining.batches import Status, folder_uri
from retraining.ledger import LabelBatch
from retraining.service import SageMaker
from retraining.settings import Settings

KEEP_CHAMPION = "KeepChampion"
"""The pipeline's step that fails, with the reason, where the challenger is no better."""

_UNDER_WAY = ("Executing", "Stopping")
_ENDED = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures")

_LONGEST = timedelta(days=28)
"""No job of SageMaker lives longer."""
_SKEW = timedelta(hours=1)
"""How far SageMaker's clock may be behind ours: an execution is not older than its batch by more."""
_SETTLING = timedelta(minutes=15)
"""For so long lists and descriptions may lack what has just happened."""

_MOST = 100
_MOST_REASON = 1024


class PipelineMissing(ModeratoError):
    """SageMaker has no pipeline of this name: deploy it by `python -m training.pipeline upsert`."""


@dataclass(frozen=True)
class Ended:
    """What became of an execution."""

    status: Status
    ended: str
    failed_step: str | None = None
    failure: str | None = None
    package_arn: str | None = None


class Executions:
    """The executions of one pipeline. What SageMaker says when asked counts, whatever an event said."""

    def __init__(self, sagemaker: SageMaker, settings: Settings) -> None:
        """Start and find them as the settings say."""
        self._sagemaker, self._settings = sagemaker, settings

    def is_any_under_way(self, now: datetime) -> bool:
        """Return whether any is, whoever started it. Raises PipelineMissing."""
        return any(one["PipelineExecutionStatus"] in _UNDER_WAY for one in self._list(now - _LONGEST))

    def find(self, batch: LabelBatch) -> str | None:
        """Return the ARN of a batch's execution, or None as far as the list knows. Raises PipelineMissing.

        The list may lag by seconds, the token of `start` is remembered for longer, and nobody promises for how long:
        one of the two knows of each earlier try.
        """
        listed = self._list(datetime.fromisoformat(batch.pinned) - _SKEW)
        named = (one for one in listed if one.get("PipelineExecutionDisplayName") == batch.execution)
        return next((str(one["PipelineExecutionArn"]) for one in named), None)

    def start(self, batch: LabelBatch) -> str:
        """Start the execution of a batch, and return its ARN; repeated, it is the same one. Raises PipelineMissing."""
        started = self._asked(self._sagemaker.start_pipeline_execution, **execution_request(batch, self._settings))
        return str(started["PipelineExecutionArn"])

    def ended(self, arn: str, started: str, now: datetime) -> Ended | None:
        """Return what became of an execution, or None where it goes on, or that cannot be told yet."""
        try:
            described = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        except self._sagemaker.exceptions.ResourceNotFound:
            # Deleted together with its pipeline; or so new that it is not there yet.
            is_new = now - datetime.fromisoformat(started) < _SETTLING
            gone = "SageMaker does not know the execution any more"
            return None if is_new else Ended(Status.FAILED, now.isoformat(), failure=gone)
        if described["PipelineExecutionStatus"] not in _ENDED:
            return None
        return _outcome(described, list(self._steps(arn)), now)

    def _list(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        request = {
            "PipelineName": self._settings.pipeline,
            "CreatedAfter": since,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": _MOST,
        }
        listed = self._pages(self._sagemaker.list_pipeline_executions, request)
        return (one for page in listed for one in page["PipelineExecutionSummaries"])

    def _steps(self, arn: str) -> Iterator[Mapping[str, Any]]:
        request = {"PipelineExecutionArn": arn, "MaxResults": _MOST}
        listed = self._pages(self._sagemaker.list_pipeline_execution_steps, request)
        return (one for page in listed for one in page["PipelineExecutionSteps"])

    def _pages(
        self, ask: Callable[..., Mapping[str, Any]], request: Mapping[str, object]
    ) -> Iterator[Mapping[str, Any]]:
        more: Mapping[str, object] = {}
        while True:
            page = self._asked(ask, **request, **more)
            yield page
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def _asked(self, ask: Callable[..., Mapping[str, Any]], **request: object) -> Mapping[str, Any]:
        try:
            return ask(**request)
        except self._sagemaker.exceptions.ResourceNotFound:
            raise PipelineMissing("SageMaker has no such pipeline") from None


def execution_request(batch: LabelBatch, settings: Settings) -> dict[str, Any]:
    """Return the request of StartPipelineExecution: of one batch it is always the same, to the token."""
    given = {
        "LabelsUri": folder_uri(settings.bucket, batch),
        "LabelsDigest": batch.digest,
        "DatasetUri": batch.dataset_uri,
        "ChampionUri": batch.champion_uri,
        "Reason": batch.reason.value,
    }
    token = f"{settings.pipeline} {batch.number} {batch.digest}"
    return {
        "PipelineName": settings.pipeline,
        "PipelineExecutionDisplayName": batch.execution,
        "PipelineExecutionDescription": f"Batch {batch.number}: {batch.labels} labels, {batch.new_labels} of them new",
        "PipelineParameters": [{"Name": name, "Value": value} for name, value in given.items() if value is not None],
        "ClientRequestToken": hashlib.sha256(token.encode()).hexdigest(),
    }


def _outcome(described: Mapping[str, Any], steps: list[Mapping[str, Any]], now: datetime) -> Ended | None:
    status, changed = described["PipelineExecutionStatus"], described["LastModifiedTime"].astimezone(UTC)
    ended = changed.isoformat()
    if status == "Succeeded":
        arns = [step.get("Metadata", {}).get("RegisterModel", {}).get("Arn") for step in steps]
        return Ended(Status.SUCCEEDED, ended, package_arn=next(filter(None, arns), None))
    failed = [step for step in steps if step.get("StepStatus") == "Failed"]
    kept = [step for step in failed if step["StepName"] == KEEP_CHAMPION]
    if kept:
        return Ended(Status.CHAMPION_KEPT, ended, KEEP_CHAMPION, _failure(kept[0], described))
    if status == "Stopped":
        return Ended(Status.STOPPED, ended, failure=described.get("FailureReason"))
    if failed:
        return Ended(Status.FAILED, ended, str(failed[0]["StepName"]), _failure(failed[0], described))
    # One fails at its start too, before any step. But the step that says which of the two it was may not be listed yet.
    return None if now - changed < _SETTLING else Ended(Status.FAILED, ended, failure=described.get("FailureReason"))


def _failure(step: Mapping[str, Any], described: Mapping[str, Any]) -> str | None:
    told = step.get("Metadata", {}).get("Fail", {}).get("ErrorMessage") or step.get("FailureReason")
    reason = told or described.get("FailureReason")
    return None if reason is None else str(reason)[:_MOST_REASON]
