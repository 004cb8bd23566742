"""Who may do what on AWS: each function has a role of its own, and no role has more than its function calls."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from moderato.groundtruth_jobs import INPUT, LABELS, LAMBDA_ACCOUNTS, OUTPUT, QUARANTINE, TEMPLATES
from tests.translated import FUNCTIONS, KEY, WORKTEAM, Resources, arn, deployed, of_type, properties, statements

LOGS = {("logs:CreateLogStream", "LogGroup"), ("logs:PutLogEvents", "LogGroup")}
WRITES = {("dynamodb:PutItem", "Table")}
READS = {(f"dynamodb:{action}", "Table") for action in ("GetItem", "BatchGetItem", "Query")} | {
    ("dynamodb:Query", "Table/index/listings")
}
CHANGES = {(f"dynamodb:{action}", "Table") for action in ("UpdateItem", "DeleteItem", "ConditionCheckItem")}
PUTS = {("s3:PutObject", f"Bucket/{folder}/*") for folder in (INPUT, LABELS, TEMPLATES, QUARANTINE)}
GETS = {("s3:GetObject", f"Bucket/{folder}/*") for folder in (INPUT, OUTPUT)} | {("s3:ListBucket", "Bucket")}
JOB = ":sagemaker:${AWS::Region}:${AWS::AccountId}:labeling-job/moderato-*"
DEPLOYMENTS = (
    ":codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:"
    "${ServerlessDeploymentApplication}/${PredictFunctionDeploymentGroup}"
)

MAY = {
    "Predict": LOGS | WRITES,
    "Feedback": LOGS | WRITES | READS | CHANGES | {("dynamodb:BatchWriteItem", "Table")},
    "Authorizer": LOGS | {("dynamodb:GetItem", "KeysTable")},
    "Labeling": LOGS
    | {
        ("dynamodb:Query", "Table/index/listings"),
        ("dynamodb:BatchGetItem", "Table"),
        ("sqs:SendMessage", "LabelingDeadLetters"),
    },
    "Rollout": LOGS
    | {
        ("lambda:InvokeFunction", "PredictFunction:*"),
        ("codedeploy:PutLifecycleEventHookExecutionStatus", DEPLOYMENTS),
        ("sqs:SendMessage", "RolloutDeadLetters"),
    },
}
"""What each function calls, and on what; a transaction needs the rights of its parts."""

WITH_A_WORK_TEAM = {
    *WRITES,
    *READS,
    *CHANGES,
    *PUTS,
    *GETS,
    ("sagemaker:CreateLabelingJob", JOB),
    ("sagemaker:DescribeLabelingJob", JOB),
    ("sagemaker:AddTags", JOB),
    ("iam:PassRole", "LabelingJobRole"),
}

UNAVOIDABLE = {
    ("LabelingJobRole", "cloudwatch:PutMetricData"): (
        "PutMetricData has no resource types (Service Authorization Reference, CloudWatch); Ground Truth's own policy "
        "asks for it, and the condition on the namespace is all that can be said"
    ),
    ("AlarmKey", "kms:*"): "in a key's policy the resource * is that key (KMS Developer Guide, Key policies)",
}
"""Each statement on the resource *, with AWS's reason."""


def test_every_function_has_a_role_of_its_own(stack: Resources) -> None:
    functions = of_type(stack, "AWS::Lambda::Function")
    assert {name: one["Properties"]["Role"] for name, one in functions.items()} == {
        f"{name}Function": arn(f"{name}Role") for name in FUNCTIONS
    }


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_may_do_what_it_calls_and_nothing_else(name: str) -> None:
    assert granted(deployed(), f"{name}Role", name) == MAY[name]


