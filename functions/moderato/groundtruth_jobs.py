"""Labeling jobs: the files that one reads, where they lie, and the request that creates it."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from moderato.groundtruth import ATTRIBUTE, NONE, dump_line
from moderato.reviews import Review

MAX_LINE_CHARACTERS = 100_000
MAX_ATTRIBUTE_CHARACTERS = 20_000
"""Ground Truth's limits. It does not say whether it counts before or after escaping: ours hold for what is longer,
so a text of 20,000 characters fits if it is ASCII, and one of 1,667 fits whatever its letters."""
MIN_LABELS, MAX_LABELS = 2, 50
MAX_REVIEWS = 100_000
"""The objects that one labeling job may have."""

INPUT, LABELS, TEMPLATES, QUARANTINE, OUTPUT = (
    f"labeling/{folder}" for folder in ("input", "labels", "templates", "quarantine", "output")
)
"""Where a job's files lie. Erasure does not reach them: the bucket's lifecycle rule expires `labeling/`."""

LAMBDA_ACCOUNTS = {
    "ap-northeast-1": "477331159723",
    "ap-northeast-2": "845288260483",
    "ap-south-1": "565803892007",
    "ap-southeast-1": "377565633583",
    "ap-southeast-2": "454466003867",
    "ca-central-1": "918755190332",
    "eu-central-1": "203001061592",
    "eu-west-1": "568282634449",
    "eu-west-2": "487402164563",
    "us-east-1": "432418664414",
    "us-east-2": "266458841044",
    "us-west-2": "081040173940",
}
"""The AWS account that owns Ground Truth's own functions, by region (API_HumanTaskConfig)."""


@dataclass(frozen=True)
class Task:
    """How a job is to be done: where, by whom, and how many answers a text gets within which time."""

    region: str
    bucket: str
    role: str
    """ARN of the role that lets Ground Truth read and write the bucket."""
    workteam: str
    """ARN of the team that annotates."""
    annotators: int = 3
    answer_seconds: int = 600
    available_seconds: int = 10 * 24 * 3600
    """How long a text waits for its annotators; ten days are the most that a private team may have."""
    encryption_key: str | None = None


@dataclass(frozen=True)
class Inputs:
    """The keys of the files that a job reads."""

    manifest: str
    labels: str
    template: str


def fits(review: Review) -> bool:
    """Return whether a review's text is short enough for a labeling job; one that is not waits for the console."""
    escaped = len(json.dumps(review.text)) - 2  # without the quotes
    return escaped <= MAX_ATTRIBUTE_CHARACTERS and len(_input_line(review)) <= MAX_LINE_CHARACTERS


def input_manifest(reviews: Iterable[Review]) -> bytes:
    """Return the input manifest: a line for each review that fits."""
    lines = [_input_line(review) for review in reviews if fits(review)]
    return b"".join(line + b"\n" for line in lines)


def labels_file(categories: Sequence[str]) -> bytes:
    """Return the labels that annotators choose from: the categories, and `none`. Raises ValueError for too many."""
    labels = label_names(categories)
    content = {"document-version": "2018-11-28", "labels": [{"label": name} for name in labels]}
    return json.dumps(content, separators=(",", ":")).encode()


def label_names(categories: Sequence[str]) -> list[str]:
    """Return the categories and `none`. Raises ValueError when Ground Truth would not take them."""
    labels = [*categories, NONE]
    if not MIN_LABELS <= len(labels) <= MAX_LABELS:
        raise ValueError(f"a labeling job has 1 to {MAX_LABELS - 1} categories, and this model has {len(categories)}")
    if len(set(labels)) != len(labels):
        raise ValueError(f"categories must differ, and none may be called {NONE!r}")
    return labels


def labeling_job(name: str, inputs: Inputs, task: Task) -> dict[str, Any]:
    """Return the request that creates a labeling job (CreateLabelingJob). Raises ValueError for an unknown region."""
    location = f"s3://{task.bucket}"
    output: dict[str, str] = {"S3OutputPath": f"{location}/{OUTPUT}/"}
    if task.encryption_key is not None:
        output["KmsKeyId"] = task.encryption_key
    return {
        "LabelingJobName": name,
        "LabelAttributeName": ATTRIBUTE,
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": f"{location}/{inputs.manifest}"}}},
        "OutputConfig": output,
        "RoleArn": task.role,
        "LabelCategoryConfigS3Uri": f"{location}/{inputs.labels}",
        "HumanTaskConfig": {
            "WorkteamArn": task.workteam,
            "UiConfig": {"UiTemplateS3Uri": f"{location}/{inputs.template}"},
            "PreHumanTaskLambdaArn": _function("PRE", task.region),
            "TaskKeywords": ["text", "moderation"],
            "TaskTitle": "Which categories does a text belong to?",
            "TaskDescription": "Read one text and choose every category that it belongs to, or none. Texts may offend.",
            "NumberOfHumanWorkersPerDataObject": task.annotators,
            "TaskTimeLimitInSeconds": task.answer_seconds,
            "TaskAvailabilityLifetimeInSeconds": task.available_seconds,
            "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": _function("ACS", task.region)},
        },
        "Tags": [{"Key": "project", "Value": "moderato"}],
    }


def job_name(review_ids: Sequence[str], now: datetime) -> str:
    """Return a job's name: the same reviews at the same time get the same, and any others another.

    The time is in it because a name can be used once only, and reviews whose job failed go into another.
    """
    hashed = hashlib.sha256(json.dumps([now.isoformat(), *review_ids]).encode()).hexdigest()
    return f"moderato-{now:%Y%m%d-%H%M%S}-{hashed[:20]}"


def content_key(folder: str, content: bytes, suffix: str) -> str:
    """Return the key of an object: its name is the hash of what is in it, so that a retry writes the same."""
    return f"{folder}/{hashlib.sha256(content).hexdigest()}.{suffix}"


def output_key(job: str) -> str:
    """Return the key of a finished job's output manifest."""
    return f"{OUTPUT}/{job}/manifests/output/output.manifest"


def responses_prefix(job: str) -> str:
    """Return what the keys of a job's per-annotator answers begin with."""
    return f"{OUTPUT}/{job}/annotations/worker-response/"


def manifest_key(description: Any, bucket: str) -> str | None:  # noqa: ANN401  # the answer of DescribeLabelingJob
    """Return the key of the input manifest that a job was created with; None when it is none of ours."""
    uri = description["InputConfig"]["DataSource"].get("S3DataSource", {}).get("ManifestS3Uri", "")
    location = f"s3://{bucket}/"
    return uri.removeprefix(location) if uri.startswith(f"{location}{INPUT}/") else None


def item_ids(manifest: Iterable[bytes]) -> list[str]:
    """Return the review ids of an input manifest, in its order: per-annotator answers go by the number of the line."""
    return [msgspec.json.decode(line, type=_Item).id for line in manifest]


class _Item(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="item-id")


def _input_line(review: Review) -> bytes:
    return dump_line({"source": review.text, "item-id": review.review_id})


def _function(kind: str, region: str) -> str:
    account = LAMBDA_ACCOUNTS.get(region)
    if account is None:
        raise ValueError(f"Ground Truth has no text tasks in this region; it has them in {', '.join(LAMBDA_ACCOUNTS)}")
    return f"arn:aws:lambda:{region}:{account}:function:{kind}-TextMultiClassMultiLabel"
