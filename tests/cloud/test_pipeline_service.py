"""`python -m training.pipeline upsert` and `start`: what is asked of AWS, what is told, and what is refused before."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from moderato.artifact import load_manifest
from tests.cloud.aws import ACCOUNT, BUCKET, IMAGE, REGION, ROLE, Aws, Failed
from tests.cloud.launches import Outcome, run
from tests.service_models import complaints
from training.pipeline import STARTER, main

PREDICT = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/moderato-predict:1"
PIPELINE = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/moderato"
EXECUTION = f"{PIPELINE}/execution/abcdefghijkl"
OUTPUTS = {"TrainingRoleArn": ROLE, "BucketName": BUCKET, "ModelGroupName": "moderato-models"}
UPSERT = ("upsert", "--stack", "moderato", "--image", IMAGE, "--predict-image", PREDICT)
BATCH = f"s3://{BUCKET}/retraining/batches/000001-5f5f5f5f5f5f"
START = ("start", "--stack", "moderato", "--labels", BATCH)
WRITES = {"CreatePipeline", "UpdatePipeline", "StartPipelineExecution", "PutObject", "AddTags", "DeleteTags"}
TAGS = {"project": "moderato", "team": "safety"}


@dataclass(frozen=True)
class Pipeline:
    """The command, in an AWS account that answers from this process."""

    aws: Aws
    screen: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Outcome:
        """Run the command."""
        return run(lambda: main(words, lambda *_: self.aws.session), self.screen)

    def refusal(self, *words: str) -> str:
        """Return the one sentence of a command that must fail before anything is written or started."""
        outcome = self(*words)
        assert outcome.code == 2, outcome
        assert [call for call in self.aws.calls if call.split(":")[1] in WRITES] == []
        (sentence,) = outcome.err.strip().splitlines()
        return sentence.removeprefix("pipeline: ")


def stack(**outputs: str) -> dict[str, Any]:
    """Return a stack's description."""
    listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    described = {"StackName": "moderato", "CreationTime": "2026-11-22T00:00:00Z", "StackStatus": "CREATE_COMPLETE"}
    return {"Stacks": [{**described, "Outputs": listed}]}


def tags(given: dict[str, str]) -> dict[str, Any]:
    """Return the tags of a pipeline as they are listed."""
    return {"Tags": [{"Key": key, "Value": value} for key, value in given.items()]}


