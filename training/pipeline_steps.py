"""The steps of the retraining pipeline, each as sagemaker's SDK makes it: arguments, caching, retries, what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.config import Recipe
from training.jobs import Job, metrics_of, search_of, static_knobs
from training.model_archive import ARCHIVE
from training.pipeline_settings import Settings
from training.registration import STATUS, Registration
from training.sagemaker_sdk import trainer, tuner
from training.stage_files import EVALUATION, REPORT, STATISTICS

PREPARE = "PrepareDataset"
TRAIN = "TrainChallenger"
TUNE = "TuneChallenger"
EVALUATE = "EvaluateChallenger"
IS_BETTER = "IsBetter"
REGISTER = "RegisterChallenger"
KEEP = "KeepChampion"

CACHE_DAYS = 30
"""How long a step's result counts where its arguments are the same."""

STAGE_GIGABYTES = 30
STAGE_HOURS = 2

CONTAINER = "/opt/ml/processing"


@dataclass(frozen=True)
class Parameters:
    """What differs from one execution to the next."""

    labels_uri: Any
    labels_digest: Any
    dataset_uri: Any
    champion_uri: Any
    reason: Any
    instance_type: Any

    @classmethod
    def of(cls, settings: Settings, reasons: Sequence[str]) -> "Parameters":
        """Declare them, with the defaults of the settings; a batch of labels has none."""
        from sagemaker.core.workflow.parameters import ParameterString

        return cls(
            labels_uri=ParameterString("LabelsUri"),
            labels_digest=ParameterString("LabelsDigest"),
            dataset_uri=ParameterString("DatasetUri", settings.dataset_uri),
            champion_uri=ParameterString("ChampionUri", settings.champion_uri),
            reason=ParameterString("Reason", "hand", list(reasons)),
            instance_type=ParameterString("InstanceType", settings.instance_type),
        )

    @property
    def all(self) -> list[Any]:
        """Return them in the order in which they are shown."""
        return list(vars(self).values())

    def results(self, settings: Settings, *path: str) -> Any:
        """Return the S3 URI of a result: a batch of labels has a prefix of its own."""
        from sagemaker.core.workflow.functions import Join

        return Join(on="/", values=[f"s3://{settings.bucket}/retraining", self.labels_digest, *path])


def prepare_step(settings: Settings, parameters: Parameters, session: Any) -> Any:
    """Labels and the parent version in; the version to train on out."""
    return _stage(
        settings,
        PREPARE,
        "prepare",
        inputs={"labels": parameters.labels_uri, "dataset": parameters.dataset_uri},
        outputs={name: parameters.results(settings, name) for name in ("dataset", "summary")},
        # Other labels are another step, however their prefix is called.
        environment={"LABELS_DIGEST": parameters.labels_digest},
        session=session,
    )


def train_step(
    settings: Settings, parameters: Parameters, recipe: Recipe, prepare: Any, session: Any
) -> tuple[Any, Any]:
    """One training; return the step, and where its model is."""
    from sagemaker.mlops.workflow.steps import TrainingStep

    # What lies there is continued, so only what may be interrupted leaves any, and only for its like.
    checkpoints = parameters.results(settings, "checkpoints", settings.training_digest) if settings.spot else None
    job = _job(settings, parameters, prepare, {}, checkpoints)
    made = trainer(job, metrics_of(recipe.problem), session, settings.name)
    step = TrainingStep(TRAIN, step_args=made.train(), cache_config=_cached(), retry_policies=_retried())
    return step, step.properties.ModelArtifacts.S3ModelArtifacts


def tune_step(
    settings: Settings, parameters: Parameters, recipe: Recipe, prepare: Any, session: Any
) -> tuple[Any, Any]:
    """A search, whose best trial is the challenger; return the step, and where that trial's model is."""
    from sagemaker.core.workflow.functions import Join
    from sagemaker.mlops.workflow.steps import TuningStep

    search = search_of(recipe, settings.trials, settings.parallel)
    # Trials share what their job says, and a run's checkpoints are its own: a trial that was cut off begins anew.
    job = _job(settings, parameters, prepare, static_knobs(recipe, search), checkpoints=None)
    made = tuner(job, metrics_of(recipe.problem), search, session, settings.name)
    step = TuningStep(TUNE, step_args=made.tune(), cache_config=_cached(), retry_policies=_retried())
    best = step.properties.TrainingJobSummaries[0].TrainingJobName
    values = [f"s3://{settings.bucket}/retraining", parameters.labels_digest, "model", best, "output", ARCHIVE]
    return step, Join(on="/", values=values)


