"""A function that makes one call to AWS and tells what came of it: with another's role, it shows what that may do.

MiniStack runs it from this very file, by a Python that has boto3.
"""

from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it has no types

ALLOWED = "allowed"


def handler(event: dict[str, Any], _context: object) -> str:
    """Make the call that the event names; return "allowed", or the code of the error.

    With `is_tls` it says, as what ends TLS before a server does, that the call came by TLS: MiniStack itself has none.
    """
    client = boto3.client(event["service"])
    if event["is_tls"]:
        client.meta.events.register("before-sign", _say_tls)
    try:
        getattr(client, event["call"])(**event["arguments"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ALLOWED


def _say_tls(request: Any, **_: object) -> None:
    request.headers["X-Forwarded-Proto"] = "https"
