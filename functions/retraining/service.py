"""SageMaker, as far as retraining needs it."""

from collections.abc import Mapping
from typing import Any, Protocol


class SageMaker(Protocol):
    """What is needed of boto3's client of SageMaker."""

    exceptions: Any

    def start_pipeline_execution(self, **request: object) -> Mapping[str, Any]:
        """StartPipelineExecution."""

    def list_pipeline_executions(self, **request: object) -> Mapping[str, Any]:
        """ListPipelineExecutions."""

    def describe_pipeline_execution(self, **request: object) -> Mapping[str, Any]:
        """DescribePipelineExecution."""

    def list_pipeline_execution_steps(self, **request: object) -> Mapping[str, Any]:
        """ListPipelineExecutionSteps."""

    def list_model_packages(self, **request: object) -> Mapping[str, Any]:
        """ListModelPackages."""

    def describe_model_package(self, **request: object) -> Mapping[str, Any]:
        """DescribeModelPackage."""
