"""The pipeline's definition: the same bytes wherever it is built, and arguments that each service call would take."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cloud.aws import ACCOUNT, BUCKET, IMAGE, REGION, ROLE, Aws
from tests.service_models import complaints
from training.jobs import Network
from training.pipeline_definition import define
from training.pipeline_settings import Settings
from training.registration import Registration

ROOT = Path(__file__).parents[2]
PREDICT = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/moderato-predict:1"
DIGEST = "5f" * 32
SETTINGS = Settings(
    name="moderato",
    role=ROLE,
    bucket=BUCKET,
    group="moderato-models",
    image=IMAGE,
    predict_image=PREDICT,
    dataset_uri=f"s3://{BUCKET}/datasets/starter/06eb3236a6a9/",
    champion_uri=f"s3://{BUCKET}/models/starter-2.0.0/model.tar.gz",
    git_commit="c" * 40,
)
EVERYTHING = msgspec.structs.replace(
    SETTINGS,
    instance_type="ml.c7i.4xlarge",
    spot=True,
    sources_uri=f"s3://{BUCKET}/sources",
    volume_key=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
    output_key=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/2",
    network=Network(subnets=("subnet-0123456789abcdef0",), security_groups=("sg-0123456789abcdef0",)),
    tracking_server=f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-tracking-server/moderato",
    tags={"team": "trust and safety"},
)
EXECUTION = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/moderato/execution/abcdefghijkl"

# What the service puts in the place of each reference while an execution runs.
KNOWN = {
    "Parameters.LabelsUri": f"s3://{BUCKET}/retraining/batches/000001-5f5f5f5f5f5f",
    "Parameters.LabelsDigest": DIGEST,
    "Parameters.DatasetUri": SETTINGS.dataset_uri,
    "Parameters.ChampionUri": SETTINGS.champion_uri,
    "Parameters.Reason": "labels",
    "Parameters.InstanceType": "ml.g6.xlarge",
    "Execution.PipelineExecutionArn": EXECUTION,
    "Steps.PrepareDataset.ProcessingOutputConfig.Outputs['dataset'].S3Output.S3Uri": f"s3://{BUCKET}/retraining/{DIGEST}/dataset",
    "Steps.TrainChallenger.ModelArtifacts.S3ModelArtifacts": (
        f"s3://{BUCKET}/retraining/{DIGEST}/model/pipelines-abc-TrainChallenger-1/output/model.tar.gz"
    ),
    "Steps.TuneChallenger.TrainingJobSummaries[0].TrainingJobName": "240101-0000-007-0a1b2c3d",
    "Steps.EvaluateChallenger.ProcessingOutputConfig.Outputs['evaluation'].S3Output.S3Uri": (
        f"s3://{BUCKET}/retraining/{DIGEST}/evaluation"
    ),
    "Steps.EvaluateChallenger.ExitMessage": "macro-F1: 0.5 against the champion's 0.6; it must be at most 0.01 lower.",
}
EVALUATED = {"challenger.sha256": "7e" * 32}
"""What the evaluation leaves in the file that decides, by the paths in it."""
CALLS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "Tuning": ("CreateHyperParameterTuningJob", "HyperParameterTuningJobName"),
    "RegisterModel": ("CreateModelPackage", None),
}


@cache  # the SDK takes some seconds for each
def built(settings: str = "plain", training: str = "train") -> dict[str, Any]:
    """Return a definition; nothing is called."""
    aws = Aws()
    chosen = msgspec.structs.replace({"plain": SETTINGS, "everything": EVERYTHING}[settings], tune=training == "tune")
    definition: dict[str, Any] = json.loads(define(chosen, aws.session))
    assert aws.calls == []
    return definition


def resolved(value: Any) -> Any:
    """Return a value of a definition as an execution sees it."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"}:
            return KNOWN[value["Get"]]
        if set(value) == {"Std:JsonGet"}:
            assert value["Std:JsonGet"]["PropertyFile"] == {"Get": "Steps.EvaluateChallenger.PropertyFiles.Evaluation"}
            return EVALUATED[value["Std:JsonGet"]["Path"]]
        if set(value) == {"Std:Join"}:
            return value["Std:Join"]["On"].join(resolved(each) for each in value["Std:Join"]["Values"])
        return {name: resolved(each) for name, each in value.items()}
    return [resolved(each) for each in value] if isinstance(value, list) else value


