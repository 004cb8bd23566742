"""The labeling function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

from labeling.app import Handler, create_app, create_queue_app
from labeling.settings import Settings
from moderato.artifact import load_manifest
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_schema import CLIENT_SETTINGS
from moderato.groundtruth_jobs import Task
from moderato.objects import S3Objects
from moderato.telemetry import make_count, make_logger, make_measure

SERVICE = "labeling"

config = Config(**CLIENT_SETTINGS)
store = DynamoStore(boto3.client("dynamodb", config=config), os.environ["TABLE"])
stack = os.environ["STACK"]
logger, measure, count = make_logger(SERVICE), make_measure(SERVICE, stack), make_count(SERVICE, stack)


def handler_of(workteam: str) -> Handler:
    """Return the handler that has a workteam of Ground Truth label; empty = it measures the queue alone."""
    if not workteam:
        return create_queue_app(store, logger, measure, count=count)
    task = Task(
        region=os.environ["AWS_REGION"],
        bucket=os.environ["LABELING_BUCKET"],
        role=os.environ["LABELING_ROLE"],
        workteam=workteam,
        encryption_key=os.environ["LABELING_KEY"] or None,
    )
    return create_app(
        store=store,
        objects=S3Objects(boto3.client("s3", config=config), task.bucket),
        sagemaker=boto3.client("sagemaker", config=config),
        categories=load_manifest(Path(os.environ["MODEL_DIR"])).category_names,
        settings=Settings(task),
        logger=logger,
        measure=measure,
        count=count,
    )


handler = handler_of(os.environ["LABELING_WORKTEAM"])
