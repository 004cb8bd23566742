"""The way to AWS for commands that tend a deployment: the one module of a laptop that imports AWS's client."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.options import Refused
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_keys import DynamoKeys


@contextmanager
def deployed_keys(table: str, region: str | None) -> Iterator[DynamoKeys]:
    """Give the keys of a deployed table, as whoever this machine is signed in to AWS as.

    Raises Refused where there is no way, and where AWS refuses what is done with them.
    """
    with _dynamodb(table, region) as client:
        yield DynamoKeys(client, table)


@contextmanager
def deployed_store(table: str, region: str | None) -> Iterator[DynamoStore]:
    """Give the records of a deployed table, likewise."""
    with _dynamodb(table, region) as client:
        yield DynamoStore(client, table)


@contextmanager
def _dynamodb(table: str, region: str | None) -> Iterator[Any]:
    """A client for what is done with a table, whose errors are told in a sentence that names it."""
    try:
        import boto3  # type: ignore[import-untyped]  # it has no types
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            NoRegionError,
        )
    except ImportError:
        raise Refused(
            f"a deployed table is reached by boto3, which is not installed here: {sys.executable} -m pip install boto3"
        ) from None
    timeouts = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    try:
        client = boto3.client("dynamodb", region_name=region, config=timeouts)
    except (NoRegionError, ValueError):  # none is named, or what is named can be none
        raise Refused("name the AWS region of the table by --region or AWS_REGION") from None
    try:
        yield client
    except NoCredentialsError:
        raise Refused("nobody is signed in to AWS here: try `aws sts get-caller-identity`") from None
    except (BotoCoreError, ClientError) as error:
        raise Refused(f"table {table}: {error}") from None
