"""Who may do what on AWS: each function has a role of its own, and no role has more than its function calls."""

from collections.abc import Iterator
from typing import Any

import pytest

from moderato.groundtruth_jobs import INPUT, LABELS, LAMBDA_ACCOUNTS, OUTPUT, QUARANTINE, TEMPLATES
from tests.rights import granted, listed, of_role
from tests.translated import (
    FUNCTIONS,
    KEY,
    RETRAINING,
    RETRAINING_FUNCTIONS,
    WORKTEAM,
    Resources,
    arn,
    deployed,
    functions_of,
    of_type,
    properties,
    statements,
)

LOGS = {("logs:CreateLogStream", "LogGroup"), ("logs:PutLogEvents", "LogGroup")}
WRITES = {("dynamodb:PutItem", "Table")}
READS = {(f"dynamodb:{action}", "Table") for action in ("GetItem", "BatchGetItem", "Query")} | {
    ("dynamodb:Query", "Table/index/listings")
}
CHANGES = {(f"dynamodb:{action}", "Table") for action in ("UpdateItem", "DeleteItem", "ConditionCheckItem")}
HERE = ":sagemaker:${AWS::Region}:${AWS::AccountId}"
PIPELINE = f"{HERE}:pipeline/${{AWS::StackName}}"
GROUP, PACKAGES = (
    f"{HERE}:model-package-group/${{AWS::StackName}}-models",
    f"{HERE}:model-package/${{AWS::StackName}}-models/*",
)
PUTS = {("s3:PutObject", f"Bucket/{folder}/*") for folder in (INPUT, LABELS, TEMPLATES, QUARANTINE)}
GETS = {("s3:GetObject", f"Bucket/{folder}/*") for folder in (INPUT, OUTPUT)} | {("s3:ListBucket", "Bucket")}
JOB = ":sagemaker:${AWS::Region}:${AWS::AccountId}:labeling-job/moderato-*"
DEPLOYMENTS = (
    ":codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:"
    "${ServerlessDeploymentApplication}/${PredictFunctionDeploymentGroup}"
)

KEPT = ("batches", "packages")

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
    "Drift": LOGS
    | READS
    | {
        ("s3:GetObject", "Bucket/drift/*"),
        ("s3:PutObject", "Bucket/drift/*"),
        ("s3:ListBucket", "Bucket"),
        ("sqs:SendMessage", "DriftDeadLetters"),
    },
    "Retraining": LOGS
    | WRITES
    | READS
    | CHANGES
    | {
        *((f"s3:{action}Object", f"Bucket/retraining/{part}/*") for action in ("Get", "Put") for part in KEPT),
        ("s3:DeleteObject", "Bucket/retraining/batches/*"),
        ("s3:ListBucket", "Bucket"),
        ("sagemaker:StartPipelineExecution", PIPELINE),
        ("sagemaker:ListPipelineExecutions", PIPELINE),
        ("sagemaker:DescribePipelineExecution", f"{PIPELINE}/execution/*"),
        ("sagemaker:ListPipelineExecutionSteps", f"{PIPELINE}/execution/*"),
        ("sagemaker:DescribeModelPackage", PACKAGES),
        *(("sagemaker:ListModelPackages", part) for part in (GROUP, PACKAGES)),
        ("sqs:SendMessage", "RetrainingDeadLetters"),
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
    ("TrainingRole", "cloudwatch:PutMetricData"): "as for Ground Truth: no resource types, bound by the namespace",
    ("TrainingRole", "ecr:GetAuthorizationToken"): (
        "the login of a registry has no resource types (Service Authorization Reference, ECR); which images it opens "
        "is said by the statement on repositories"
    ),
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
        f"{name}Function": arn(f"{name}Role") for name in functions_of(stack)
    }


@pytest.mark.parametrize("name", sorted(FUNCTIONS | RETRAINING_FUNCTIONS))
def test_a_function_may_do_what_it_calls_and_nothing_else(name: str) -> None:
    assert granted(deployed(**RETRAINING), f"{name}Role", name) == MAY[name]


def test_labeling_may_change_reviews_and_make_jobs_where_there_is_a_work_team_only() -> None:
    stack = deployed(LabelingWorkteamArn=WORKTEAM)
    assert granted(stack, "LabelingRole", "Labeling") == MAY["Labeling"] | WITH_A_WORK_TEAM
    [passing] = [one for one in of_role(stack, "LabelingRole") if one["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


@pytest.mark.parametrize("name", sorted(FUNCTIONS | RETRAINING_FUNCTIONS))
def test_a_key_of_ones_own_may_be_used_through_the_services_that_need_it(name: str) -> None:
    services = {
        "Predict": ["dynamodb"],
        "Feedback": ["dynamodb"],
        "Authorizer": ["dynamodb"],
        "Labeling": ["dynamodb", "s3", "sqs"],
        "Rollout": ["sqs"],
        "Drift": ["dynamodb", "s3", "sqs"],
        "Retraining": ["dynamodb", "s3", "sqs"],
    }
    stack = deployed(KmsKeyArn=KEY, **RETRAINING)
    [statement] = [one for one in of_role(stack, f"{name}Role") if one["Resource"] == KEY]
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
    services = {
        "DeploymentRole": "codedeploy",
        "LabelingJobRole": "sagemaker",
        "TrainingRole": "sagemaker",
        "ApprovalRole": "events",
    }
    for name, role in of_type(stack, "AWS::IAM::Role").items():
        [trust] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": f"{services.get(name, 'lambda')}.amazonaws.com"}
        # These services work for whoever asks them: only for this account they may take the role.
        if services.get(name) in ("sagemaker", "events"):
            assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
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
    stack = deployed(LabelingWorkteamArn=WORKTEAM, **RETRAINING)
    for role, others in (("LabelingJobRole", []), ("TrainingRole", ["ecr:GetAuthorizationToken"])):
        [*login, metrics] = [one for one in of_role(stack, role) if one["Resource"] == "*"]
        assert [one["Action"] for one in login] == others
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
