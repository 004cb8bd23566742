"""A training job's request is what was asked for, and nothing is started before a person has said yes."""

import json
import threading
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cloud.aws import BUCKET, REGION, Aws, Failed
from tests.cloud.launches import CHAMPION, DATASET, GIVEN, OUTPUT, WHERE, Launcher, epoch, job, named
from tests.service_models import complaints

SERVER = f"arn:aws:sagemaker:{REGION}:123456789012:mlflow-tracking-server/moderato"
KEY = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"


def request_of(aws: Aws) -> dict[str, Any]:
    """Return the one training job that was asked for, after looking at it as SageMaker would."""
    (request,) = aws.requests("sagemaker", "CreateTrainingJob")
    assert complaints("sagemaker", "CreateTrainingJob", request) == []
    return request


def test_one_gpu(launch: Launcher, snapshot: SnapshotAssertion) -> None:
    assert launch("train", "starter-next", *GIVEN, "--yes").code == 0
    assert named(request_of(launch.aws)) == snapshot


def test_two_nodes_on_spot_in_a_vpc_with_keys_tags_and_mlflow(launch: Launcher, snapshot: SnapshotAssertion) -> None:
    outcome = launch(
        "train", "starter-next", *GIVEN, "--yes", "--spot", "--max-hours", "2", "--max-wait-hours", "6",
        "--instances", "2", "--instance-type", "ml.c7i.4xlarge", "--volume-key", KEY, "--output-key", KEY,
        "--subnet", "subnet-1a", "--subnet", "subnet-1b", "--security-group", "sg-1", "--tracking-server", SERVER,
        "--tag", "team=safety", "--tag", "cost-centre=17", "--knob", "learning_rate=5e-5", "--knob", "bf16=false",
        "--version", "2.1.0", "--smoke",
    )  # fmt: skip
    assert outcome.code == 0
    assert named(request_of(launch.aws)) == snapshot


def test_an_isolated_job(launch: Launcher) -> None:
    launch("train", "starter-next", *GIVEN, "--yes", "--isolated")
    assert request_of(launch.aws)["EnableNetworkIsolation"] is True


def test_two_nodes_speak_in_secret_unless_told_otherwise(launch: Launcher) -> None:
    launch("train", "starter-next", *GIVEN, "--yes", "--instances", "2", "--plain-traffic")
    assert request_of(launch.aws)["EnableInterContainerTrafficEncryption"] is False


def test_a_folder_is_a_folder_and_an_archive_a_file(launch: Launcher) -> None:
    # datasets/starter/1 is also how the keys of datasets/starter/10 begin.
    launch("train", "starter-next", *GIVEN, "--yes")
    channels = request_of(launch.aws)["InputDataConfig"]
    places = {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels}
    assert places == {"dataset": f"{DATASET}/", "champion": CHAMPION}


def test_two_runs_share_no_prefix(launch: Launcher) -> None:
    for _ in range(2):
        launch("train", "starter-next", *GIVEN, "--yes")
    first, second = launch.aws.requests("sagemaker", "CreateTrainingJob")
    assert first["CheckpointConfig"]["S3Uri"] != second["CheckpointConfig"]["S3Uri"]
    assert first["CheckpointConfig"]["S3Uri"] == f"{first['OutputDataConfig']['S3OutputPath']}/checkpoints"


def test_a_resumed_run_goes_on_from_its_checkpoints(launch: Launcher) -> None:
    earlier = "starter-next-0a1b2c3d-20261121000000"
    summary = {"TrainingJobName": earlier, "CreationTime": epoch(0), "TrainingJobStatus": "Stopped"}
    launch.aws.answer("sagemaker", "ListTrainingJobs", {"TrainingJobSummaries": [summary]})
    words = (*GIVEN, "--instances", "2", "--resume", "starter-next-0a1b2c3d", "--yes")
    assert launch("train", "starter-next", *words).code == 0
    request = request_of(launch.aws)
    assert request["CheckpointConfig"]["S3Uri"] == f"{OUTPUT}/starter-next-0a1b2c3d/checkpoints"
    assert request["TrainingJobName"] != earlier
    assert request["TrainingJobName"].startswith("starter-next-0a1b2c3d-")


