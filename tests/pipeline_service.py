"""A training pipeline for tests: SageMaker's executions and packages, every request held against its own model."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # none of it has types
from botocore.errorfactory import ClientExceptionsFactory  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from tests.service_models import complaints

PIPELINE, GROUP = "moderato-dev", "moderato-dev-models"
ACCOUNT = "arn:aws:sagemaker:eu-central-1:111122223333"
PIPELINE_ARN = f"{ACCOUNT}:pipeline/{PIPELINE}"
EXCEPTIONS = ClientExceptionsFactory().create_client_exceptions(
    botocore.session.get_session().get_service_model("sagemaker")
)
TOKENS_ARE_KNOWN_FOR = timedelta(hours=1)
"""Nobody says for how long SageMaker knows a token; an execution that was started longer ago is in the list."""

_ELSEWHERE = timezone(timedelta(hours=2))  # botocore tells times in the zone of the machine
_UNDER_WAY = ("Executing", "Stopping")


@dataclass
class Execution:
    """An execution, as SageMaker knows it."""

    request: dict[str, Any]
    arn: str
    created: datetime
    changed: datetime
    status: str = "Executing"
    failure: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its display name."""
        return str(self.request["PipelineExecutionDisplayName"])

    @property
    def parameters(self) -> dict[str, str]:
        """What it was given."""
        return {one["Name"]: one["Value"] for one in self.request["PipelineParameters"]}


class PipelineService:
    """Remembers executions and packages, and refuses what SageMaker would refuse.

    An execution is started once for each token. The list shows it after `lag` only, in pages of two.
    """

    def __init__(self, clock: Callable[[], datetime], lag: timedelta = timedelta(0)) -> None:
        """Begin with one pipeline that was never started, and an empty group of packages."""
        self.exceptions = EXCEPTIONS
        self.has_pipeline = True
        self.executions: list[Execution] = []
        self.packages: list[dict[str, Any]] = []
        self.refuse: Callable[[str], None] = lambda _: None
        self._clock, self._lag = clock, lag
        self._numbers = itertools.count(1)

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        """StartPipelineExecution."""
        self._check("StartPipelineExecution", request)
        now = self._clock()
        for one in self.executions:
            is_same = one.request["ClientRequestToken"] == request["ClientRequestToken"]
            if is_same and now - one.created < TOKENS_ARE_KNOWN_FOR:
                assert one.request == request, "one token stands for two requests"
                return {"PipelineExecutionArn": one.arn}
        execution = Execution(request, f"{PIPELINE_ARN}/execution/e{next(self._numbers):011}", now, now)
        self.executions.append(execution)
        return {"PipelineExecutionArn": execution.arn}

    def list_pipeline_executions(self, **request: Any) -> dict[str, Any]:
        """ListPipelineExecutions."""
        self._check("ListPipelineExecutions", request)
        until = self._clock() - self._lag
        listed = [one for one in self.executions if request["CreatedAfter"] <= one.created <= until]
        page, more = _page(sorted(listed, key=lambda one: one.created, reverse=True), request)
        return {"PipelineExecutionSummaries": [_summary(one) for one in page], **more}

    def describe_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        """DescribePipelineExecution."""
        self._check("DescribePipelineExecution", request)
        one = self._execution(request["PipelineExecutionArn"], "DescribePipelineExecution")
        reason = {} if one.failure is None else {"FailureReason": one.failure}
        return {**_summary(one), "LastModifiedTime": one.changed.astimezone(_ELSEWHERE), **reason}

    def list_pipeline_execution_steps(self, **request: Any) -> dict[str, Any]:
        """ListPipelineExecutionSteps."""
        self._check("ListPipelineExecutionSteps", request)
        one = self._execution(request["PipelineExecutionArn"], "ListPipelineExecutionSteps")
        page, more = _page(one.steps, request)
        return {"PipelineExecutionSteps": page, **more}

    def list_model_packages(self, **request: Any) -> dict[str, Any]:
        """ListModelPackages."""
        self._check("ListModelPackages", request)
        page, more = _page(sorted(self.packages, key=lambda one: one["CreationTime"], reverse=True), request)
        # As of many lists of AWS's, a page is made first and filtered then: one without any entry is not the end.
        page = [one for one in page if one["ModelApprovalStatus"] == request["ModelApprovalStatus"]]
        names = ("ModelPackageArn", "CreationTime", "ModelPackageStatus", "ModelApprovalStatus")
        return {"ModelPackageSummaryList": [{name: one[name] for name in names} for one in page], **more}

    def describe_model_package(self, **request: Any) -> dict[str, Any]:
        """DescribeModelPackage."""
        self._check("DescribeModelPackage", request)
        found = [one for one in self.packages if one["ModelPackageArn"] == request["ModelPackageName"]]
        if not found:
            raise _error("ValidationException", "DescribeModelPackage", "there is no such package")
        return dict(found[0])

    def end(self, status: str, *steps: dict[str, Any], failure: str | None = None) -> None:
        """Let the execution that was started last end."""
        execution = self.executions[-1]
        execution.status, execution.failure, execution.changed = status, failure, self._clock()
        execution.steps = list(steps)

    def register(self, version: int, status: str = "PendingManualApproval", **fields: Any) -> dict[str, Any]:
        """Register a package, or decide about it; return the event that says so."""
        arn, now = package_arn(version), self._clock().astimezone(_ELSEWHERE)
        made = next((one for one in self.packages if one["ModelPackageArn"] == arn), None)
        if made is None:
            made = {
                "ModelPackageArn": arn,
                "ModelPackageVersion": version,
                "ModelPackageStatus": "Completed",
                "CreationTime": now,
            }
            self.packages.append(made)
        made.update(ModelApprovalStatus=status, LastModifiedTime=now, **fields)
        return package_event(arn, status)

    def _execution(self, arn: str, operation: str) -> Execution:
        for one in self.executions:
            if one.arn == arn:
                return one
        raise self.exceptions.ResourceNotFound(_response("ResourceNotFound", "no such execution"), operation)

    def _check(self, operation: str, request: Mapping[str, Any]) -> None:
        self.refuse(operation)
        problems = complaints("sagemaker", operation, request)
        if problems:
            raise _error("ValidationException", operation, "; ".join(problems))
        if "PipelineName" in request and not (self.has_pipeline and request["PipelineName"] == PIPELINE):
            raise self.exceptions.ResourceNotFound(_response("ResourceNotFound", "no such pipeline"), operation)


