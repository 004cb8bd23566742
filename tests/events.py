"""Events as API Gateway sends them (HTTP API, payload 2.0), for tests that come in by the front door."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.access import Identity, Refusal, Scope, context_of


def event(
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    subject: str | None = None,
    is_base64: bool = False,
    query: Mapping[str, str] | None = None,
    groups: Sequence[str] = (),
    scopes: Sequence[str] = tuple(Scope),
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    """Return the event of one request; a `body` that is not a string is sent as JSON.

    `subject`, `scopes` and `groups` are of whom the authorizer found, `refusal` is why it found nobody; without any of
    them no authorizer stands before the API.
    """
    given = {} if body is None else {"body": body if isinstance(body, str) else json.dumps(body)}
    defaults = {} if body is None else {"content-type": "application/json"}
    found = refusal or (Identity(subject, frozenset(scopes), frozenset(groups)) if subject is not None else None)
    authorizer = {} if found is None else {"authorizer": {"lambda": context_of(found)}}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        **({"queryStringParameters": dict(query)} if query else {}),
        "headers": defaults | {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": {
            "apiId": "test",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t"},
            "requestId": "request-1",
            "stage": "$default",
            "time": "21/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795262400000,
            **authorizer,
        },
        **given,
        "isBase64Encoded": is_base64,
    }


def send(app: Any, *args: Any, **kwargs: Any) -> tuple[int, Any]:
    """Send an event, made of the arguments of `event`, to a handler; return its status and its decoded body."""
    answer = app(event(*args, **kwargs), LambdaContext())
    return answer["statusCode"], json.loads(answer["body"]) if answer.get("body") else None