def test_the_stack_says_role_and_bucket(launch: Launcher) -> None:
    role = "arn:aws:iam::123456789012:role/moderato-training"
    told = {"BucketName": BUCKET, "TrainingRoleArn": role}
    outputs = [{"OutputKey": key, "OutputValue": value} for key, value in told.items()]
    stack = {
        "StackName": "moderato",
        "CreationTime": "2026-11-22",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": outputs,
    }
    launch.aws.answer("cloudformation", "DescribeStacks", {"Stacks": [stack]})
    launch("train", "starter-next", *WHERE[:2], "--stack", "moderato", "--dataset", DATASET, "--yes")
    request = request_of(launch.aws)
    assert request["RoleArn"] == role
    assert request["OutputDataConfig"]["S3OutputPath"].startswith(f"s3://{BUCKET}/training/starter-next-")


def test_nothing_is_uploaded_looked_up_or_reported_by_the_sdk(launch: Launcher) -> None:
    launch("train", "starter-next", *GIVEN, "--yes", "--no-wait")
    assert launch.aws.calls == [
        "sts:GetCallerIdentity",
        "ecr:DescribeImages",
        "iam:GetRole",
        "s3:HeadBucket",
        "s3:ListObjectsV2",
        "s3:ListObjectsV2",
        "pricing:GetProducts",
        "sagemaker:CreateTrainingJob",
        "sagemaker:DescribeTrainingJob",  # how the SDK makes its object of the job
    ]


def test_the_sdk_reports_to_nobody(launch: Launcher, lookups: list[str]) -> None:
    launch("train", "starter-next", *GIVEN, "--yes", "--no-wait")
    for thread in threading.enumerate():
        if thread.daemon:  # it would report from one
            thread.join()
    assert lookups == []


def test_a_dry_run_prints_the_request_and_starts_nothing(launch: Launcher) -> None:
    dry = launch("train", "starter-next", *GIVEN, "--dry-run")
    assert dry.code == 0
    assert launch.aws.started() == []
    launch("train", "starter-next", *GIVEN, "--yes")
    sent = request_of(launch.aws)
    assert named(json.loads(dry.out)) == named(sent)


def test_the_cost_is_said_before_the_question(launch: Launcher) -> None:
    outcome = launch("train", "starter-next", *GIVEN, "--instances", "2", "--max-hours", "3", typed="n\n")
    # 2 instances x 3 hours x 1.41 dollars
    assert "cost: at most 8.46 USD (2 x ml.g5.xlarge x 3 h x 1.41 USD)\nStart it? [y/N]" in outcome.err


def test_spot_costs_at_most_as_much(launch: Launcher) -> None:
    outcome = launch("train", "starter-next", *GIVEN, "--spot", typed="n\n")
    assert "cost: at most 5.64 USD (1 x ml.g5.xlarge x 4 h x 1.41 USD); spot is billed at less" in outcome.err


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_started(launch: Launcher, typed: str) -> None:
    assert launch("train", "starter-next", *GIVEN, typed=typed).code == 1
    assert launch.aws.started() == []


def test_with_a_yes_it_is_started(launch: Launcher) -> None:
    assert launch("train", "starter-next", *GIVEN, typed="y\n").code == 0
    assert launch.aws.started() == ["sagemaker:CreateTrainingJob"]


def test_a_price_that_cannot_be_asked_is_not_made_up(launch: Launcher) -> None:
    launch.aws.answer("pricing", "GetProducts", Failed("AccessDeniedException", message="no pricing:GetProducts"))
    outcome = launch("train", "starter-next", *GIVEN, typed="n\n")
    assert (
        "cost: at most 1 x ml.g5.xlarge x 4 h; what that is in money is not known: the price list could not be asked: "
        "AccessDeniedException, no pricing:GetProducts\n"
    ) in outcome.err
    assert "USD" not in outcome.err


def test_a_type_that_the_price_list_has_not_is_said_so(launch: Launcher) -> None:
    launch.aws.answer("pricing", "GetProducts", {"FormatVersion": "aws_v1", "PriceList": []})
    outcome = launch("train", "starter-next", *GIVEN, typed="n\n")
    assert "the price list has no training on ml.g5.xlarge in eu-west-1" in outcome.err