def steps(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every step, those of the condition's branches included."""
    for step in definition["Steps"]:
        yield step
        yield from (*step["Arguments"].get("IfSteps", ()), *step["Arguments"].get("ElseSteps", ()))


def step(definition: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a step by its name."""
    return next(each for each in steps(definition) if each["Name"] == name)


def references(value: Any) -> set[str]:
    """Return the names of the steps that a value speaks of."""
    return set(re.findall(r'"Get": "Steps\.(\w+)\.', json.dumps(value)))


@pytest.mark.parametrize("training", ["train", "tune"])
def test_the_definition(snapshot: SnapshotAssertion, training: str) -> None:
    assert built("everything", training) == snapshot


@pytest.mark.parametrize(
    ("settings", "training"), [("plain", "train"), ("everything", "train"), ("everything", "tune")]
)
def test_every_step_s_arguments_are_a_request_that_the_service_takes(settings: str, training: str) -> None:
    definition = built(settings, training)
    checked = []
    for each in steps(definition):
        if each["Type"] not in CALLS:
            continue
        operation, name = CALLS[each["Type"]]
        # The service gives each job its name.
        request = resolved(each["Arguments"]) | ({} if name is None else {name: "pipelines-abc-1"})
        assert complaints("sagemaker", operation, request) == [], each["Name"]
        checked.append(each["Name"])
    assert checked == ["PrepareDataset", f"{training.title()}Challenger", "EvaluateChallenger", "RegisterChallenger"]


def test_two_processes_build_the_same_bytes(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "training.pipeline", "definition", "--name", "moderato", "--role", ROLE,
        "--bucket", BUCKET, "--group", "moderato-models", "--image", IMAGE, "--predict-image", PREDICT,
        "--tune", "--spot", "--tag", "a=b", "--tag", "c=d",
    ]  # fmt: skip
    started = []
    for seed, folder in (("1", ROOT), ("2", tmp_path)):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}",
            "PYTHONHASHSEED": seed,
            # A call to AWS, or to whatever else, would go here and fail.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        started.append(
            subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    ended = [process.communicate() for process in started]
    assert [(process.returncode, errors) for process, (_, errors) in zip(started, ended, strict=True)] == [(0, b"")] * 2
    outputs = [output for output, _ in ended]
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["Version"] == "2020-12-01"


def test_a_challenger_that_is_not_better_leads_to_the_end_and_nowhere_else() -> None:
    definition = built()
    condition = step(definition, "IsBetter")["Arguments"]
    assert [each["Name"] for each in definition["Steps"]] == [
        "PrepareDataset", "TrainChallenger", "EvaluateChallenger", "IsBetter",
    ]  # fmt: skip
    assert [each["Name"] for each in condition["IfSteps"]] == ["RegisterChallenger"]
    assert [(each["Name"], each["Type"]) for each in condition["ElseSteps"]] == [("KeepChampion", "Fail")]
    (test,) = condition["Conditions"]
    assert test == {
        "Type": "Equals",
        "LeftValue": {
            "Std:JsonGet": {
                "PropertyFile": {"Get": "Steps.EvaluateChallenger.PropertyFiles.Evaluation"},
                "Path": "promoted",
            }
        },
        "RightValue": True,
    }
    (file,) = step(definition, "EvaluateChallenger")["PropertyFiles"]
    assert file == {"PropertyFileName": "Evaluation", "OutputName": "evaluation", "FilePath": "evaluation.json"}


def test_the_end_tells_the_reason_and_where_the_report_is() -> None:
    message = step(built(), "KeepChampion")["Arguments"]["ErrorMessage"]
    assert resolved(message) == (
        "The champion stays: macro-F1: 0.5 against the champion's 0.6; it must be at most 0.01 lower. "
        f"Report: s3://{BUCKET}/retraining/{DIGEST}/evaluation/report.md"
    )
    # AWS documents parameters, properties and Join in the message of a Fail step, and nothing else.
    assert "Std:JsonGet" not in json.dumps(message)


@pytest.mark.parametrize("training", ["train", "tune"])
def test_each_step_waits_for_those_whose_results_it_reads(training: str) -> None:
    definition, training = built("everything", training), f"{training.title()}Challenger"
    assert references(step(definition, "PrepareDataset")) == set()
    assert references(step(definition, training)) == {"PrepareDataset"}
    assert references(step(definition, "EvaluateChallenger")) == {"PrepareDataset", training}
    assert references(step(definition, "RegisterChallenger")) == {"PrepareDataset", training, "EvaluateChallenger"}


def test_steps_whose_arguments_are_the_same_are_not_run_again() -> None:
    definition = built()
    cached = {
        each["Name"]
        for each in steps(definition)
        if each.get("CacheConfig") == {"Enabled": True, "ExpireAfter": "P30D"}
    }
    assert cached == {"PrepareDataset", "TrainChallenger", "EvaluateChallenger"}
    assert step(definition, "PrepareDataset")["Arguments"]["Environment"] == {
        "LABELS_DIGEST": {"Get": "Parameters.LabelsDigest"}
    }


def test_every_job_is_tried_again_after_a_throttle_or_for_want_of_machines() -> None:
    for each in steps(built()):
        if each["Type"] in ("Processing", "Training"):
            tried = {kind for policy in each["RetryPolicies"] for kind in policy["ExceptionType"]}
            assert tried == {
                "Step.SERVICE_FAULT", "Step.THROTTLING", "SageMaker.RESOURCE_LIMIT", "SageMaker.CAPACITY_ERROR",
                "SageMaker.JOB_INTERNAL_ERROR",
            }  # fmt: skip


@pytest.mark.parametrize("training", ["train", "tune"])
def test_every_job_has_the_tag_without_which_the_role_starts_none(training: str) -> None:
    jobs = [
        each for each in steps(built("everything", training)) if each["Type"] in ("Processing", "Training", "Tuning")
    ]
    assert len(jobs) == 3
    for job in jobs:
        assert {"Key": "project", "Value": "moderato"} in job["Arguments"]["Tags"]


def test_what_spot_interrupts_goes_on_from_the_checkpoints_of_its_own_batch() -> None:
    plain = step(built(), "TrainChallenger")["Arguments"]
    assert "CheckpointConfig" not in plain
    on_spot = step(built("everything"), "TrainChallenger")["Arguments"]
    assert on_spot["EnableManagedSpotTraining"] is True
    assert on_spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 14400, "MaxWaitTimeInSeconds": 28800}
    place = resolved(on_spot["CheckpointConfig"]["S3Uri"])
    assert re.fullmatch(rf"s3://{BUCKET}/retraining/{DIGEST}/checkpoints/[0-9a-f]{{12}}", place)


@pytest.mark.parametrize(
    "change", [{"image": IMAGE.replace(":1", ":2")}, {"recipe": "starter"}, {"git_commit": "d" * 40}]
)
def test_what_another_code_began_is_not_gone_on_with(change: dict[str, str]) -> None:
    digest = EVERYTHING.training_digest
    assert msgspec.structs.replace(EVERYTHING, **change).training_digest != digest
    assert msgspec.structs.replace(EVERYTHING, name="other", tags={}).training_digest == digest


def test_the_best_trial_s_model_goes_on() -> None:
    definition = built("everything", "tune")
    inputs = step(definition, "EvaluateChallenger")["Arguments"]["ProcessingInputs"]
    model = f"s3://{BUCKET}/retraining/{DIGEST}/model/240101-0000-007-0a1b2c3d/output/model.tar.gz"
    assert [resolved(each["S3Input"]["S3Uri"]) for each in inputs if each["InputName"] == "challenger"] == [model]
    registered = resolved(step(definition, "RegisterChallenger")["Arguments"])
    assert registered["InferenceSpecification"]["Containers"] == [{"Image": PREDICT, "ModelDataUrl": model}]


def test_a_package_waits_for_a_person_and_tells_what_it_came_from() -> None:
    package = resolved(step(built(), "RegisterChallenger")["Arguments"])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"] == {
        "model_sha256": "7e" * 32,
        "dataset_uri": f"s3://{BUCKET}/retraining/{DIGEST}/dataset",
        "labels_digest": DIGEST,
        "git_commit": "c" * 40,
        "reason": "labels",
        "recipe": "starter-next",
    }
    assert package["MetadataProperties"] == {"CommitId": "c" * 40, "GeneratedBy": EXECUTION}
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].endswith(
        f"/{DIGEST}/evaluation/model_statistics.json"
    )


def test_what_a_laptop_writes_down_is_what_the_pipeline_registers() -> None:
    package = resolved(step(built(), "RegisterChallenger")["Arguments"])
    written = Registration(
        group="moderato-models",
        image=PREDICT,
        model_uri=KNOWN["Steps.TrainChallenger.ModelArtifacts.S3ModelArtifacts"],
        model_sha256="7e" * 32,
        statistics_uri=f"s3://{BUCKET}/retraining/{DIGEST}/evaluation/model_statistics.json",
        generated_by=EXECUTION,
        dataset_uri=f"s3://{BUCKET}/retraining/{DIGEST}/dataset",
        labels_digest=DIGEST,
        reason="labels",
        recipe="starter-next",
        git_commit="c" * 40,
    )
    assert written.request() == package
    assert complaints("sagemaker", "CreateModelPackage", written.request()) == []
    smoke = msgspec.structs.replace(written, is_smoke=True).request()
    assert smoke["CustomerMetadataProperties"] == package["CustomerMetadataProperties"] | {"smoke": "good for nothing"}
    assert complaints("sagemaker", "CreateModelPackage", smoke) == []
