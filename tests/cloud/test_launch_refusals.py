"""Bad input is one sentence that says what is wrong and what would be right, before anything is started or paid for."""

import re
import sys
from collections.abc import Callable
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.cloud.aws import ACCOUNT, BUCKET, IMAGE, REGION, ROLE, Aws, Failed
from tests.cloud.launches import (
    CHAMPION,
    DATASET,
    GIVEN,
    HELD,
    SEARCHED,
    WHERE,
    Launcher,
    channel,
    epoch,
    job,
    parent,
    stack,
    without,
)

OTHER_ROLE = "arn:aws:iam::999999999999:role/moderato-training"
ECR = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/moderato-training"
SERVER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-tracking-server/moderato"
RESUMED = ("--instances", "2", "--resume", "starter-next-0a1b2c3d")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (without(GIVEN, "--role"), "no role: give the ARN of the one that the job works under by --role"),
        ((*GIVEN, "--role", "moderato"), "role 'moderato' is no ARN of a role: give it as arn:aws:iam::"),
        ((*GIVEN, "--role", OTHER_ROLE), f"is of account 999999999999, and you are signed in to {ACCOUNT}"),
        (without(GIVEN, "--output"), "where do results go? Give --output s3://BUCKET/PREFIX, or the --stack"),
        ((*GIVEN, "--output", "moderato/training"), "--output 'moderato/training' is no place in S3: give it as s3://"),
        (WHERE, "what is it trained on? Give --dataset (a version in S3), or --sources"),
        ((*GIVEN, "--dataset", f"s3://{BUCKET}/datasets/2"), f"there is nothing under s3://{BUCKET}/datasets/2/"),
        ((*GIVEN, "--dataset", f"s3://{BUCKET}/models"), "s3://moderato-bucket/models/ holds no dataset.json"),
        ((*GIVEN, "--champion", f"s3://{BUCKET}/datasets"), "holds neither model.tar.gz nor a model's manifest.json"),
        ((*GIVEN, "--champion", f"s3://{BUCKET}/m.tar.gz"), f"--champion: there is nothing under s3://{BUCKET}/m.tar.gz"),
        ((*GIVEN, "--output", "s3://nowhere/training"), "there is no bucket 'nowhere'"),
        ((*GIVEN, "--output", "s3://far/training"), "bucket far is in us-east-1, and the job would run in eu-west-1"),
        ((*GIVEN, "--instance-type", "ml.g5.xxlarge"), "'ml.g5.xxlarge' is no instance type that SageMaker trains on"),
        ((*GIVEN, "--instance-type", "ml.g5.xxlarge"), "did you mean ml.g5.xlarge or ml.g5.8xlarge or"),
        ((*GIVEN, "--instance-type", "laptop"), "is no instance type that SageMaker trains on, such as ml.g5.xlarge"),
        ((*GIVEN, "--instance-type", "ml.p3.2xlarge"), "its GPUs are older than the image's CUDA knows"),
        ((*GIVEN, "--instance-type", "ml.trn1.2xlarge"), "it has Trainium in place of a GPU; take ml.g5.xlarge"),
        ((*GIVEN, "--image", "pytorch:2.13"), "image 'pytorch:2.13' is not in a private ECR registry"),
        ((*GIVEN, "--image", ECR.replace(REGION, "us-east-1") + ":1"), "is in us-east-1, and the job would run"),
        ((*GIVEN, "--image", ECR), "names no version: add a tag or, better, a digest"),
        ((*GIVEN, "--max-hours", "0"), "--max-hours 0: from a minute (0.02) to 672, which is four weeks"),
        ((*GIVEN, "--max-hours", "1000"), "--max-hours 1000: from a minute"),
        ((*GIVEN, "--max-hours", "nan"), "--max-hours nan: from a minute"),
        ((*GIVEN, "--spot", "--max-wait-hours", "nan"), "--max-wait-hours nan: at most 596523, as AWS counts"),
        ((*GIVEN, "--spot", "--max-wait-hours", "1e9"), "--max-wait-hours 1e+09: at most 596523, as AWS counts"),
        ((*GIVEN, "--max-wait-hours", "8"), "--max-wait-hours is about waiting for spot capacity: give --spot"),
        ((*GIVEN, "--spot", "--max-wait-hours", "2"), "--max-wait-hours 2 is less than --max-hours 4"),
        ((*GIVEN, "--encrypt-traffic"), "--encrypt-traffic is about several instances: give --instances 2 or more"),
        ((*GIVEN, "--volume-key", "alias/key"), "--volume-key: ml.g5.xlarge keeps its data on disks that its hardware"),
        ((*GIVEN, "--subnet", "subnet-1"), "--subnet needs --security-group: a job in a VPC has both"),
        ((*GIVEN, "--security-group", "sg-1"), "--security-group needs --subnet: a job in a VPC has both"),
        ((*GIVEN, "--tracking-server", "http://mlflow"), "'http://mlflow' is no ARN of an MLflow server"),
        ((*GIVEN, "--tracking-server", SERVER.replace(REGION, "us-east-1")), "the MLflow server is in us-east-1"),
        ((*GIVEN, "--tracking-server", SERVER, "--isolated"), "--isolated leaves no way to an MLflow server"),
        ((*GIVEN, "--encoder", DATASET), "give one of --champion and --encoder"),
        ((*without(GIVEN, "--champion"), "--encoder", DATASET), "holds no config.json: upload the folder"),
        ((*GIVEN, "--knob", "momentum=1"), "no knob 'momentum': there are epochs, batch_size,"),
        ((*GIVEN, "--knob", "epochs=many"), "knob epochs cannot be 'many': Expected `int`, got `str`"),
        ((*GIVEN, "--knob", "batch_size=0"), "knob batch_size cannot be '0': Expected `int` >= 1"),
        ((*GIVEN, "--knob", "epochs"), "--knob 'epochs': give it as NAME=VALUE"),
        ((*GIVEN, "--tag", "a<b=1"), "--tag 'a<b': a key has 1 to 128 characters"),
        ((*GIVEN, "--resume", "../other"), "--resume '../other' is no run's name"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence(launch: Launcher, words: tuple[str, ...], sentence: str) -> None:
    launch.aws.buckets["far"] = "us-east-1"
    assert sentence in launch.refusal("train", "starter-next", *words)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("starter-nex", "no recipe 'starter-nex': there are bbc-summary, cola"),
        ("mine.toml", "recipe 'mine.toml' is a file here, which the image has not: put it into training/recipes first"),
    ],
)
def test_a_recipe_that_the_image_has_not(launch: Launcher, name: str, sentence: str) -> None:
    assert sentence in launch.refusal("train", name, *GIVEN)