def test_what_may_not_be_looked_at_is_said_and_no_hindrance(launch: Launcher) -> None:
    launch.aws.answer("iam", "GetRole", Failed("AccessDenied", 403))
    outcome = launch("train", "starter-next", *GIVEN, "--yes")
    assert outcome.code == 0
    assert "not looked at, for want of a permission: role moderato-training" in outcome.err


def test_what_sagemaker_says_against_it_is_one_sentence(launch: Launcher) -> None:
    limit = "The account-level service limit 'ml.g5.xlarge for training job usage' is 0 Instances."
    launch.aws.answer("sagemaker", "CreateTrainingJob", Failed("ResourceLimitExceeded", message=limit))
    outcome = launch("train", "starter-next", *GIVEN, "--yes")
    assert outcome.code == 1
    assert outcome.err.endswith(f"launch: SageMaker did not start it: ResourceLimitExceeded, {limit.rstrip('.')}")


def test_progress_is_told_once_and_a_failure_is_the_end(launch: Launcher) -> None:
    steps = [
        {"Status": "Starting", "StartTime": epoch(0), "StatusMessage": "Preparing the instances for training"},
        {"Status": "Training", "StartTime": epoch(3), "StatusMessage": "Training image download completed."},
    ]
    figure = {"MetricName": "eval_loss", "Value": 0.21, "Timestamp": epoch(4)}
    running: dict[str, Any] = {"SecondaryStatusTransitions": steps[:1]}
    failed = {
        "SecondaryStatusTransitions": steps,
        "FinalMetricDataList": [figure],
        "FailureReason": "AlgorithmError: it broke",
    }
    answers = iter([("InProgress", {}), ("InProgress", running), ("InProgress", running), ("Failed", failed)])

    def describe(request: Any) -> dict[str, Any]:
        status, more = next(answers)
        return job(request["TrainingJobName"], status, **more)

    launch.aws.answer("sagemaker", "DescribeTrainingJob", describe)
    outcome = launch("train", "starter-next", *GIVEN, "--yes", "--every", "0")
    assert outcome.code == 1
    told = [line for line in outcome.err.splitlines() if line.startswith(("12:", "    "))]
    assert told[:3] == [
        "12:00:00 Starting     Preparing the instances for training",
        "12:03:00 Training     Training image download completed.",
        "         figures      eval_loss 0.21",
    ]
    assert outcome.err.endswith("failed: AlgorithmError: it broke")


def test_interrupting_the_look_leaves_the_job_running(launch: Launcher) -> None:
    described = iter([job("started", "InProgress")])

    def describe(_: Any) -> dict[str, Any]:
        for each in described:
            return each
        raise KeyboardInterrupt

    launch.aws.answer("sagemaker", "DescribeTrainingJob", describe)
    outcome = launch("train", "starter-next", *GIVEN, "--yes", "--every", "0")
    assert outcome.code == 130
    assert "sagemaker:StopTrainingJob" not in launch.aws.calls
    assert "Stop it: aws sagemaker stop-training-job --training-job-name started --region eu-west-1" in outcome.err
    assert "Look at it: python -m training.launch status started --region eu-west-1" in outcome.err


@pytest.mark.parametrize(("command", "job"), [("train", "TrainingJob"), ("tune", "HyperParameterTuningJob")])
def test_a_look_that_is_refused_leaves_the_job_running(launch: Launcher, command: str, job: str) -> None:
    launch.environment.setenv("AWS_MAX_ATTEMPTS", "1")  # boto3 would ask again for a while
    answers = iter([{f"{job}Name": "started", f"{job}Status": "InProgress"}])  # the SDK looks at it first
    throttled = Failed("ThrottlingException", message="Rate exceeded")
    launch.aws.answer("sagemaker", f"Describe{job}", lambda _: next(answers, throttled))
    outcome = launch(command, "starter-next", *GIVEN, "--yes", "--every", "0")
    assert outcome.code == 1
    started = outcome.err.split("started ")[1].split()[0]
    assert outcome.err.splitlines()[-1] == (
        f"launch: job {started} could not be asked: ThrottlingException, Rate exceeded; {started} goes on, and this "
        f"looks at it again: python -m training.launch status {started} --region eu-west-1"
    )
