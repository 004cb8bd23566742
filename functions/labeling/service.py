"""The labeling service: what is needed of SageMaker's client, and a job as it describes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from moderato.groundtruth_jobs import manifest_key


class SageMaker(Protocol):
    """What is needed of boto3's client of SageMaker."""

    exceptions: Any

    def create_labeling_job(self, **request: object) -> Mapping[str, Any]:
        """CreateLabelingJob."""

    def describe_labeling_job(self, **request: object) -> Mapping[str, Any]:
        """DescribeLabelingJob."""


class Outcome(StrEnum):
    """What has become of a labeling job."""

    UNDER_WAY = "under way"
    COMPLETED = "completed"
    FAILED = "failed"


_OUTCOMES = {"Completed": Outcome.COMPLETED, "Failed": Outcome.FAILED, "Stopped": Outcome.FAILED}


@dataclass(frozen=True)
class Job:
    """A labeling job that exists: what became of it, what it was given to label, and when it last changed."""

    outcome: Outcome
    manifest: str | None
    """Key of its input manifest, if that is one of ours."""
    changed: datetime


def describe(sagemaker: SageMaker, name: str, bucket: str) -> Job | None:
    """Return what became of a job, or None when there is none of this name."""
    try:
        described = sagemaker.describe_labeling_job(LabelingJobName=name)
    except sagemaker.exceptions.ResourceNotFound:
        return None
    outcome = _OUTCOMES.get(described["LabelingJobStatus"], Outcome.UNDER_WAY)
    return Job(outcome, manifest_key(described, bucket), described["LastModifiedTime"].astimezone(UTC))