@pytest.mark.parametrize(
    ("operation", "code", "sentence"),
    [
        ("iam:GetRole", "NoSuchEntity", "there is no role 'moderato-training'"),
        ("ecr:DescribeImages", "RepositoryNotFoundException", f"no repository 'moderato-training' in ECR of {ACCOUNT}"),
        ("ecr:DescribeImages", "ImageNotFoundException", "there is no image :1 in ECR's repository moderato-training"),
        ("sts:GetCallerIdentity", "ExpiredToken", "AWS does not take these credentials (ExpiredToken): try `aws sts"),
        ("sts:GetCallerIdentity", "InvalidClientTokenId", "AWS does not take these credentials (InvalidClientTokenId)"),
    ],
)
def test_what_is_not_there_is_named(launch: Launcher, operation: str, code: str, sentence: str) -> None:
    service, name = operation.split(":")
    launch.aws.answer(service, name, Failed(code))
    assert sentence in launch.refusal("train", "starter-next", *GIVEN)


def test_a_role_that_sagemaker_may_not_take(launch: Launcher) -> None:
    trust = '{"Statement": {"Effect": "Allow", "Principal": {"Service": ["lambda.amazonaws.com"]}}}'
    role = {"RoleName": "r", "Arn": ROLE, "Path": "/", "RoleId": "r", "CreateDate": "2026-11-22"}
    launch.aws.answer("iam", "GetRole", {"Role": {**role, "AssumeRolePolicyDocument": trust}})
    sentence = launch.refusal("train", "starter-next", *GIVEN)
    assert sentence == "role moderato-training does not trust sagemaker.amazonaws.com, so that no job can work under it"


def test_a_role_of_this_name_at_another_path(launch: Launcher) -> None:
    sentence = launch.refusal("train", "starter-next", *GIVEN, "--role", ROLE.replace("role/", "role/team/"))
    assert f"the role of this name is {ROLE}" in sentence


def test_no_region(launch: Launcher) -> None:
    launch.aws.session = boto3.Session()
    assert launch.refusal("train", "starter-next", *GIVEN) == "no region is known: give --region, or set AWS_REGION"


def test_a_region_that_is_none(launch: Launcher) -> None:
    launch.aws.session = boto3.Session(region_name="eu-west-9")
    sentence = launch.refusal("train", "starter-next", *GIVEN)
    assert sentence.startswith("'eu-west-9' is no region that SageMaker is in: did you mean eu-west-")


