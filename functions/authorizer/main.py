"""The authorizer function on Lambda: assembled from the environment, once a container."""

import os

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

from authorizer.app import Tokens, create_app
from authorizer.signing_keys import SigningKeys, fetch_from
from authorizer.tokens import IssuedTokens
from moderato.dynamodb_keys import DynamoKeys
from moderato.dynamodb_schema import CLIENT_SETTINGS
from moderato.telemetry import make_count, make_logger

SERVICE = "authorizer"


def make_tokens() -> Tokens | None:
    """Return how the tokens of ISSUER are verified; None where there is no issuer, and no token is good."""
    issuer = os.environ["ISSUER"]
    if not issuer:
        return None
    audiences = frozenset(name.strip() for name in os.environ["AUDIENCES"].split(",") if name.strip())
    return IssuedTokens(issuer, audiences, SigningKeys(fetch_from(issuer, os.environ["JWKS_URL"])))


# Two tries, not three: API Gateway waits 10 seconds for an authorizer.
settings = {**CLIENT_SETTINGS, "retries": {"total_max_attempts": 2, "mode": "standard"}}
handler = create_app(
    keys=DynamoKeys(boto3.client("dynamodb", config=Config(**settings)), os.environ["KEYS_TABLE"]),
    tokens=make_tokens(),
    tenant=os.environ["TENANT"],
    logger=make_logger(SERVICE),
    count=make_count(SERVICE, os.environ["STACK"]),
)
