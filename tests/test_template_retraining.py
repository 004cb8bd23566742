"""What trains anew: nothing where a stack does not retrain, and where it does, events that the function understands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from drift.app import COMPARE_EVENT
from retraining import batches, packages
from retraining.app import ALARM, EXECUTION, PACKAGE, SCHEDULE, reason_of
from tests.rights import granted, of_role, short
from tests.service_models import complaints
from tests.translated import (
    APPROVALS,
    KEY,
    RETRAINING,
    Resources,
    arn,
    deployed,
    of_type,
    properties,
    source,
    statements,
    translated,
)

ROOT = Path(__file__).parents[1]
SAGEMAKER = ":sagemaker:${AWS::Region}:${AWS::AccountId}"
JOBS = {f"{SAGEMAKER}:{kind}/*" for kind in ("processing-job", "training-job", "hyper-parameter-tuning-job")}
KINDS_OF_JOBS = ("ProcessingJob", "TrainingJob", "HyperParameterTuningJob")
REGISTRY = {
    f"{SAGEMAKER}:model-package-group/${{AWS::StackName}}-models",
    f"{SAGEMAKER}:model-package/${{AWS::StackName}}-models/*",
}
RESULTS = ("retraining", "training")
"""Folders that jobs write to: the pipeline's, and those that are started by hand."""
OURS = {"StringEquals": {"aws:RequestTag/project": "moderato"}}
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/moderato-dev-models/7"

# Only where it is asked for


def test_a_stack_that_does_not_retrain_has_nothing_that_trains() -> None:
    more = {name: one["Type"] for name, one in deployed(**RETRAINING).items() if name not in deployed()}
    assert {"RetrainingFunction", "TrainingRole", "TrainingRoleForJobs", "ModelGroup"} <= set(more)
    assert not [name for name in deployed() if re.search("Retrain|Train|Model[AG]|Approv|Pipeline|Package|Rings", name)]
    assert not [one for one in deployed().values() if one["Type"].startswith("AWS::SageMaker")]
    # What is the same in both names nothing of it, for it would name what is not there.
    assert not [name for name in more if f'"{name}"' in json.dumps(deployed())]


def test_what_the_transform_makes_of_a_conditional_function_has_its_condition() -> None:
    made = {name: one for name, one in translated()["Resources"].items() if name.startswith("Retraining")}
    assert len(made) > 8
    assert {one["Condition"] for one in made.values()} == {"Retrains"}


def test_approvals_are_told_only_where_there_is_a_connection() -> None:
    told = {"ApprovalDestination", "ApprovalRole", "ModelApproval"}
    assert not told & set(deployed(**RETRAINING))
    assert set(deployed(**APPROVALS)) - set(deployed(**RETRAINING)) == told


def test_outputs_of_what_is_not_there_are_none() -> None:
    outputs = source()["Outputs"]
    conditional = {name for name, one in outputs.items() if one.get("Condition") == "Retrains"}
    assert conditional == {"RetrainingFunctionName", "TrainingRoleArn", "ModelGroupName"}


def test_drift_is_looked_for_in_every_stack(stack: Resources) -> None:
    assert {"DriftFunction", "DriftSchedule", "DriftAlarm"} <= set(stack)


# What starts it


def test_new_labels_are_counted_every_hour() -> None:
    rule = properties(deployed(**RETRAINING), "RetrainingSchedule")
    assert (rule["ScheduleExpression"], "Input" in rule["Targets"][0]) == ("rate(1 hour)", False)
    assert reason_of({"detail-type": SCHEDULE}) == "labels"


def test_a_schedule_of_drift_is_the_event_that_it_compares_at() -> None:
    # EventBridge calls every event of a schedule so, and these have no input of their own.
    assert (SCHEDULE, COMPARE_EVENT) == ("Scheduled Event", "Scheduled Event")
    assert "Input" not in properties(deployed(), "DriftSchedule")["Targets"][0]


def test_each_week_a_training_is_due() -> None:
    rule = properties(deployed(**RETRAINING), "RetrainingWeekly")
    assert rule["ScheduleExpression"] == "cron(0 5 ? * MON *)"
    [target] = rule["Targets"]
    assert reason_of(json.loads(target["Input"])) == "weekly"


def test_drift_starts_a_training_when_its_alarm_begins_to_ring() -> None:
    pattern = properties(deployed(**RETRAINING), "DriftRings")["EventPattern"]
    assert pattern == {
        "source": ["aws.cloudwatch"],
        "detail-type": [ALARM],
        "resources": [arn("DriftAlarm")],
        "detail": {"state": {"value": ["ALARM"]}},
    }
    assert reason_of({"detail-type": ALARM, "detail": {"state": {"value": "ALARM"}}}) == "drift"


def test_the_end_of_every_run_of_the_stacks_pipeline_is_told_and_of_no_other() -> None:
    pattern = properties(deployed(**RETRAINING), "PipelineChange")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.sagemaker"], [EXECUTION])
    [pipeline] = pattern["detail"]["pipelineArn"]
    assert pipeline["Fn::Sub"] == f"arn:${{AWS::Partition}}{SAGEMAKER}:pipeline/${{AWS::StackName}}"
    ends = pattern["detail"]["currentPipelineExecutionStatus"]
    assert set(ends) == {"Succeeded", "Failed", "Stopped", "CompletedWithFailures"}