def evaluate_step(
    settings: Settings, parameters: Parameters, prepare: Any, model_uri: Any, session: Any
) -> tuple[Any, Any]:
    """Champion and challenger on the same texts; return the step, and the file that decides."""
    from sagemaker.core.workflow.properties import PropertyFile

    decides = PropertyFile(name="Evaluation", output_name="evaluation", path=EVALUATION)
    inputs = {"champion": parameters.champion_uri, "challenger": model_uri, "dataset": _made(prepare, "dataset")}
    step = _stage(
        settings,
        EVALUATE,
        "evaluate",
        inputs=inputs | _sources(settings),
        outputs={"evaluation": parameters.results(settings, "evaluation")},
        session=session,
        property_files=[decides],
    )
    return step, decides


def register_step(
    settings: Settings, parameters: Parameters, prepare: Any, evaluate: Any, decides: Any, model_uri: Any, session: Any
) -> Any:
    """A better challenger becomes a package that waits for a person."""
    from sagemaker.core.model_registry import create_model_package_from_containers
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.mlops.workflow.model_step import ModelStep
    from sagemaker.mlops.workflow.retry import StepExceptionTypeEnum, StepRetryPolicy

    registration = Registration(
        group=settings.group,
        image=settings.predict_image,
        model_uri=model_uri,
        model_sha256=JsonGet(step_name=EVALUATE, property_file=decides, json_path="challenger.sha256"),
        statistics_uri=Join(on="/", values=[_made(evaluate, "evaluation"), STATISTICS]),
        generated_by=ExecutionVariables.PIPELINE_EXECUTION_ARN,
        dataset_uri=_made(prepare, "dataset"),
        labels_digest=parameters.labels_digest,
        reason=parameters.reason,
        recipe=settings.recipe,
        git_commit=settings.git_commit,
    )
    request = registration.request()
    served = request["InferenceSpecification"]
    session.init_model_step_arguments(_Model(session))
    create_model_package_from_containers(
        session,
        containers=served["Containers"],
        content_types=served["SupportedContentTypes"],
        response_types=served["SupportedResponseMIMETypes"],
        inference_instances=served["SupportedRealtimeInferenceInstanceTypes"],
        transform_instances=served["SupportedTransformInstanceTypes"],
        model_package_group_name=request["ModelPackageGroupName"],
        model_metrics=request["ModelMetrics"],
        metadata_properties=request["MetadataProperties"],
        customer_metadata_properties=request["CustomerMetadataProperties"],
        approval_status=STATUS,
    )
    arguments, session.context = session.context, None
    unlucky = [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING]
    retries = [StepRetryPolicy(unlucky, interval_seconds=5, max_attempts=5)]
    return ModelStep(REGISTER, step_args=arguments, retry_policies=retries)


def condition_step(settings: Settings, parameters: Parameters, evaluate: Any, decides: Any, register: Any) -> Any:
    """Register what is better; else end with the reason that the evaluation wrote down."""
    from sagemaker.core.workflow.conditions import ConditionEquals
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep

    promoted = JsonGet(step_name=EVALUATE, property_file=decides, json_path="promoted")
    # Parameters, properties and Join are what AWS says a message may be made of; JsonGet is not among them. So the
    # stage leaves its reason in the job's ExitMessage, which is a property.
    report = [f"Report: s3://{settings.bucket}/retraining/", parameters.labels_digest, f"/evaluation/{REPORT}"]
    message = Join(on="", values=["The champion stays: ", evaluate.properties.ExitMessage, " ", *report])
    return ConditionStep(
        IS_BETTER,
        conditions=[ConditionEquals(left=promoted, right=True)],
        if_steps=[register],
        else_steps=[FailStep(KEEP, error_message=message)],
    )