def step(name: str, status: str = "Succeeded", reason: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a step of an execution."""
    failure = {} if reason is None else {"FailureReason": reason}
    return {"StepName": name, "StepStatus": status, "Metadata": metadata, **failure}


def throttling(operation: str) -> ClientError:
    """Return what SageMaker answers to those who ask too often."""
    return _error("ThrottlingException", operation, "Rate exceeded")


def package_arn(version: int, group: str = GROUP) -> str:
    """Return the ARN of a package."""
    return f"{ACCOUNT}:model-package/{group}/{version}"


def execution_event(arn: str, status: str) -> dict[str, Any]:
    """Return EventBridge's event of an execution that changed."""
    return {
        "version": "0",
        "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
        "source": "aws.sagemaker",
        "resources": [PIPELINE_ARN, arn],
        "detail": {
            "pipelineArn": PIPELINE_ARN,
            "pipelineExecutionArn": arn,
            "previousPipelineExecutionStatus": "Executing",
            "currentPipelineExecutionStatus": status,
        },
    }


def package_event(arn: str, status: str) -> dict[str, Any]:
    """Return EventBridge's event of a package that changed."""
    return {
        "version": "0",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "resources": [arn],
        "detail": {"ModelPackageGroupName": GROUP, "ModelPackageArn": arn, "ModelApprovalStatus": status},
    }


def _summary(one: Execution) -> dict[str, Any]:
    return {
        "PipelineExecutionArn": one.arn,
        "PipelineExecutionStatus": one.status,
        "PipelineExecutionDisplayName": one.name,
        "StartTime": one.created,
    }


def _page(listed: Sequence[Any], request: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]]:
    first = int(request.get("NextToken", 0))
    more = {"NextToken": str(first + 2)} if len(listed) > first + 2 else {}
    return list(listed[first : first + 2]), more


def _response(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}


def _error(code: str, operation: str, message: str) -> ClientError:
    return ClientError(_response(code, message), operation)
