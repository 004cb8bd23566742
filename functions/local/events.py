"""HTTP requests as API Gateway events (HTTP API, payload 2.0), and the handlers' answers as HTTP responses.

The shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

Headers = Sequence[tuple[bytes, bytes]]
"""Header names in lower case and values, as ASGI has them."""

_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True)
class HttpAnswer:
    """What goes back over HTTP."""

    status: int
    headers: Headers
    body: bytes


def event_of(scope: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return the event that API Gateway would send for this ASGI scope and body."""
    headers = _joined(scope["headers"])
    cookies = headers.pop("cookie", None)
    query = scope["query_string"].decode("latin-1")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": scope["path"],
        "rawQueryString": query,
        "headers": headers,
        "requestContext": _request_context(scope, headers),
    }
    if cookies is not None:
        event["cookies"] = cookies.split("; ")
    if query:
        event["queryStringParameters"] = _joined_query(query)
    return event | _encoded(body, headers.get("content-type", ""))


def answer_of(result: Mapping[str, Any]) -> HttpAnswer:
    """Return a handler's answer as HTTP, with its content length."""
    status = int(result["statusCode"])
    text = result.get("body") or ""
    body = base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()
    headers = [(name.lower(), str(value)) for name, value in (result.get("headers") or {}).items()]
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or ()]
    if status == 204:  # RFC 9110, 8.6: no content, so no length of it
        return HttpAnswer(status, _encoded_headers(header for header in headers if header[0] != "content-type"), b"")
    return HttpAnswer(status, _encoded_headers([*headers, ("content-length", str(len(body)))]), body)


def _joined(headers: Headers) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ","
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _joined_query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _request_context(scope: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": "anonymous",
        "apiId": "local",
        "domainName": headers.get("host", "localhost"),
        "http": {
            "method": scope["method"],
            "path": scope["path"],
            "protocol": f"HTTP/{scope['http_version']}",
            "sourceIp": (scope.get("client") or ("127.0.0.1", 0))[0],
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": uuid.uuid4().hex,
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _encoded(body: bytes, content_type: str) -> dict[str, Any]:
    if not body:
        return {"isBase64Encoded": False}
    if content_type.lower().startswith(_TEXT_TYPES):
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass  # the app says so to the caller; here it only has to arrive as it is
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _encoded_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