def test_nobody_is_signed_in(launch: Launcher) -> None:
    launch.aws.session = Aws(is_signed_in=False).session
    assert launch.refusal("train", "starter-next", *GIVEN).startswith("nobody is signed in to AWS here: try `aws sts")


@pytest.mark.parametrize("account", [Aws(is_signed_in=False), Aws(region=None)], ids=["nobody", "no region"])
@pytest.mark.parametrize(
    ("recipe", "words", "sentence"),
    [
        ("starter-nex", GIVEN, "no recipe 'starter-nex'"),
        ("starter-next", (*GIVEN, "--knob", "momentum=1"), "no knob 'momentum'"),
        ("starter-next", (*GIVEN, "--instance-type", "g5.xlarge"), "'g5.xlarge' is no instance type"),
        ("starter-next", (*GIVEN, "--image", "foo"), "image 'foo' is not in a private ECR registry"),
        ("starter-next", (*GIVEN, "--max-hours", "0"), "--max-hours 0: from a minute"),
        ("starter-next", (*GIVEN, "--max-wait-hours", "8"), "--max-wait-hours is about waiting for spot capacity"),
        (
            "starter-next", ("--image", IMAGE, "--stack", "moderato", "--dataset", DATASET, "--max-hours", "0"),
            "--max-hours 0: from a minute",
        ),
    ],
)  # fmt: skip
def test_what_needs_no_aws_is_told_first(
    launch: Launcher, account: Aws, recipe: str, words: tuple[str, ...], sentence: str
) -> None:
    launch.aws.session = account.session
    assert sentence in launch.refusal("train", recipe, *words)
    assert account.calls == []


@pytest.mark.parametrize("name", ["ml.nope.xlarge", "ml.trn.2xlarge"])
def test_no_type_is_proposed_that_would_be_refused(launch: Launcher, name: str) -> None:
    sentence = launch.refusal("train", "starter-next", *GIVEN, "--instance-type", name)
    assert re.findall(r"ml\.(?:p2|p3|p3dn|trn\w+|p6e-gb200)\.", sentence.removeprefix(f"'{name}'")) == []


@pytest.mark.parametrize("command", ["train", "tune"])
def test_without_the_sdk_the_right_python_is_named(
    launch: Launcher, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sagemaker", None)
    assert launch.refusal(command, "starter-next", *GIVEN) == (
        "sagemaker is not installed here: run it with the Python of .venv-sagemaker, which "
        "`make sagemaker-environment` makes"
    )
    assert launch.aws.calls == []


def earlier(status: str = "Stopped", **changes: object) -> Callable[[Aws], None]:
    def settle(aws: Aws) -> None:
        name = "starter-next-0a1b2c3d-20261121000000"
        summary = {"TrainingJobName": name, "CreationTime": epoch(0), "TrainingJobStatus": status}
        aws.answer("sagemaker", "ListTrainingJobs", {"TrainingJobSummaries": [summary]})
        aws.answer("sagemaker", "DescribeTrainingJob", job(name, status, **changes))

    return settle


OTHER = channel("dataset", f"s3://{BUCKET}/datasets/starter/2/")
LAST = channel("champion", CHAMPION)
ONE = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}


