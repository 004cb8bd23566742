"""The feedback function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

from feedback.app import create_app
from feedback.console import Console
from feedback.sign_in import Endpoints, add_sign_in
from moderato.access import caller_of_authorizer, require_access
from moderato.artifact import load_manifest
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_schema import CLIENT_SETTINGS
from moderato.policy import default_policy
from moderato.telemetry import make_count, make_logger

SERVICE = "feedback"

manifest = load_manifest(Path(os.environ["MODEL_DIR"]))
dynamodb = boto3.client("dynamodb", config=Config(**CLIENT_SETTINGS))
endpoints = Endpoints(
    sign_in_url=os.environ["SIGN_IN_URL"],
    token_url=os.environ["TOKEN_URL"],
    sign_out_url=os.environ["SIGN_OUT_URL"],
    client_id=os.environ["CLIENT_ID"],
)
handler = create_app(
    store=DynamoStore(dynamodb, os.environ["TABLE"]),
    categories=manifest.category_names,
    logger=make_logger(SERVICE),
    count=make_count(SERVICE, os.environ["STACK"]),
    identify=caller_of_authorizer,
    # Without highlights: they would need the model's runtime, which is the predict function's alone.
    console=add_sign_in(Console(thresholds=default_policy(manifest).thresholds), endpoints),
    keep_days=int(os.environ["KEEP_DAYS"]),
    guard=require_access,
)