@dataclass(frozen=True)
class _Model:
    """All that a registering step asks of a model."""

    sagemaker_session: Any


def _stage(
    settings: Settings,
    name: str,
    stage: str,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    session: Any,
    environment: Mapping[str, Any] | None = None,
    property_files: Sequence[Any] = (),
) -> Any:
    """A processing job that runs a stage of `training.stages` in the training image."""
    from sagemaker.core.network import NetworkConfig
    from sagemaker.core.processing import Processor
    from sagemaker.mlops.workflow.steps import ProcessingStep

    network = settings.network
    processor = Processor(
        role=settings.role,
        image_uri=settings.image,
        instance_count=1,
        instance_type=settings.stage_instance_type,
        # The image's own entry point is that of a training.
        entrypoint=["python", "-m", "training.stages", stage],
        volume_size_in_gb=STAGE_GIGABYTES,
        volume_kms_key=settings.volume_key,
        output_kms_key=settings.output_key,
        max_runtime_in_seconds=STAGE_HOURS * 3600,
        sagemaker_session=session,
        env=dict(environment) if environment else None,
        tags=[{"Key": key, "Value": value} for key, value in settings.all_tags.items()],
        network_config=NetworkConfig(
            enable_network_isolation=network.is_isolated,
            subnets=list(network.subnets) or None,
            security_group_ids=list(network.security_groups) or None,
        ),
    )
    arguments = processor.run(
        inputs=[_input(name, uri) for name, uri in inputs.items()],
        outputs=[_output(name, uri) for name, uri in outputs.items()],
    )
    return ProcessingStep(
        name,
        step_args=arguments,
        property_files=list(property_files),
        cache_config=_cached(),
        retry_policies=_retried(),
    )


def _input(name: str, uri: Any) -> Any:
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri, local_path=f"{CONTAINER}/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
        ),
    )


def _output(name: str, uri: Any) -> Any:
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    return ProcessingOutput(
        output_name=name,
        s3_output=ProcessingS3Output(s3_uri=uri, local_path=f"{CONTAINER}/output/{name}", s3_upload_mode="EndOfJob"),
    )


def _made(step: Any, output: str) -> Any:
    """Where a stage left an output: also what says that it has to come before."""
    return step.properties.ProcessingOutputConfig.Outputs[output].S3Output.S3Uri


def _job(settings: Settings, parameters: Parameters, prepare: Any, knobs: Mapping[str, str], checkpoints: Any) -> Job:
    return Job(
        image=settings.image,
        role=settings.role,
        output=parameters.results(settings, "model"),
        channels={"dataset": _made(prepare, "dataset"), "champion": parameters.champion_uri} | _sources(settings),
        hyperparameters={"recipe": settings.recipe, **knobs},
        checkpoints=checkpoints,
        instance_type=parameters.instance_type,
        spot=settings.spot,
        max_hours=settings.max_hours,
        volume_key=settings.volume_key,
        output_key=settings.output_key,
        network=settings.network,
        tracking_server=settings.tracking_server,
        tags=settings.all_tags,
    )


def _sources(settings: Settings) -> dict[str, Any]:
    return {} if settings.sources_uri is None else {"sources": settings.sources_uri}


def _cached() -> Any:
    from sagemaker.mlops.workflow.steps import CacheConfig

    return CacheConfig(enable_caching=True, expire_after=f"P{CACHE_DAYS}D")


def _retried() -> list[Any]:
    """What passes by itself is tried again: throttles in seconds, capacity and quotas in minutes to hours."""
    from sagemaker.mlops.workflow.retry import (
        SageMakerJobExceptionTypeEnum,
        SageMakerJobStepRetryPolicy,
        StepExceptionTypeEnum,
        StepRetryPolicy,
    )

    return [
        StepRetryPolicy(
            [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING], interval_seconds=5, max_attempts=5
        ),
        SageMakerJobStepRetryPolicy(
            exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
            failure_reason_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            interval_seconds=300,
            backoff_rate=1.5,
            max_attempts=6,
        ),
    ]
