"""The labeling function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types

from labeling.app import create_app
from labeling.settings import Settings
from moderato.artifact import load_manifest
from moderato.dynamodb import DynamoStore
from moderato.groundtruth_jobs import Task
from moderato.objects import S3Objects
from moderato.telemetry import make_count, make_logger

SERVICE = "labeling"

task = Task(
    region=os.environ["AWS_REGION"],
    bucket=os.environ["LABELING_BUCKET"],
    role=os.environ["LABELING_ROLE"],
    workteam=os.environ["LABELING_WORKTEAM"],
    encryption_key=os.environ["LABELING_KEY"] or None,
)
handler = create_app(
    store=DynamoStore(boto3.client("dynamodb"), os.environ["TABLE"]),
    objects=S3Objects(boto3.client("s3"), task.bucket),
    sagemaker=boto3.client("sagemaker"),
    categories=load_manifest(Path(os.environ["MODEL_DIR"])).category_names,
    settings=Settings(task),
    logger=make_logger(SERVICE),
    count=make_count(SERVICE),
)