def test_labeling_may_change_reviews_and_make_jobs_where_there_is_a_work_team_only() -> None:
    stack = deployed(LabelingWorkteamArn=WORKTEAM)
    assert granted(stack, "LabelingRole", "Labeling") == MAY["Labeling"] | WITH_A_WORK_TEAM
    [passing] = [one for one in of_role(stack, "LabelingRole") if one["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_key_of_ones_own_may_be_used_through_the_services_that_need_it(name: str) -> None:
    services = {
        "Predict": ["dynamodb"],
        "Feedback": ["dynamodb"],
        "Authorizer": ["dynamodb"],
        "Labeling": ["dynamodb", "s3", "sqs"],
        "Rollout": ["sqs"],
    }
    [statement] = [one for one in of_role(deployed(KmsKeyArn=KEY), f"{name}Role") if one["Resource"] == KEY]
    through = statement["Condition"]["StringEquals"]["kms:ViaService"]
    assert through == [{"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com"} for service in services[name]]
    assert statement["Action"] == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]


def test_ground_truth_may_read_its_input_write_its_output_and_call_its_own_functions() -> None:
    rights = granted(deployed(LabelingWorkteamArn=WORKTEAM), "LabelingJobRole", "")
    assert {right for right in rights if right[0].startswith("s3:")} == {
        ("s3:GetObject", f"Bucket/{INPUT}/*"),
        ("s3:GetObject", f"Bucket/{LABELS}/*"),
        ("s3:GetObject", f"Bucket/{TEMPLATES}/*"),
        ("s3:GetObject", f"Bucket/{OUTPUT}/*"),
        ("s3:PutObject", f"Bucket/{OUTPUT}/*"),
        ("s3:AbortMultipartUpload", f"Bucket/{OUTPUT}/*"),
        ("s3:GetBucketLocation", "Bucket"),
        ("s3:ListBucket", "Bucket"),
    }
    called = {resource for action, resource in rights if action == "lambda:InvokeFunction"}
    assert called == {
        f":lambda:{region}:{account}:function:{kind}-TextMultiClassMultiLabel"
        for region, account in LAMBDA_ACCOUNTS.items()
        for kind in ("PRE", "ACS")
    }


def test_a_rollout_may_move_aliases_of_one_function_and_call_one_hook() -> None:
    stack = deployed()
    hook = properties(stack, "RolloutFunction")["FunctionName"]["Fn::Sub"]
    here = "${AWS::Region}:${AWS::AccountId}"
    assert granted(stack, "DeploymentRole", "") == {
        *((action, part) for action in MOVES for part in ("PredictFunction", "PredictFunction:*")),
        ("lambda:InvokeFunction", f":lambda:{here}:function:{hook}"),
        ("cloudwatch:DescribeAlarms", f":cloudwatch:{here}:alarm:*"),
    }


MOVES = ("lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig")


def test_a_role_is_taken_by_its_service_alone(stack: Resources) -> None:
    services = {"DeploymentRole": "codedeploy", "LabelingJobRole": "sagemaker"}
    for name, role in of_type(stack, "AWS::IAM::Role").items():
        [trust] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": f"{services.get(name, 'lambda')}.amazonaws.com"}
        assert "ManagedPolicyArns" not in role["Properties"]


def test_no_statement_has_a_wildcard_but_those_that_aws_leaves_no_choice(stack: Resources) -> None:
    allowed = [(name, one) for name, one in all_statements(stack) if one["Effect"] == "Allow"]
    assert len(allowed) > 20
    assert [(name, one) for name, one in allowed if any("*" in action for action in listed(one["Action"]))] == []
    assert {name for name, one in allowed if "*" in listed(one.get("Resource", []))} <= {
        name for name, _ in UNAVOIDABLE
    }
    assert not [name for name, one in allowed if one.get("Principal") == "*"]
    assert not [name for name, one in allowed if "NotAction" in one or "NotResource" in one]


def test_each_unavoidable_wildcard_is_bound_by_what_can_be_said() -> None:
    stack = deployed(LabelingWorkteamArn=WORKTEAM)
    [metrics] = [one for one in of_role(stack, "LabelingJobRole") if one["Resource"] == "*"]
    assert metrics["Action"] == "cloudwatch:PutMetricData"
    assert metrics["Condition"] == {"StringLike": {"cloudwatch:namespace": ["*sagemaker*", "*SageMaker*"]}}
    for statement in properties(deployed(), "AlarmKey")["KeyPolicy"]["Statement"]:
        assert statement["Sid"] in ("Administration", "Alarms")


def all_statements(stack: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement of each policy of a stack, with the resource that has it."""
    for name, resource in stack.items():
        if resource["Type"] == "AWS::IAM::Role":
            yield from ((name, one) for one in of_role(stack, name))
        elif "PolicyDocument" in resource["Properties"]:
            yield from ((name, one) for one in statements(stack, name))
        elif "KeyPolicy" in resource["Properties"]:
            yield from ((name, one) for one in resource["Properties"]["KeyPolicy"]["Statement"])


def of_role(stack: Resources, name: str) -> list[dict[str, Any]]:
    """Return the statements of a role."""
    policies = properties(stack, name)["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def granted(stack: Resources, role: str, name: str) -> set[tuple[str, str]]:
    """Return the actions that a role has, each with its resource in short; `name` is the function's."""
    return {
        (action, short(resource).removeprefix(name) if short(resource) == f"{name}LogGroup" else short(resource))
        for statement in of_role(stack, role)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def listed(value: Any) -> list[Any]:
    """Return a value that may stand alone as a list."""
    return value if isinstance(value, list) else [value]


def short(resource: Any) -> str:
    """Return a resource of a statement by its logical id, or what follows the partition in its ARN."""
    if isinstance(resource, str):
        return resource
    [(function, argument)] = resource.items()
    if function == "Fn::GetAtt":
        return str(argument[0])
    assert function == "Fn::Sub", json.dumps(resource)
    return (
        str(argument)
        .removeprefix("arn:${AWS::Partition}")
        .replace("${", "", argument.startswith("${"))
        .replace(".Arn}", "", 1)
    )
