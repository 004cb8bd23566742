"""The retraining function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

from moderato.artifact import load_manifest
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_schema import CLIENT_SETTINGS
from moderato.telemetry import make_count, make_logger, make_measure
from retraining.app import create_app
from retraining.bucket import Bucket
from retraining.ledger import Ledger
from retraining.settings import Settings

SERVICE = "retraining"

manifest = load_manifest(Path(os.environ["MODEL_DIR"]))
settings = Settings(
    bucket=os.environ["BUCKET"],
    pipeline=os.environ["PIPELINE"],
    model_group=os.environ["MODEL_GROUP"],
    dataset=manifest.dataset.name,
    fewest_labels=int(os.environ["FEWEST_LABELS"]),
)
dynamodb = boto3.client("dynamodb", config=Config(**CLIENT_SETTINGS))
# A batch has megabytes, and SageMaker takes seconds to start an execution, and a few requests a second.
config = Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 5, "mode": "standard"})
table, stack = os.environ["TABLE"], os.environ["STACK"]
handler = create_app(
    store=DynamoStore(dynamodb, table),
    ledger=Ledger(dynamodb, table),
    bucket=Bucket(boto3.client("s3", config=config), settings.bucket),
    sagemaker=boto3.client("sagemaker", config=config),
    categories=manifest.category_names,
    settings=settings,
    logger=make_logger(SERVICE),
    measure=make_measure(SERVICE, stack),
    count=make_count(SERVICE, stack),
)
