"""What looks for drift and what starts a training, on an emulated AWS: called by events, each works by its own role.

Of the trainings only what comes before the first: MiniStack has no SageMaker, and no TLS, without which the bucket that
a batch is written to takes nothing. tests/test_retraining*.py hold the rest.
"""

import json
import time
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from moderato.access import Scope
from tests.live.conftest import MakeKey
from tests.live.deployment import Deployment, eventually

pytestmark = pytest.mark.usefixtures("state")

SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def call(deployment: Deployment, function: str, event: object) -> tuple[str | None, Any]:
    """Call a function with an event and wait; return its error, if there is one, and its answer."""
    name = deployment.outputs[function]
    answer = boto3.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def metrics(deployment: Deployment, function: str, since: float) -> dict[str, float]:
    """Return the newest value of each metric that a function's log has since a second of 1970."""
    found: dict[str, float] = {}
    for line in deployment.log_lines(deployment.log_group(function), since):
        event = json.loads(line) if line.startswith("{") else {}
        named = [one for each in event.get("_aws", {}).get("CloudWatchMetrics", []) for one in each["Metrics"]]
        found |= {one["Name"]: event[one["Name"]][0] for one in named}
    return found


def test_drift_counts_the_decisions_of_the_table_by_its_own_role(deployment: Deployment, make_key: MakeKey) -> None:
    begun = time.time()
    decided = deployment.ask("POST", "/moderate", {"text": f"Good morning, {uuid4().hex}."}, make_key([Scope.MODERATE]))
    assert decided.json()["results"][0]["stored"]
    error, answer = call(deployment, "DriftFunctionName", SCHEDULED)
    assert error is None, answer
    texts = eventually(lambda: metrics(deployment, "DriftFunctionName", begun).get("drift_texts"))
    assert texts >= 1


def test_an_hour_without_labels_starts_nothing(whole: Deployment) -> None:
    begun = time.time()
    assert call(whole, "RetrainingFunctionName", SCHEDULED) == (None, {"outcome": "too few new labels"})
    found = eventually(lambda: metrics(whole, "RetrainingFunctionName", begun))
    assert found == {"labels_new": 0.0}


# As AWS's documentation has them, but for what no pattern looks at.
PIPELINE = "arn:aws:sagemaker:eu-central-1:000000000000:pipeline/moderato-whole"
RUN_ENDED = {
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
    "resources": [PIPELINE, f"{PIPELINE}/execution/p4jn9xou8a8s"],
    "detail": {
        "pipelineArn": PIPELINE,
        "pipelineExecutionArn": f"{PIPELINE}/execution/p4jn9xou8a8s",
        "previousPipelineExecutionStatus": "Executing",
        "currentPipelineExecutionStatus": "Failed",
    },
}
JUDGED = {
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Package State Change",
    "resources": ["arn:aws:sagemaker:eu-central-1:000000000000:model-package/moderato-whole-models/7"],
    "detail": {
        "ModelPackageGroupName": "moderato-whole-models",
        "ModelPackageVersion": 7,
        "ModelPackageArn": "arn:aws:sagemaker:eu-central-1:000000000000:model-package/moderato-whole-models/7",
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Rejected",
    },
}
RINGS = {
    "source": "aws.cloudwatch",
    "detail-type": "CloudWatch Alarm State Change",
    "resources": ["{DriftAlarm}"],
    "detail": {"alarmName": "drift", "state": {"value": "ALARM"}, "previousState": {"value": "OK"}},
}


def changed(event: dict[str, Any], **detail: object) -> dict[str, Any]:
    """Return an event that says something else of these."""
    return {**event, "detail": {**event["detail"], **detail}}


@pytest.mark.parametrize(
    ("event", "called"),
    [
        (RUN_ENDED, "PipelineChange"),
        (changed(RUN_ENDED, currentPipelineExecutionStatus="Executing"), None),
        (changed(RUN_ENDED, pipelineArn=f"{PIPELINE}-2"), None),
        (JUDGED, "PackageChange"),
        (changed(JUDGED, ModelApprovalStatus="PendingManualApproval"), None),
        (changed(JUDGED, ModelPackageGroupName="others"), None),
        (RINGS, "DriftRings"),
        (changed(RINGS, state={"value": "OK"}), None),
        ({**RINGS, "resources": ["arn:aws:cloudwatch:eu-central-1:000000000000:alarm:another"]}, None),
    ],
)
@pytest.mark.usefixtures("whole")
def test_an_event_calls_the_function_by_the_rule_that_waits_for_it(event: dict[str, Any], called: str | None) -> None:
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix="moderato-whole-DriftAlarm")["MetricAlarms"]
    [arn] = [alarm["AlarmArn"] for alarm in alarms]
    resources = [arn if name == "{DriftAlarm}" else name for name in event["resources"]]
    envelope = {"id": "1", "account": "000000000000", "region": "eu-central-1", "time": "2026-11-22T00:00:00Z"}
    sent = json.dumps({**envelope, **event, "resources": resources})
    events = boto3.client("events")
    rules = [rule for rule in events.list_rules(NamePrefix="moderato-whole-")["Rules"] if "EventPattern" in rule]
    found = [
        rule["Name"]
        for rule in rules
        if events.test_event_pattern(EventPattern=rule["EventPattern"], Event=sent)["Result"]
    ]
    assert [name.split("-")[2] for name in found] == ([called] if called else [])