@pytest.fixture
def pipeline(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Pipeline:
    """The command in an account with the stack, the images, the starter's dataset and model, and a batch of labels."""
    manifest = load_manifest(STARTER)
    aws.answer("cloudformation", "DescribeStacks", stack(**OUTPUTS))
    aws.put(f"datasets/starter/{manifest.dataset.version}/dataset.json")
    aws.put(f"models/starter-{manifest.version}/model.tar.gz")
    aws.put("retraining/batches/000001-5f5f5f5f5f5f/accepted.jsonl")
    aws.put("retraining/batches/000000-ended/batch.json")
    aws.answer("sagemaker", "DescribePipeline", Failed("ResourceNotFound"))
    for operation in ("CreatePipeline", "UpdatePipeline"):
        aws.answer("sagemaker", operation, {"PipelineArn": PIPELINE})
    aws.answer("sagemaker", "ListTags", tags(TAGS))
    aws.answer("sagemaker", "AddTags", {"Tags": []})
    aws.answer("sagemaker", "ListPipelineExecutions", {"PipelineExecutionSummaries": []})
    aws.answer("sagemaker", "StartPipelineExecution", {"PipelineExecutionArn": EXECUTION})
    return Pipeline(aws, capsys)


def described(version: str | None = None) -> dict[str, Any]:
    """Return a pipeline that grows this version of the dataset, by default the starter's."""
    manifest = load_manifest(STARTER)
    defaults = {
        "LabelsUri": None,
        "DatasetUri": f"s3://{BUCKET}/datasets/starter/{version or manifest.dataset.version}/",
        "ChampionUri": f"s3://{BUCKET}/models/starter-{manifest.version}/model.tar.gz",
    }
    declared = [{"Name": name, **({"DefaultValue": value} if value else {})} for name, value in defaults.items()]
    return {"PipelineName": "moderato", "PipelineDefinition": json.dumps({"Parameters": declared})}


def told(aws: Aws, operation: str) -> dict[str, Any]:
    """Return the one request of an operation, which the service would take."""
    (request,) = aws.requests("sagemaker", operation)
    assert complaints("sagemaker", operation, request) == []
    return request


def test_a_pipeline_is_made_then_left_alone_then_brought_up_to_date(
    pipeline: Pipeline, snapshot: SnapshotAssertion
) -> None:
    pipeline.aws.answer("iam", "GetRole", Failed("AccessDenied"))
    unseen = "not looked at, for want of a permission: role moderato-training\n"
    assert pipeline(*UPSERT, "--tag", "team=safety") == Outcome(0, "pipeline moderato: created\n", unseen)
    made = dict(told(pipeline.aws, "CreatePipeline"))
    manifest = load_manifest(STARTER)
    definition = json.loads(made["PipelineDefinition"])
    assert {each["Name"]: each.get("DefaultValue") for each in definition["Parameters"]} == {
        "LabelsUri": None,
        "LabelsDigest": None,
        "DatasetUri": f"s3://{BUCKET}/datasets/starter/{manifest.dataset.version}/",
        "ChampionUri": f"s3://{BUCKET}/models/starter-{manifest.version}/model.tar.gz",
        "Reason": "hand",
        "InstanceType": "ml.g5.xlarge",
    }
    known = {name: made[name] for name in ("PipelineName", "RoleArn", "PipelineDefinition")}
    pipeline.aws.answer("sagemaker", "DescribePipeline", known | {"PipelineArn": PIPELINE})
    assert pipeline(*UPSERT, "--tag", "team=safety") == Outcome(0, "pipeline moderato: unchanged\n", unseen)
    pipeline.aws.answer("sagemaker", "DescribePipeline", known | {"RoleArn": "before", "PipelineArn": PIPELINE})
    assert pipeline(*UPSERT, "--tag", "team=safety") == Outcome(0, "pipeline moderato: updated\n", unseen)
    updated = told(pipeline.aws, "UpdatePipeline")
    assert {name: updated[name] for name in known} == known

    # Nothing is uploaded; the token is of the definition, which names the commit of this code.
    written = [call for call in pipeline.aws.calls if call.split(":")[1] in WRITES]
    assert written == ["sagemaker:CreatePipeline", "sagemaker:UpdatePipeline"]
    assert len(made.pop("ClientRequestToken")) == 64
    del made["PipelineDefinition"]
    assert made == snapshot


def test_tags_are_brought_up_to_date_and_those_of_others_left(pipeline: Pipeline) -> None:
    assert pipeline(*UPSERT, "--tag", "team=safety").code == 0
    made = told(pipeline.aws, "CreatePipeline")
    known = {name: made[name] for name in ("PipelineName", "RoleArn", "PipelineDefinition")}
    pipeline.aws.answer("sagemaker", "DescribePipeline", known | {"PipelineArn": PIPELINE})
    # Without the job's tags in it, the definition would be another one.
    pipeline.aws.answer("sagemaker", "ListTags", tags({"project": "moderato", "team": "growth", "cost-centre": "17"}))
    assert pipeline(*UPSERT, "--tag", "team=safety").out == "pipeline moderato: updated\n"
    written = [call for call in pipeline.aws.calls if call.split(":")[1] in WRITES]
    assert written == ["sagemaker:CreatePipeline", "sagemaker:AddTags"]
    assert told(pipeline.aws, "AddTags") == {"ResourceArn": PIPELINE, "Tags": [{"Key": "team", "Value": "safety"}]}
    pipeline.aws.answer("sagemaker", "ListTags", Failed("AccessDeniedException", message="no sagemaker:ListTags"))
    assert pipeline(*UPSERT, "--tag", "team=safety").err.endswith(
        "pipeline: the tags of pipeline moderato could not be brought up to date: AccessDeniedException, no "
        "sagemaker:ListTags\n"
    )


def test_a_start_by_hand(pipeline: Pipeline, snapshot: SnapshotAssertion) -> None:
    pipeline.aws.answer("sagemaker", "DescribePipeline", described())
    pipeline.aws.put("datasets/starter/7/dataset.json")
    pipeline.aws.put("models/starter-7/model.tar.gz")
    done = pipeline(
        *START, "--labels-digest", "5f" * 32, "--instance-type", "ml.g6.xlarge",
        "--dataset", f"s3://{BUCKET}/datasets/starter/7", "--champion", f"s3://{BUCKET}/models/starter-7/model.tar.gz",
    )  # fmt: skip
    assert done == Outcome(0, f"{EXECUTION}\n", "")
    assert told(pipeline.aws, "StartPipelineExecution") == snapshot


def tokens(aws: Aws) -> list[str]:
    """Return by which tokens executions were started."""
    return [each["ClientRequestToken"] for each in aws.requests("sagemaker", "StartPipelineExecution")]


def test_the_same_start_twice_is_one_execution(pipeline: Pipeline) -> None:
    pipeline.aws.answer("sagemaker", "DescribePipeline", described())
    for words in (START, START, (*START, "--reason", "drift")):
        assert pipeline(*words).code == 0
    first, second, third = tokens(pipeline.aws)
    assert first == second != third


def test_what_has_failed_can_be_started_again(pipeline: Pipeline) -> None:
    pipeline.aws.answer("sagemaker", "DescribePipeline", described())
    for status in ("Executing", "Failed"):
        assert pipeline(*START).code == 0
        name = pipeline.aws.requests("sagemaker", "StartPipelineExecution")[0]["PipelineExecutionDisplayName"]
        known = {"PipelineExecutionArn": EXECUTION, "PipelineExecutionDisplayName": name}
        listed = [{**known, "PipelineExecutionStatus": status}]
        pipeline.aws.answer("sagemaker", "ListPipelineExecutions", {"PipelineExecutionSummaries": listed})
    assert pipeline(*START).code == 0
    first, executing, failed = tokens(pipeline.aws)
    assert first == executing != failed


def test_results_of_another_default_lie_elsewhere(pipeline: Pipeline) -> None:
    pipeline.aws.put("datasets/starter/2/dataset.json")
    for version in (None, "2"):
        pipeline.aws.answer("sagemaker", "DescribePipeline", described(version))
        assert pipeline(*START).code == 0
    digests = [
        {each["Name"]: each["Value"] for each in request["PipelineParameters"]}["LabelsDigest"]
        for request in pipeline.aws.requests("sagemaker", "StartPipelineExecution")
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--image", "training:1"), "image 'training:1' is not in a private ECR registry"),
        (("--image", IMAGE.replace(REGION, "us-east-1")), "is in us-east-1, and the job would run in eu-west-1"),
        (("--role", "moderato"), "role 'moderato' is no ARN of a role"),
        (("--name", "-moderato"), "'-moderato' is no name of a pipeline: letters, digits and hyphens between them"),
        (("--recipe", "stater"), "no recipe 'stater': there are bbc-summary, "),
        (("--instance-type", "ml.g5.xxlarge"), "'ml.g5.xxlarge' is no instance type that SageMaker trains on"),
        (("--instance-type", "ml.p3.2xlarge"), "its GPUs are older than the image's CUDA knows; take ml.g5.xlarge"),
        (
            ("--sources", f"s3://{BUCKET}/public/jigsaw"),
            f"--sources s3://{BUCKET}/public/jigsaw/ is not for the stack's role, which reads datasets/, models/, ",
        ),
        (("--stage-instance-type", "laptop"), "'laptop' is no instance type that SageMaker processes on"),
        (("--dataset", f"s3://{BUCKET}/datasets/none"), f"there is nothing under s3://{BUCKET}/datasets/none"),
        (("--champion", "models/1"), "--champion 'models/1' is no place in S3"),
        (("--bucket", "nowhere"), "there is no bucket 'nowhere'"),
        (("--tag", "team"), "--tag 'team': give it as NAME=VALUE"),
        (("--tune", "--trials", "2", "--parallel", "3"), "--parallel is at most --trials"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_before_anything_is_made(
    pipeline: Pipeline, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in pipeline.refusal(*UPSERT, *words)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda aws: aws.answer("cloudformation", "DescribeStacks", Failed("ValidationError")),
            f"no stack 'moderato' in {REGION}",
        ),
        (
            lambda aws: aws.answer(
                "cloudformation", "DescribeStacks", stack(BucketName=BUCKET, ModelGroupName="moderato-models")
            ),
            "stack moderato has no output TrainingRoleArn: deploy it with Retraining=true, or give --role",
        ),
        (lambda aws: aws.answer("iam", "GetRole", Failed("NoSuchEntity")), "there is no role 'moderato-training'"),
        (
            lambda aws: aws.answer("ecr", "DescribeImages", Failed("ImageNotFoundException")),
            "there is no image :1 in ECR's repository moderato-training: push it first",
        ),
        (lambda aws: aws.objects.clear(), "there is nothing under s3://moderato-bucket/"),
    ],
    ids=["no stack", "no output", "no role", "no image", "nothing uploaded"],
)
def test_what_is_not_there_is_one_sentence_before_anything_is_made(
    pipeline: Pipeline, change: Callable[[Aws], None], sentence: str
) -> None:
    change(pipeline.aws)
    assert sentence in pipeline.refusal(*UPSERT)


def test_without_a_region_nothing_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no region is known" in Pipeline(Aws(region=None), capsys).refusal(*UPSERT)
    assert "'eu-moon-1' is no region" in Pipeline(Aws(region="eu-moon-1"), capsys).refusal(*UPSERT)


def test_a_pipeline_without_a_stack_says_what_it_wants(pipeline: Pipeline) -> None:
    words = ("upsert", "--image", IMAGE, "--predict-image", PREDICT, "--name", "moderato")
    assert pipeline.refusal(*words) == ("no role, bucket and group: give --stack, or --role, --bucket and --group")
    assert pipeline.refusal(*words, "--role", ROLE, "--group", "g") == "no bucket: give --stack, or --bucket"
    assert pipeline.aws.calls == []


DEFINITION = (
    "definition", "--image", IMAGE, "--predict-image", PREDICT, "--name", "moderato", "--role", ROLE,
    "--bucket", BUCKET, "--group", "moderato-models",
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--subnet", "subnet-1"), "--subnet needs --security-group: a job in a VPC has both"),
        (("--role", "foo"), "role 'foo' is no ARN of a role: give it as arn:aws:iam::ACCOUNT:role/NAME"),
        (("--instance-type", "g5.xlarge"), "that SageMaker trains on: did you mean ml.g5.xlarge or"),
        (("--stage-instance-type", "laptop"), "'laptop' is no instance type that SageMaker processes on"),
        (("--image", "foo"), "alone SageMaker trains: ACCOUNT.dkr.ecr.eu-west-1.amazon"),
        (("--predict-image", "foo"), "image 'foo' is not in a private ECR registry"),
        (("--trials", "5"), "--trials is about a search: give --tune, or leave it out"),
        (("--parallel", "1"), "--parallel is about a search: give --tune, or leave it out"),
        (("--bucket", "b"), "--bucket 'b' is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens"),
        (("--max-hours", "0"), "--max-hours 0: from a minute (0.02) to 672"),
    ],
)  # fmt: skip
def test_a_definition_is_looked_at_as_far_as_it_can_be_here(
    pipeline: Pipeline, words: tuple[str, ...], sentence: str
) -> None:
    assert sentence in pipeline.refusal(*DEFINITION, *words)
    assert pipeline.aws.calls == []


