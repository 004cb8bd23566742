"""Each function's role allows what the function does, and of what others do, nothing: tried with the role itself."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.emulator.conftest import Try
from tests.emulator.probe import ALLOWED
from tests.emulator.stack import STACK
from tests.events import event
from tests.live.deployment import Deployment

PREDICT, FEEDBACK = "PredictFunctionName", "FeedbackFunctionName"
LABELING, AUTHORIZER = "LabelingFunctionName", "AuthorizerFunctionName"
ROLLOUT = f"CodeDeployHook_{STACK}"
DRIFT, RETRAINING, TRAINING = "DriftFunctionName", "RetrainingFunctionName", "TrainingRoleArn"

ALL = (PREDICT, FEEDBACK, LABELING, AUTHORIZER, ROLLOUT, DRIFT)

DENIED = {"AccessDenied", "AccessDeniedException"}

Arguments = Callable[[Mapping[str, str]], dict[str, Any]]
"""Makes the arguments of a call of the stack's outputs."""

ITEM = {"pk": {"S": "probe"}, "sk": {"S": "probe"}}
HEALTH = json.dumps(event("GET", "/healthz"))
LISTING = {"ExpressionAttributeValues": {":l": {"S": "probe"}}, "KeyConditionExpression": "listing = :l"}


def in_table(**arguments: Any) -> Arguments:
    """Return arguments for the table."""
    return lambda outputs: {"TableName": outputs["TableName"], **arguments}


def in_keys(**arguments: Any) -> Arguments:
    """Return arguments for the table of keys."""
    return lambda outputs: {"TableName": outputs["KeysTableName"], **arguments}


def in_bucket(key: str, **arguments: Any) -> Arguments:
    """Return arguments for an object in the bucket."""
    return lambda outputs: {"Bucket": outputs["BucketName"], "Key": key, **arguments}


def of_bucket(prefix: str) -> Arguments:
    """Return arguments that list what the bucket has under a prefix."""
    return lambda outputs: {"Bucket": outputs["BucketName"], "Prefix": prefix}


def in_queue(output: str, **arguments: Any) -> Arguments:
    """Return arguments for a queue."""
    return lambda outputs: {"QueueUrl": outputs[output], **arguments}


def of_function(output: str, **arguments: Any) -> Arguments:
    """Return arguments for a function."""
    return lambda outputs: {"FunctionName": outputs[output], **arguments}


