"""Packages of the model registry: which one is the champion, and which were approved or rejected, and why."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from moderato.objects import UnknownObject
from moderato.telemetry import Count
from retraining.bucket import Bucket
from retraining.service import SageMaker

FOLDER = "retraining/packages"
DATASET_URI = "dataset_uri"
"""The property by which a package names the dataset version that its model was trained on."""
LABELS_DIGEST = "labels_digest"
"""The property by which a package names the batch that its model was trained for."""

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:model-package/([A-Za-z0-9-]{1,63})/([0-9]{1,9})")
_MOST_LOOKS = 5


class Decision(StrEnum):
    """What was decided about a package, in SageMaker's words."""

    APPROVED = "Approved"
    REJECTED = "Rejected"


_METRICS = {Decision.APPROVED: "package_approved", Decision.REJECTED: "package_rejected"}


@dataclass(frozen=True)
class Champion:
    """The model that a challenger has to beat, and what it was trained on; None = the pipeline's own default."""

    model_uri: str | None = None
    dataset_uri: str | None = None


class PackageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a decision about a package."""

    version: int
    package_arn: str
    decision: Decision
    reason: str | None
    """What whoever decided wrote with it (`ApprovalDescription`)."""
    changed: str
    labels_digest: str | None
    """Which batch's model it is."""


class Packages:
    """The packages of one group. What SageMaker says when asked counts, whatever an event said."""

    def __init__(self, sagemaker: SageMaker, bucket: Bucket, group: str, logger: Logger, count: Count) -> None:
        """Ask for the packages of `group`, and keep records in `bucket`."""
        self._sagemaker, self._bucket, self._group = sagemaker, bucket, group
        self._logger, self._count = logger, count

    def champion(self) -> Champion:
        """Return the newest approved package's model and dataset, as far as there is any."""
        newest = next(self._approved(), None)
        if newest is None:
            return Champion()
        described = self._sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
        containers = described.get("InferenceSpecification", {}).get("Containers", [])
        return Champion(
            model_uri=next((one["ModelDataUrl"] for one in containers if one.get("ModelDataUrl")), None),
            dataset_uri=described.get("CustomerMetadataProperties", {}).get(DATASET_URI),
        )

    def record(self, event: Mapping[str, Any]) -> None:
        """Record what was decided about the package that an event names, if that is one of ours."""
        arn = self._ours(event)
        if arn is None:
            self._logger.info("package_event_ignored")
            self._count("package_event_ignored")
            return
        # Looked at again after each write: of several that met, the last to look sees that all is as it should be.
        for _ in range(_MOST_LOOKS):
            found = self._found(arn)
            stored = None if found is None else self._stored(found.version)
            if found is None or found == stored:
                return
            self._bucket.replace(_key(found.version), msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            if stored is None or (stored.decision, stored.reason) != (found.decision, found.reason):
                self._logger.info(_METRICS[found.decision], extra={"version": found.version})
                self._count(_METRICS[found.decision])

    def _approved(self) -> Iterator[Mapping[str, Any]]:
        request: dict[str, object] = {
            "ModelPackageGroupName": self._group,
            "ModelApprovalStatus": "Approved",
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
        }
        while True:
            page = self._sagemaker.list_model_packages(**request)
            yield from page["ModelPackageSummaryList"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def _ours(self, event: Mapping[str, Any]) -> str | None:
        detail = event.get("detail")
        arn = detail.get("ModelPackageArn") if isinstance(detail, Mapping) else None
        match = _ARN.fullmatch(arn) if isinstance(arn, str) else None
        return match[0] if match and match[1] == self._group else None

    def _found(self, arn: str) -> PackageRecord | None:
        """Return what SageMaker says was decided; None where nothing is yet."""
        described = self._sagemaker.describe_model_package(ModelPackageName=arn)
        if described.get("ModelApprovalStatus") not in tuple(Decision):
            return None
        return PackageRecord(
            version=described["ModelPackageVersion"],
            package_arn=arn,
            decision=Decision(described["ModelApprovalStatus"]),
            reason=described.get("ApprovalDescription"),
            changed=described.get("LastModifiedTime", described["CreationTime"]).astimezone(UTC).isoformat(),
            labels_digest=described.get("CustomerMetadataProperties", {}).get(LABELS_DIGEST),
        )

    def _stored(self, version: int) -> PackageRecord | None:
        try:
            return msgspec.json.decode(self._bucket.get(_key(version)), type=PackageRecord)
        except UnknownObject:
            return None


def _key(version: int) -> str:
    return f"{FOLDER}/{version}.json"