def test_a_definition_for_a_region_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = Pipeline(Aws(region="moon-1"), capsys).refusal(*DEFINITION)
    assert sentence == "'moon-1' is no region that SageMaker is in"


@pytest.mark.parametrize("words", [DEFINITION, UPSERT])
def test_without_the_sdk_the_right_python_is_named(
    pipeline: Pipeline, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sagemaker", None)
    assert pipeline.refusal(*words) == (
        "sagemaker is not installed here: run it with the Python of .venv-sagemaker, which "
        "`make sagemaker-environment` makes"
    )
    assert pipeline.aws.calls == []


def test_a_run_without_what_trains_names_the_right_python(pipeline: Pipeline, tmp_path: Path) -> None:
    words = ("run", "--labels", str(tmp_path), "--dataset", str(tmp_path), "--output", str(tmp_path / "runs"))
    assert pipeline.refusal(*words) == (
        "torch is not installed here: run it with the Python of .venv-train, which `make train` makes"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--labels", f"s3://{BUCKET}/none"),
            f"--labels: there is nothing under s3://{BUCKET}/none/",
        ),
        (
            ("--labels", f"s3://{BUCKET}/retraining/batches/000000-ended"),
            "000000-ended/ holds no accepted.jsonl and no erased.json: name the folder of a batch that still has its",
        ),
        (
            ("--dataset", f"s3://{BUCKET}/datasets/none"),
            f"--dataset: there is nothing under s3://{BUCKET}/datasets/none/",
        ),
        (("--champion", "models/1"), "--champion 'models/1' is no place in S3"),
        (("--instance-type", "ml.g5.xxlarge"), "'ml.g5.xxlarge' is no instance type that SageMaker trains on"),
        (("--instance-type", "ml.trn1.2xlarge"), "it has Trainium in place of a GPU; take ml.g5.xlarge"),
        (("--labels", "labels"), "--labels 'labels' is no place in S3"),
        (("--reason", "boredom"), "--reason 'boredom' is none of labels, weekly, drift, hand"),
        (("--labels-digest", "XYZ"), "--labels-digest has 12 to 64 hexadecimal digits, in small letters"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence(pipeline: Pipeline, words: tuple[str, ...], sentence: str) -> None:
    pipeline.aws.answer("sagemaker", "DescribePipeline", described())
    assert sentence in pipeline.refusal(*START, *words)


def test_a_pipeline_that_is_not_there_cannot_be_started(pipeline: Pipeline) -> None:
    assert pipeline.refusal(*START) == (
        f"there is no pipeline 'moderato' in {REGION}: `python -m training.pipeline upsert` makes it"
    )