def new_version(outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments that ask a version of predict whether it is up, named as the hook is told it."""
    return {"FunctionName": f"{outputs[PREDICT]}:1", "Payload": HEALTH}


def nothing(_outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return no arguments."""
    return {}


MAY = [
    (PREDICT, "dynamodb", "put_item", in_table(Item=ITEM)),
    (FEEDBACK, "dynamodb", "get_item", in_table(Key=ITEM)),
    (FEEDBACK, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (FEEDBACK, "dynamodb", "delete_item", in_table(Key=ITEM)),
    (AUTHORIZER, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (LABELING, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (ROLLOUT, "lambda", "invoke", new_version),
    (DRIFT, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (DRIFT, "dynamodb", "get_item", in_table(Key=ITEM)),
    (DRIFT, "s3", "put_object", in_bucket("drift/probe", Body="probe")),
    (DRIFT, "s3", "get_object", in_bucket("drift/probe")),
    (DRIFT, "s3", "list_objects_v2", of_bucket("drift/")),
    # How Lambda itself hands over what failed: with the function's role.
    (LABELING, "sqs", "send_message", in_queue("LabelingDeadLettersUrl", MessageBody="{}")),
]

MAY_NOT = [
    # Scoring a text reads nothing, erases nothing and knows no keys.
    (PREDICT, "dynamodb", "get_item", in_table(Key=ITEM)),
    (PREDICT, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (PREDICT, "dynamodb", "scan", in_table()),
    (PREDICT, "dynamodb", "delete_item", in_table(Key=ITEM)),
    (PREDICT, "dynamodb", "put_item", in_keys(Item={"digest": {"S": "0"}})),
    (PREDICT, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (PREDICT, "s3", "put_object", in_bucket("models/probe", Body="probe")),
    (PREDICT, "lambda", "invoke", of_function(FEEDBACK)),
    # Feedback reads by keys, never the whole table; it makes no keys, no objects, no tables.
    (FEEDBACK, "dynamodb", "scan", in_table()),
    (FEEDBACK, "dynamodb", "delete_table", in_table()),
    (FEEDBACK, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (FEEDBACK, "s3", "get_object", in_bucket("labeling/input/probe")),
    (FEEDBACK, "sqs", "send_message", in_queue("LabelingDeadLettersUrl", MessageBody="{}")),
    (FEEDBACK, "lambda", "invoke", of_function(LABELING)),
    # The authorizer finds a key whose text it was sent. It can list none, make none, and sees no decision.
    (AUTHORIZER, "dynamodb", "scan", in_keys()),
    (AUTHORIZER, "dynamodb", "put_item", in_keys(Item={"digest": {"S": "0"}})),
    (AUTHORIZER, "dynamodb", "delete_item", in_keys(Key={"digest": {"S": "0"}})),
    (AUTHORIZER, "dynamodb", "get_item", in_table(Key=ITEM)),
    # Labeling knows no keys, and without a work team no bucket.
    (LABELING, "dynamodb", "scan", in_table()),
    (LABELING, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (LABELING, "s3", "put_object", in_bucket("labeling/input/probe", Body="probe")),
    (LABELING, "s3", "get_object", in_bucket("labeling/input/probe")),
    (LABELING, "sqs", "receive_message", in_queue("LabelingDeadLettersUrl")),
    (LABELING, "lambda", "invoke", of_function(PREDICT)),
    # The hook asks the new version of predict, and nobody else.
    (ROLLOUT, "lambda", "invoke", of_function(FEEDBACK)),
    (ROLLOUT, "lambda", "update_alias", of_function(PREDICT, Name="live", FunctionVersion="1")),
    (ROLLOUT, "dynamodb", "get_item", in_table(Key=ITEM)),
    # Drift only looks: it changes no decision, deletes nothing, and knows neither keys nor datasets.
    (DRIFT, "dynamodb", "scan", in_table()),
    (DRIFT, "dynamodb", "put_item", in_table(Item=ITEM)),
    (DRIFT, "dynamodb", "delete_item", in_table(Key=ITEM)),
    (DRIFT, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (DRIFT, "s3", "delete_object", in_bucket("drift/probe")),
    (DRIFT, "s3", "get_object", in_bucket("retraining/batches/probe")),
    (DRIFT, "s3", "put_object", in_bucket("models/probe", Body="probe")),
    (DRIFT, "lambda", "invoke", of_function(PREDICT)),
    # None of them changes who may do what, or becomes somebody else.
    *[(name, "iam", "list_roles", nothing) for name in ALL],
    *[(name, "secretsmanager", "list_secrets", nothing) for name in ALL],
]

WHOLE_MAY = [
    (LABELING, "s3", "put_object", in_bucket("labeling/input/probe", Body="probe")),
    (LABELING, "s3", "get_object", in_bucket("labeling/input/probe")),
    (RETRAINING, "dynamodb", "put_item", in_table(Item=ITEM)),
    (RETRAINING, "dynamodb", "get_item", in_table(Key=ITEM)),
    (RETRAINING, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (RETRAINING, "s3", "put_object", in_bucket("retraining/batches/probe", Body="probe")),
    (RETRAINING, "s3", "get_object", in_bucket("retraining/batches/probe")),
    (RETRAINING, "s3", "delete_object", in_bucket("retraining/batches/probe")),
    (RETRAINING, "s3", "put_object", in_bucket("retraining/packages/probe", Body="probe")),
    # What SageMaker does while it runs a job.
    (TRAINING, "s3", "put_object", in_bucket("retraining/0/model/probe", Body="probe")),
    (TRAINING, "s3", "get_object", in_bucket("retraining/0/model/probe")),
    (TRAINING, "s3", "delete_object", in_bucket("retraining/0/checkpoints/probe")),
    (TRAINING, "s3", "put_object", in_bucket("training/run/model/probe", Body="probe")),
    (TRAINING, "s3", "list_objects_v2", of_bucket("datasets/")),
    (TRAINING, "s3", "list_objects_v2", of_bucket("retraining/0/")),
]
"""Of the stack that has all that can be asked for."""

WHOLE_MAY_NOT = [
    # Its own part of the bucket, where it writes what a job reads, and deletes nothing.
    (LABELING, "s3", "put_object", in_bucket("models/probe", Body="probe")),
    (LABELING, "s3", "put_object", in_bucket("labeling/output/probe", Body="probe")),
    (LABELING, "s3", "get_object", in_bucket("models/probe")),
    (LABELING, "s3", "delete_object", in_bucket("labeling/input/probe")),
    # What starts a training has the labels and the book on it, and neither datasets nor models.
    (RETRAINING, "dynamodb", "scan", in_table()),
    (RETRAINING, "dynamodb", "get_item", in_keys(Key={"digest": {"S": "0"}})),
    (RETRAINING, "s3", "get_object", in_bucket("datasets/probe")),
    (RETRAINING, "s3", "put_object", in_bucket("models/probe", Body="probe")),
    (RETRAINING, "s3", "put_object", in_bucket("retraining/0/model/probe", Body="probe")),
    (RETRAINING, "s3", "delete_object", in_bucket("retraining/packages/probe")),
    (RETRAINING, "lambda", "invoke", of_function(PREDICT)),
    (RETRAINING, "iam", "list_roles", nothing),
    # What trains knows no table and no key, and writes its results alone.
    (TRAINING, "dynamodb", "get_item", in_table(Key=ITEM)),
    (TRAINING, "dynamodb", "query", in_table(IndexName="listings", **LISTING)),
    (TRAINING, "s3", "put_object", in_bucket("datasets/probe", Body="probe")),
    (TRAINING, "s3", "put_object", in_bucket("models/probe", Body="probe")),
    (TRAINING, "s3", "put_object", in_bucket("retraining/batches/probe", Body="probe")),
    (TRAINING, "s3", "put_object", in_bucket("retraining/packages/probe", Body="probe")),
    (TRAINING, "s3", "delete_object", in_bucket("retraining/0/model/probe")),
    (TRAINING, "s3", "get_object", in_bucket("labeling/input/probe")),
    (TRAINING, "s3", "list_objects_v2", of_bucket("labeling/")),
    (TRAINING, "lambda", "invoke", of_function(PREDICT)),
    (TRAINING, "iam", "list_roles", nothing),
    (TRAINING, "secretsmanager", "list_secrets", nothing),
]


def name_of(call: object) -> str:
    """Return how a call is named in the report."""
    return call.removesuffix("FunctionName").removesuffix("RoleArn").lower() if isinstance(call, str) else ""


@pytest.mark.parametrize(("function", "service", "operation", "arguments"), MAY, ids=name_of)
def test_a_role_allows_what_its_function_does(
    deployment: Deployment, attempt: Try, function: str, service: str, operation: str, arguments: Arguments
) -> None:
    assert attempt(function, service, operation, **arguments(deployment.outputs)) == ALLOWED


@pytest.mark.parametrize(("function", "service", "operation", "arguments"), MAY_NOT, ids=name_of)
def test_a_role_allows_nothing_else(
    deployment: Deployment, attempt: Try, function: str, service: str, operation: str, arguments: Arguments
) -> None:
    assert attempt(function, service, operation, **arguments(deployment.outputs)) in DENIED


@pytest.mark.parametrize(("role", "service", "operation", "arguments"), WHOLE_MAY, ids=name_of)
def test_what_can_be_asked_for_may_do_its_part(
    whole: Deployment, attempt: Try, role: str, service: str, operation: str, arguments: Arguments
) -> None:
    assert attempt(whole.outputs[role], service, operation, **arguments(whole.outputs)) == ALLOWED


@pytest.mark.parametrize(("role", "service", "operation", "arguments"), WHOLE_MAY_NOT, ids=name_of)
def test_what_can_be_asked_for_may_do_no_other_part(
    whole: Deployment, attempt: Try, role: str, service: str, operation: str, arguments: Arguments
) -> None:
    assert attempt(whole.outputs[role], service, operation, **arguments(whole.outputs)) in DENIED


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("s3", "put_object", in_bucket("labeling/input/probe", Body="probe")),
        ("sqs", "send_message", in_queue("LabelingDeadLettersUrl", MessageBody="{}")),
    ],
)
def test_what_comes_without_tls_is_refused(
    whole: Deployment, attempt: Try, service: str, operation: str, arguments: Arguments
) -> None:
    role = whole.outputs[LABELING]
    assert attempt(role, service, operation, is_tls=False, **arguments(whole.outputs)) in DENIED
