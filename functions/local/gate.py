"""Who gets in beyond this machine: the authorizer of the deployed API stands before the same apps here."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from authorizer.app import create_app
from local.keys import TENANT
from local.server import Handler
from moderato.keys import Keys

_ROUTE = "arn:aws:execute-api:local:000000000000:local/$default/$default"


def authorizer_of(keys: Keys, logger: Logger) -> Handler:
    """Return the authorizer that lets in whoever has one of these keys; on a laptop nobody issues tokens."""
    return create_app(keys, None, TENANT, logger)


def gate(handler: Handler, authorizer: Handler) -> Handler:
    """Return a handler whose events tell who sent them, as the authorizer found it.

    As API Gateway does, it hands on whatever the authorizer says; where that fails, so does the request.
    """

    def answer(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        found = authorizer(_authorizer_event(event), context)["context"]
        request_context = event["requestContext"] | {"authorizer": {"lambda": found}}
        return handler(event | {"requestContext": request_context}, context)

    return answer


def _authorizer_event(event: dict[str, Any]) -> dict[str, Any]:
    """What API Gateway sends to an authorizer (payload 2.0, type REQUEST): all of the request but its body."""
    sent = {name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")}
    return sent | {"type": "REQUEST", "routeArn": _ROUTE, "identitySource": None}
