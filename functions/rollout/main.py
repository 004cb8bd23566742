"""The rollout function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]

from moderato.telemetry import make_count, make_logger
from rollout.app import create_app
from rollout.version import NewVersion

SERVICE = "rollout"

# The predict function has 20 seconds. Twice, since a first question may meet a throttled or a starting function.
questions = Config(connect_timeout=1, read_timeout=25, retries={"total_max_attempts": 2, "mode": "standard"})
reports = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3, "mode": "standard"})
handler = create_app(
    model=Path(os.environ["MODEL_DIR"]),
    version=NewVersion(boto3.client("lambda", config=questions), os.environ["NEW_VERSION"]),
    deployments=boto3.client("codedeploy", config=reports),
    logger=make_logger(SERVICE),
    count=make_count(SERVICE, os.environ["STACK"]),
)
