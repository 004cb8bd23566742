"""`python -m training.launch` as a person types it, in an AWS account that answers from this process."""

import io
import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cloud.aws import BUCKET, IMAGE, REGION, ROLE, Aws, Failed
from training.launch import main

DATASET = f"s3://{BUCKET}/datasets/starter/1"
CHAMPION = f"s3://{BUCKET}/models/starter-2.0.0/model.tar.gz"
OUTPUT = f"s3://{BUCKET}/training"

WHERE = ("--image", IMAGE, "--role", ROLE, "--output", OUTPUT)
GIVEN = (*WHERE, "--dataset", DATASET, "--champion", CHAMPION)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """What a command left on the screen."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Launcher:
    """The command, at a terminal whose lines can be read."""

    aws: Aws
    screen: pytest.CaptureFixture[str]
    environment: pytest.MonkeyPatch

    def __call__(self, *words: str, typed: str = "") -> Outcome:
        """Run the command; `typed` is what a person answers."""
        self.environment.setattr(sys, "stdin", io.StringIO(typed))
        self.environment.setenv("COLUMNS", "160")
        return run(lambda: main(words, lambda *_: self.aws.session), self.screen)

    def refusal(self, *words: str) -> str:
        """Return the one sentence of a command that must fail before anything is started."""
        outcome = self(*words, "--yes", "--no-wait")
        assert outcome.code == 1
        assert self.aws.started() == []
        lines = outcome.err.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0].removeprefix("launch: ")


def run(command: Callable[[], None], screen: pytest.CaptureFixture[str]) -> Outcome:
    """Run a command to its end, as Python ends it."""
    try:
        command()
    except SystemExit as ended:
        code, said = (ended.code, "") if isinstance(ended.code, int) else (1, str(ended.code))
    else:
        code, said = 0, ""
    read = screen.readouterr()
    return Outcome(code, read.out, read.err + said)


def settle(aws: Aws) -> None:
    """Put in place what the commands of these tests name, and let jobs run to their end."""
    aws.put("datasets/starter/1/dataset.json")
    aws.put("datasets/starter/1/train.jsonl")
    aws.put("models/starter-2.0.0/model.tar.gz")
    aws.answer("sagemaker", "CreateTrainingJob", {"TrainingJobArn": "arn"})
    aws.answer("sagemaker", "DescribeTrainingJob", lambda request: job(request["TrainingJobName"]))
    aws.answer("sagemaker", "CreateHyperParameterTuningJob", {"HyperParameterTuningJobArn": "arn"})
    aws.answer("sagemaker", "DescribeHyperParameterTuningJob", lambda request: search(aws, request))


def search(aws: Aws, request: Mapping[str, Any]) -> dict[str, Any] | Failed:
    """Return a tuning job's description once it was started."""
    name = request["HyperParameterTuningJobName"]
    started = [
        each["HyperParameterTuningJobName"] for each in aws.requests("sagemaker", "CreateHyperParameterTuningJob")
    ]
    if name not in started:
        return Failed("ResourceNotFound")
    return {"HyperParameterTuningJobName": name, "HyperParameterTuningJobStatus": "InProgress"}


def job(name: str, status: str = "Completed", **changes: Any) -> dict[str, Any]:
    """Return a description of a job that took 1,000 s, of which spot made 300 s billable."""
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:training-job/{name}",
        "TrainingJobStatus": status,
        "SecondaryStatus": status,
        "ModelArtifacts": {"S3ModelArtifacts": f"{OUTPUT}/{name}/output/model.tar.gz"},
        "HyperParameters": {"recipe": "starter-next"},
        "InputDataConfig": [channel("dataset", f"{DATASET}/"), channel("champion", CHAMPION)],
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 50},
        "EnableManagedSpotTraining": True,
        "TrainingTimeInSeconds": 1000,
        "BillableTimeInSeconds": 300,
        **changes,
    }


SEARCHED = {"learning_rate", "batch_size", "max_tokens", "weight_decay", "class_weight_power", "max_class_weight"}
HELD = {
    "accumulation": "1", "bf16": "true", "checkpoint_steps": "200", "epochs": "1", "evaluations_per_epoch": "4",
    "layer_decay": "1.0", "patience": "0", "recipe": "starter-next", "repeat": "3", "replay": "2000", "seed": "20",
    "share": "0.4", "warmup_share": "0.06", "_tuning_objective_metric": "eval_mean_roc_auc",
}  # fmt: skip
"""What a search of starter-next searches and holds, and what SageMaker adds."""


def parent(
    status: str,
    objective: str = "eval_mean_roc_auc",
    held: Mapping[str, str] = HELD,
    searched: Collection[str] = frozenset(SEARCHED),
) -> dict[str, Any]:
    """Return a description of an earlier search."""
    ranges = [{"Name": name, "MinValue": "0", "MaxValue": "1"} for name in sorted(searched)]
    return {
        "HyperParameterTuningJobName": "old",
        "HyperParameterTuningJobStatus": status,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "ResourceLimits": {"MaxParallelTrainingJobs": 2},
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": objective},
            "ParameterRanges": {"ContinuousParameterRanges": ranges},
        },
        "TrainingJobDefinition": {"StaticHyperParameters": dict(held)},
    }


def stack() -> dict[str, Any]:
    """Return a description of a deployed stack with a training role."""
    outputs = [
        {"OutputKey": "BucketName", "OutputValue": BUCKET},
        {"OutputKey": "TrainingRoleArn", "OutputValue": ROLE},
    ]
    described = {"StackName": "moderato", "CreationTime": "2026-11-22", "StackStatus": "CREATE_COMPLETE"}
    return {"Stacks": [{**described, "Outputs": outputs}]}


def channel(name: str, uri: str) -> dict[str, Any]:
    """Return a channel of a described job."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def epoch(minutes: float) -> float:
    """Seconds since 1970 of so many minutes past noon, as SageMaker writes times."""
    return NOON.timestamp() + 60 * minutes


def named(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request with RUN and TIME in place of what is new each time."""
    text = re.sub(r"(starter-next|olid)-[0-9a-f]{8}", "RUN", json.dumps(request))
    found: dict[str, Any] = json.loads(re.sub(r"RUN-\d{14}", "RUN-TIME", text))
    return found


def without(words: Sequence[str], option: str) -> list[str]:
    """Return words without an option and its value."""
    place = list(words).index(option)
    return [*words[:place], *words[place + 2 :]]
