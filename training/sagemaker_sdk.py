"""A job as sagemaker's SDK starts it: the one module of the commands that imports the SDK, inside its functions.

Whoever imports this says to the SDK that it reports to nobody, reads no defaults but ours, and leaves it to us to look
at roles: by the environment, which is all that it asks.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.account import not_installed
from training.jobs import Job, Refused, Search
from training.space import Choice, IntRange, Range

DEFAULTS = Path(__file__).with_name("sagemaker.yaml")

os.environ["SAGEMAKER_ADMIN_CONFIG_OVERRIDE"] = str(DEFAULTS)
os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(DEFAULTS)
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"

KEPT_OUT = "sagemaker.* has been moved to .*"
"""The SDK warns of its own imports."""


def require() -> None:
    """Raise Refused where the SDK is not installed, without the seconds that its import takes."""
    if importlib.util.find_spec("sagemaker") is None:
        raise Refused(not_installed("sagemaker"))


def open_session(boto_session: Any, bucket: str) -> Any:
    """Return the SDK's session over a boto3 session; `bucket` is named so that none is looked for, or made."""
    with _imported():
        from sagemaker.core.helper.session_helper import Session
    return Session(boto_session=boto_session, default_bucket=bucket)


def open_pipeline_session(boto_session: Any, bucket: str) -> Any:
    """Return a session under which `train` and `tune` start nothing and give a pipeline's step its arguments."""
    with _imported():
        from sagemaker.core.workflow.pipeline_context import PipelineSession
    return PipelineSession(boto_session=boto_session, default_bucket=bucket)


def trainer(job: Job, metrics: Mapping[str, str], session: Any, name: str) -> Any:
    """Return the ModelTrainer of a job; its job is called NAME and the time. No code goes with it: the image has it."""
    with _imported():
        from sagemaker.core.training.configs import (
            CheckpointConfig,
            Compute,
            MetricDefinition,
            Networking,
            OutputDataConfig,
            StoppingCondition,
            Tag,
        )
        from sagemaker.train.model_trainer import ModelTrainer
    volume_key = {} if job.volume_key is None else {"volume_kms_key_id": job.volume_key}
    made = ModelTrainer(
        sagemaker_session=session,
        role=job.role,
        base_job_name=name,
        training_image=job.image,
        compute=Compute(
            instance_type=job.instance_type,
            instance_count=job.instances,
            volume_size_in_gb=job.volume_gigabytes,
            enable_managed_spot_training=job.spot,
            **volume_key,
        ),
        networking=Networking(
            subnets=list(job.network.subnets) or None,
            security_group_ids=list(job.network.security_groups) or None,
            enable_network_isolation=job.network.is_isolated,
            enable_inter_container_traffic_encryption=job.encrypts_traffic,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=job.max_seconds, max_wait_time_in_seconds=job.max_wait_seconds
        ),
        output_data_config=OutputDataConfig(
            s3_output_path=job.output, kms_key_id=job.output_key, compression_type="GZIP"
        ),
        input_data_config=_channels(job),
        checkpoint_config=None if job.checkpoints is None else CheckpointConfig(s3_uri=job.checkpoints),
        hyperparameters=dict(job.hyperparameters),
        environment=job.environment,
        tags=[Tag(key=key, value=value) for key, value in job.tags.items()],
    )
    return made.with_metric_definitions([MetricDefinition(name=name, regex=regex) for name, regex in metrics.items()])


def tuner(job: Job, metrics: Mapping[str, str], search: Search, session: Any, name: str) -> Any:
    """Return the HyperparameterTuner of a job: Bayesian, a trial that lags is stopped, all trials as the job says."""
    with _imported():
        from sagemaker.core.shapes import HyperParameterTuningJobWarmStartConfig, ParentHyperParameterTuningJob
        from sagemaker.train.tuner import HyperparameterTuner

    class Tuner(HyperparameterTuner):  # type: ignore[misc]  # the SDK is not where the types are checked
        """The SDK's, which forgets the key of the volumes, the isolation and the encryption between instances."""

        def _build_training_job_definition(self, inputs: Any) -> Any:
            definition = super()._build_training_job_definition(inputs)
            definition.enable_network_isolation = job.network.is_isolated
            definition.enable_inter_container_traffic_encryption = job.encrypts_traffic
            if job.volume_key is not None:
                definition.resource_config.volume_kms_key_id = job.volume_key
            return definition

    warm = None
    if search.parent is not None:
        warm = HyperParameterTuningJobWarmStartConfig(
            parent_hyper_parameter_tuning_jobs=[
                ParentHyperParameterTuningJob(hyper_parameter_tuning_job_name=search.parent)
            ],
            # The same space over perhaps newer data: what was learned is where to begin, not the truth.
            warm_start_type="TransferLearning",
        )
    return Tuner(
        model_trainer=trainer(job, {}, session, name),
        objective_metric_name=search.objective,
        hyperparameter_ranges={name: _range(values) for name, values in search.space.ranges.items()},
        metric_definitions=[{"Name": name, "Regex": regex} for name, regex in metrics.items()],
        strategy="Bayesian",
        objective_type="Maximize",
        max_jobs=search.trials,
        max_parallel_jobs=search.parallel,
        base_tuning_job_name=name,
        warm_start_config=warm,
        early_stopping_type="Auto",
    )


def request_of(boto_session: Any, start: Callable[[], object]) -> dict[str, Any]:
    """Return the request that `start` would send to SageMaker first, and send nothing: what the SDK made of a job."""
    with _imported():
        from sagemaker.core.utils.utils import SageMakerClient

    def stop(params: dict[str, Any], **_: object) -> None:
        raise _Unsent(params)

    # A client hears what its session was told before the client was made, and the SDK keeps its clients.
    SageMakerClient.reset()
    boto_session.events.register("provide-client-params.sagemaker", stop)
    try:
        start()
    except _Unsent as unsent:
        return unsent.request
    finally:
        boto_session.events.unregister("provide-client-params.sagemaker", stop)
        SageMakerClient.reset()
    raise AssertionError("the SDK sent nothing")


class _Unsent(Exception):
    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request


def _channels(job: Job) -> list[Any]:
    from sagemaker.core.shapes import Channel, DataSource, S3DataSource

    return [
        Channel(
            channel_name=name,
            data_source=DataSource(
                s3_data_source=S3DataSource(
                    s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type="FullyReplicated"
                )
            ),
            input_mode="File",
        )
        for name, uri in job.channels.items()
    ]


def _range(values: Range) -> Any:
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    if isinstance(values, Choice):
        return CategoricalParameter([str(option) for option in values.options])
    kind = IntegerParameter if isinstance(values, IntRange) else ContinuousParameter
    return kind(values.low, values.high, scaling_type="Logarithmic" if values.log else "Linear")


@contextmanager
def _imported() -> Iterator[None]:
    """The SDK without the warnings of its own imports."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", KEPT_OUT, DeprecationWarning)
        yield