def test_what_a_person_says_of_a_model_of_the_stacks_group_is_told() -> None:
    pattern = properties(deployed(**RETRAINING), "PackageChange")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.sagemaker"], [PACKAGE])
    assert pattern["detail"]["ModelPackageGroupName"] == [group_name()]
    assert set(pattern["detail"]["ModelApprovalStatus"]) == {"Approved", "Rejected"}


def test_the_function_asks_for_the_pipeline_and_the_group_of_its_stack() -> None:
    told = properties(deployed(FewestLabels="50", **RETRAINING), "RetrainingFunction")["Environment"]["Variables"]
    assert told["PIPELINE"] == {"Ref": "AWS::StackName"}
    assert told["MODEL_GROUP"] == group_name()
    assert (told["TABLE"], told["BUCKET"], told["FEWEST_LABELS"]) == ({"Ref": "Table"}, {"Ref": "Bucket"}, "50")


def test_drift_is_told_its_days_and_where_baselines_lie() -> None:
    told = properties(deployed(DriftDays="14"), "DriftFunction")["Environment"]["Variables"]
    assert (told["TABLE"], told["DRIFT_DAYS"], told["BASELINES"]) == ({"Ref": "Table"}, "14", {"Ref": "Bucket"})


# What trains


def group_name() -> Any:
    """Return the name of the model package group, as the template has it."""
    return properties(deployed(**RETRAINING), "ModelGroup")["ModelPackageGroupName"]


@pytest.mark.parametrize("stack_name", ["moderato", "moderato-dev", "m", "a" * 49])
def test_names_made_of_the_stacks_name_are_names_that_sagemaker_takes(stack_name: str) -> None:
    group = {"ModelPackageGroupName": group_name()["Fn::Sub"].replace("${AWS::StackName}", stack_name)}
    tags = properties(deployed(**RETRAINING), "ModelGroup")["Tags"][:1]
    assert complaints("sagemaker", "CreateModelPackageGroup", {**group, "Tags": tags}) == []
    assert complaints("sagemaker", "ListPipelineExecutions", {"PipelineName": stack_name}) == []
    # What fetches the model takes small letters alone.
    [pattern] = re.findall(r"MODEL_GROUP:-}\" '([^']+)'", (ROOT / ".ci" / "fetch-model").read_text())
    assert re.fullmatch(pattern, group["ModelPackageGroupName"])


def test_what_was_trained_outlives_the_stack() -> None:
    group = deployed(**RETRAINING)["ModelGroup"]
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_a_job_may_read_what_training_needs_and_write_results_alone() -> None:
    rights = granted(deployed(**RETRAINING), "TrainingRole", "")
    assert {right for right in rights if right[0].startswith("s3:")} == {
        *(("s3:GetObject", f"Bucket/{folder}/*") for folder in ("datasets", "models", *RESULTS)),
        *(
            (f"s3:{action}", f"Bucket/{folder}/*")
            for action in ("PutObject", "AbortMultipartUpload")
            for folder in RESULTS
        ),
        *(("s3:DeleteObject", f"Bucket/{folder}/*/checkpoints/*") for folder in RESULTS),
        ("s3:ListBucket", "Bucket"),
    }
    [listing] = [one for one in of_role(deployed(**RETRAINING), "TrainingRole") if one["Action"] == "s3:ListBucket"]
    assert listing["Condition"] == {
        "StringLike": {"s3:prefix": ["datasets/*", "models/*", "retraining/*", "training/*"]}
    }


def test_a_job_may_not_write_what_a_run_is_given_nor_the_book_on_runs_and_approvals() -> None:
    [denied] = [one for one in of_role(deployed(**RETRAINING), "TrainingRole") if one["Effect"] == "Deny"]
    assert set(denied["Action"]) == {"s3:PutObject", "s3:DeleteObject"}
    assert {short(one) for one in denied["Resource"]} == {
        f"Bucket/{folder}/*" for folder in (batches.FOLDER, packages.FOLDER)
    }


def test_the_pipeline_may_make_jobs_and_register_models_and_nothing_else_of_sagemaker() -> None:
    rights = {
        right for right in granted(deployed(**RETRAINING), "TrainingRole", "") if right[0].startswith("sagemaker:")
    }
    verbs = [f"sagemaker:{verb}{kind}" for verb in ("Create", "Stop", "Describe") for kind in KINDS_OF_JOBS]
    of_jobs = [*verbs, "sagemaker:AddTags", "sagemaker:ListTrainingJobsForHyperParameterTuningJob"]
    registering = ("CreateModelPackage", "DescribeModelPackage", "DescribeModelPackageGroup", "AddTags")
    assert rights == {
        *((action, job) for action in of_jobs for job in JOBS),
        *((f"sagemaker:{action}", part) for action in registering for part in REGISTRY),
    }
    # To approve a model is a person's.
    assert "sagemaker:UpdateModelPackage" not in {action for action, _ in rights}