@pytest.mark.parametrize(
    ("settle", "sentence"),
    [
        (earlier("InProgress"), "of this run is not done; two at once would write the same checkpoints"),
        (earlier(ResourceConfig=ONE), "ran on 1 x ml.g5.xlarge, and a run keeps its number of processes"),
        (earlier(InputDataConfig=[OTHER, LAST]), f"had another --dataset: s3://{BUCKET}/datasets/starter/2/"),
        (earlier(InputDataConfig=[channel("dataset", f"{DATASET}/")]), "had another --champion: none"),
        (earlier(HyperParameters={"recipe": "olid"}), "had other hyperparameters: recipe 'olid', now 'starter-next'"),
        (lambda aws: aws.answer("sagemaker", "ListTrainingJobs", {"TrainingJobSummaries": []}), "no job of a run"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_go_on(launch: Launcher, settle: Callable[[Aws], None], sentence: str) -> None:
    settle(launch.aws)
    assert sentence in launch.refusal("train", "starter-next", *GIVEN, *RESUMED)


def test_a_parent_that_is_none(launch: Launcher) -> None:
    assert (
        launch.refusal("tune", "starter-next", *GIVEN, "--parent", "old")
        == f"--parent: no tuning job 'old' in {REGION}"
    )


@pytest.mark.parametrize(
    ("parent", "sentence"),
    [
        (parent("InProgress"), "old is InProgress, and a search begins with one that was completed or stopped"),
        (parent("Failed"), "old is Failed, and a search begins with one that was completed or stopped"),
        (
            parent("Completed", "eval_macro_f1"),
            (
                "old searched by eval_macro_f1, and this search goes by eval_mean_roc_auc: a search and the one that "
                "it begins with have the same objective"
            ),
        ),
        (
            parent("Stopped", held={**HELD, "smoke": "true"}),
            (
                "old had 20 hyperparameters, searched and held, and this search has 19, which must be as many; they "
                "differ in smoke"
            ),
        ),
    ],
    ids=["running", "failed", "another objective", "another number of knobs"],
)
def test_a_parent_that_a_search_cannot_begin_with(launch: Launcher, parent: dict[str, Any], sentence: str) -> None:
    launch.aws.answer("sagemaker", "DescribeHyperParameterTuningJob", parent)
    assert launch.refusal("tune", "starter-next", *GIVEN, "--parent", "old") == f"--parent: {sentence}"


def test_a_parent_may_have_held_what_is_searched(launch: Launcher) -> None:
    held = {**HELD, "batch_size": "32"}
    launch.aws.answer(
        "sagemaker", "DescribeHyperParameterTuningJob", parent("Stopped", held=held, searched=SEARCHED - {"batch_size"})
    )
    assert launch("tune", "starter-next", *GIVEN, "--parent", "old", "--dry-run").code == 0


def test_more_trials_at_a_time_than_in_all(launch: Launcher) -> None:
    sentence = launch.refusal("tune", "starter-next", *GIVEN, "--trials", "2", "--parallel", "4")
    assert sentence == "4 trials at a time of 2 in all: --parallel is at most --trials"


def test_a_search_for_nothing(launch: Launcher) -> None:
    held = ["learning_rate=1e-4", "batch_size=32", "max_tokens=96", "weight_decay=0", "class_weight_power=0.5"]
    words = [word for knob in [*held, "max_class_weight=2"] for word in ("--knob", knob)]
    assert launch.refusal("tune", "starter-next", *GIVEN, *words).startswith(
        "nothing is left to search: of learning_rate"
    )


def test_a_stack_without_a_training_role(launch: Launcher) -> None:
    outputs = [{"OutputKey": "BucketName", "OutputValue": BUCKET}]
    stack = {"StackName": "s", "CreationTime": "2026-11-22", "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}
    launch.aws.answer("cloudformation", "DescribeStacks", {"Stacks": [stack]})
    words = ("--image", IMAGE, "--stack", "moderato", "--dataset", DATASET)
    sentence = launch.refusal("train", "starter-next", *words)
    assert sentence == "stack moderato has no training role: deploy it with Retraining=true, or give --role"


def test_a_stack_that_is_not_there(launch: Launcher) -> None:
    launch.aws.answer("cloudformation", "DescribeStacks", Failed("ValidationError"))
    words = ("--image", IMAGE, "--stack", "moderat", "--dataset", DATASET)
    assert launch.refusal("train", "starter-next", *words) == f"no stack 'moderat' in {REGION}"


@pytest.mark.parametrize("option", ["--dataset", "--champion", "--sources"])
def test_data_that_the_stacks_role_may_not_read(launch: Launcher, option: str) -> None:
    launch.aws.answer("cloudformation", "DescribeStacks", stack())
    launch.aws.put("public/jigsaw/identity_templates_en.csv.gz")
    words = ("--image", IMAGE, "--stack", "moderato", "--dataset", DATASET)
    assert launch.refusal("train", "starter-next", *words, option, f"s3://{BUCKET}/public/jigsaw") == (
        f"{option} s3://{BUCKET}/public/jigsaw/ is not for the stack's role, which reads datasets/, models/, "
        f"retraining/ and training/ in this bucket: put it there, as in s3://{BUCKET}/datasets/jigsaw"
    )


def test_a_role_of_ones_own_reads_what_it_may(launch: Launcher) -> None:
    launch.aws.answer("cloudformation", "DescribeStacks", stack())
    launch.aws.put("public/jigsaw/identity_templates_en.csv.gz")
    words = ("--image", IMAGE, "--stack", "moderato", "--role", ROLE, "--sources", f"s3://{BUCKET}/public/jigsaw")
    assert launch("train", "starter", *words, "--dry-run").code == 0
