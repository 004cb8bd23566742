"""The drift function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

from drift.app import create_app
from moderato.artifact import load_manifest
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_schema import CLIENT_SETTINGS
from moderato.objects import S3Objects
from moderato.telemetry import make_count, make_logger, make_measure

SERVICE = "drift"

config = Config(**CLIENT_SETTINGS)
bucket = os.environ["BASELINES"]
stack = os.environ["STACK"]
handler = create_app(
    store=DynamoStore(boto3.client("dynamodb", config=config), os.environ["TABLE"]),
    manifest=load_manifest(Path(os.environ["MODEL_DIR"])),
    days=int(os.environ["DRIFT_DAYS"]),
    objects=S3Objects(boto3.client("s3", config=config), bucket) if bucket else None,
    logger=make_logger(SERVICE),
    measure=make_measure(SERVICE, stack),
    count=make_count(SERVICE, stack),
)