def test_every_job_that_is_made_is_tagged_and_only_such_ones_are_stopped() -> None:
    jobs = [
        one for one in of_role(deployed(**RETRAINING), "TrainingRole") if "sagemaker:StopTrainingJob" in one["Action"]
    ]
    assert [one["Condition"] for one in jobs] == [{"StringEquals": {"aws:ResourceTag/project": "moderato"}}]
    making = [
        one for one in of_role(deployed(**RETRAINING), "TrainingRole") if "sagemaker:CreateTrainingJob" in one["Action"]
    ]
    assert [one["Condition"] for one in making] == [OURS]
    assert set(making[0]["Action"]) == {*(f"sagemaker:Create{kind}" for kind in KINDS_OF_JOBS), "sagemaker:AddTags"}


def test_the_training_role_pulls_our_images_and_logs_where_sagemaker_does() -> None:
    rights = granted(deployed(**RETRAINING), "TrainingRole", "")
    here = "${AWS::Region}:${AWS::AccountId}"
    pulls = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    writes = ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")
    groups = [f":logs:{here}:log-group:/aws/sagemaker/{kind}:*" for kind in ("ProcessingJobs", "TrainingJobs")]
    assert {right for right in rights if right[0].split(":")[0] in ("ecr", "logs", "cloudwatch", "iam", "kms")} == {
        ("ecr:GetAuthorizationToken", "*"),
        *((f"ecr:{action}", f":ecr:{here}:repository/moderato*") for action in pulls),
        *((f"logs:{action}", group) for action in writes for group in groups),
        ("cloudwatch:PutMetricData", "*"),
    }
    assert {action.split(":")[0] for action, _ in rights} == {"s3", "sagemaker", "ecr", "logs", "cloudwatch"}


def test_the_training_role_is_handed_on_to_jobs_by_itself_alone() -> None:
    stack = deployed(**RETRAINING)
    [passing] = statements(stack, "TrainingRoleForJobs")
    assert properties(stack, "TrainingRoleForJobs")["Roles"] == [{"Ref": "TrainingRole"}]
    assert passing == {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": arn("TrainingRole"),
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }
    assert list(of_type(stack, "AWS::IAM::Policy")) == ["TrainingRoleForJobs"]


def test_a_key_of_ones_own_encrypts_what_jobs_write_and_their_disks() -> None:
    found = [one for one in of_role(deployed(KmsKeyArn=KEY, **RETRAINING), "TrainingRole") if one["Resource"] == KEY]
    [data, disks] = found
    assert data["Condition"]["StringEquals"]["kms:ViaService"] == [{"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}]
    assert disks["Action"] == "kms:CreateGrant"
    assert disks["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


# Who is told of an approval


def test_an_approved_model_starts_the_workflow_of_the_repository_that_is_named() -> None:
    stack = deployed(**APPROVALS)
    destination = properties(stack, "ApprovalDestination")
    assert destination["ConnectionArn"] == APPROVALS["ApprovalConnectionArn"]
    address = destination["InvocationEndpoint"]["Fn::Sub"].replace("${ApprovalRepository}", "coral/moderato")
    assert (destination["HttpMethod"], address) == ("POST", "https://api.github.com/repos/coral/moderato/dispatches")
    rule = properties(stack, "ModelApproval")
    assert rule["EventPattern"]["detail"] == {
        "ModelPackageGroupName": [group_name()],
        "ModelApprovalStatus": ["Approved"],
    }
    [target] = rule["Targets"]
    assert (target["Arn"], target["RoleArn"]) == (arn("ApprovalDestination"), arn("ApprovalRole"))


def test_who_tells_of_an_approval_may_do_nothing_else() -> None:
    rights = granted(deployed(**APPROVALS), "ApprovalRole", "")
    assert rights == {("events:InvokeApiDestination", "ApprovalDestination")}


def test_what_is_told_is_what_the_workflow_waits_for_and_reads() -> None:
    [target] = properties(deployed(**APPROVALS), "ModelApproval")["Targets"]
    transformer = target["InputTransformer"]
    assert transformer["InputPathsMap"] == {"package": "$.detail.ModelPackageArn"}
    # EventBridge leaves out the quotes of a text that it puts between quotes.
    sent = json.loads(transformer["InputTemplate"].replace("<package>", PACKAGE_ARN))
    workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert f"types: [{sent['event_type']}]" in workflow
    [path] = re.findall(r"\$\{\{ github\.event\.client_payload\.(\w+) \}\}", workflow)
    assert sent["client_payload"] == {path: PACKAGE_ARN}


def test_a_destination_with_such_names_is_one_that_eventbridge_takes() -> None:
    assert (
        complaints(
            "events",
            "CreateApiDestination",
            {
                "Name": "moderato-dev-ApprovalDestination-0123456789ab",
                "ConnectionArn": APPROVALS["ApprovalConnectionArn"],
                "InvocationEndpoint": "https://api.github.com/repos/coral/moderato.api/dispatches",
                "HttpMethod": "POST",
                "InvocationRateLimitPerSecond": 1,
            },
        )
        == []
    )
