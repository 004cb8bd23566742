"""The deployed stack that the live tests ask, and keys that it lets in."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from moderato.access import Scope
from moderato.clock import utc_now
from moderato.dynamodb_keys import DynamoKeys
from moderato.keys import new_key
from tests.live.deployment import Deployment

MakeKey = Callable[..., str]


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """The stack that MODERATO_STACK names."""
    stack = os.environ.get("MODERATO_STACK")
    if not stack:
        pytest.skip("asks a deployed stack: set MODERATO_STACK and AWS_REGION, or run `make emulate`")
    deployment = Deployment.of(stack)
    yield deployment
    deployment.http.close()


@pytest.fixture(scope="session")
def make_key(deployment: Deployment) -> Iterator[MakeKey]:
    """Makes platform keys of the deployed stack; they are revoked in the end."""
    keys = DynamoKeys(boto3.client("dynamodb"), deployment.outputs["KeysTableName"])
    made: list[str] = []

    def make(
        scopes: Sequence[Scope] = tuple(Scope), tenant: str = deployment.outputs["Tenant"], days_ago: int = 0
    ) -> str:
        text, key = new_key(tenant, "live test", scopes, utc_now() - timedelta(days=days_ago), days=1)
        keys.add(key)
        made.append(key.key_id)
        return text

    yield make
    for key_id in made:
        keys.revoke(key_id)


@pytest.fixture(scope="session")
def key(make_key: MakeKey) -> str:
    """A key that may do all that a key may."""
    return make_key()
