"""What a model registry is told of a challenger that is better: the CreateModelPackage request, by parts."""

from collections.abc import Mapping
from typing import Any

import msgspec

STATUS = "PendingManualApproval"
"""A person approves or rejects what the gate let through."""

INSTANCES = ("ml.c7i.large", "ml.c7i.xlarge", "ml.m7i.large")
"""Where the predict image may be hosted, or transform a batch: processors that multiply int8 (VNNI)."""

JSON = "application/json"


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A model package. In a pipeline, what is only known while it runs is a pipeline variable instead of a string."""

    group: str
    image: str
    """The image that serves it."""
    model_uri: Any
    """model.tar.gz in S3."""
    model_sha256: Any
    """The digest that its manifest is sealed with: the archive may be written again, what was approved may not."""
    statistics_uri: Any
    """model_statistics.json in S3."""
    generated_by: Any
    """The execution that made it."""
    dataset_uri: Any
    """The dataset version that it was trained on, and that the next one grows from."""
    labels_digest: Any
    reason: Any
    """What started the retraining: labels, weekly, drift or hand."""
    recipe: str
    git_commit: str
    is_smoke: bool = False
    """Whether the model is good for nothing."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What our own code reads off a package again."""
        return {
            "model_sha256": self.model_sha256,
            "dataset_uri": self.dataset_uri,
            "labels_digest": self.labels_digest,
            "git_commit": self.git_commit,
            "reason": self.reason,
            "recipe": self.recipe,
            **({"smoke": "good for nothing"} if self.is_smoke else {}),
        }

    @property
    def lineage(self) -> Mapping[str, Any]:
        """Which code and which execution it comes from."""
        return {"CommitId": self.git_commit, "GeneratedBy": self.generated_by}

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Where the challenger's figures are."""
        return {"ModelQuality": {"Statistics": {"ContentType": JSON, "S3Uri": self.statistics_uri}}}

    @property
    def container(self) -> dict[str, Any]:
        """The image and the model that belong together."""
        return {"Image": self.image, "ModelDataUrl": self.model_uri}

    def request(self) -> dict[str, Any]:
        """Return the CreateModelPackage request."""
        return {
            "ModelPackageGroupName": self.group,
            "ModelMetrics": self.metrics,
            "MetadataProperties": self.lineage,
            "CustomerMetadataProperties": self.metadata,
            "InferenceSpecification": {
                "Containers": [self.container],
                "SupportedContentTypes": [JSON],
                "SupportedResponseMIMETypes": [JSON],
                "SupportedRealtimeInferenceInstanceTypes": list(INSTANCES),
                "SupportedTransformInstanceTypes": list(INSTANCES),
            },
            "ModelApprovalStatus": STATUS,
            "SkipModelValidation": "None",
        }
