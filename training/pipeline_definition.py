"""The retraining pipeline as SageMaker has it: its parameters, its steps, and what leads from one to the next.

    PrepareDataset > TrainChallenger or TuneChallenger > EvaluateChallenger > IsBetter > RegisterChallenger
                                                                                       | KeepChampion

The same settings make the same definition to the byte, wherever it is built: a step whose arguments did not change is
not run again. Nothing is called, and nothing is uploaded.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from training.config import load_recipe
from training.pipeline_settings import REASONS, Settings
from training.pipeline_steps import (
    Parameters,
    condition_step,
    evaluate_step,
    prepare_step,
    register_step,
    train_step,
    tune_step,
)
from training.sagemaker_sdk import open_pipeline_session


def define(settings: Settings, boto_session: Any) -> str:
    """Return the definition, as compact JSON. Raises RecipeError where there is no such recipe.

    `boto_session` needs a region and credentials of any kind; no call is made with them.
    """
    recipe = load_recipe(settings.recipe)
    with _alone(boto_session.region_name):
        from sagemaker.mlops.workflow.pipeline import Pipeline

        session = open_pipeline_session(boto_session, settings.bucket)
        parameters = Parameters.of(settings, REASONS)
        prepare = prepare_step(settings, parameters, session)
        train = tune_step if settings.tune else train_step
        challenger, model_uri = train(settings, parameters, recipe, prepare, session)
        evaluate, evaluation = evaluate_step(settings, parameters, prepare, model_uri, session)
        register = register_step(settings, parameters, prepare, evaluate, evaluation, model_uri, session)
        is_better = condition_step(settings, parameters, evaluate, evaluation, register)
        pipeline = Pipeline(
            name=settings.name,
            parameters=parameters.all,
            # Experiments are of Studio Classic alone; runs are told by MLflow.
            pipeline_experiment_config=None,
            steps=[prepare, challenger, evaluate, is_better],
            sagemaker_session=session,
        )
        return json.dumps(json.loads(pipeline.definition()), separators=(",", ":"))


@contextmanager
def _alone(region: str) -> Iterator[None]:
    """The SDK, which makes clients of its own when it is imported and for steps that it never runs, kept from looking
    for a region or for the credentials of a machine in EC2; and kept from warning that no job is started.
    """
    ours = {"AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            yield
    finally:
        logging.disable(logging.NOTSET)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
