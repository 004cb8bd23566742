"""Events as API Gateway sends them (HTTP API, payload 2.0), for tests that come in by the front door."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.utilities.typing import LambdaContext


def event(
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    subject: str | None = None,
    is_base64: bool = False,
    query: Mapping[str, str] | None = None,
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the event of one request; a `body` that is not a string is sent as JSON.

    `subject` and `groups` are the token's.
    """
    given = {} if body is None else {"body": body if isinstance(body, str) else json.dumps(body)}
    defaults = {} if body is None else {"content-type": "application/json"}
    claims = {"sub": subject, **({"cognito:groups": f"[{' '.join(groups)}]"} if groups else {})}
    authorizer = {} if subject is None else {"authorizer": {"jwt": {"claims": claims, "scopes": []}}}
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
