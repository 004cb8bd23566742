"""The new version of the predict function, asked as API Gateway will ask it, before anybody else can."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from moderato.access import Identity, Scope, context_of
from moderato.errors import ModeratoError

SUBJECT = "rollout"

_Answer = TypeVar("_Answer")


class Doubt(ModeratoError):
    """Something about the new version is not as it must be: no traffic for it. The message names it, without text."""


class Functions(Protocol):
    """What is needed of boto3's client of Lambda."""

    def invoke(self, **request: object) -> Mapping[str, Any]:
        """Invoke."""


class _Answered(msgspec.Struct, frozen=True):
    """What a function answers to API Gateway, as far as it is looked at."""

    status: int = msgspec.field(name="statusCode")
    body: str


class NewVersion:
    """One published version of the predict function, which no alias leads to yet."""

    def __init__(self, functions: Functions, arn: str) -> None:
        """Ask the version of this ARN through a client of Lambda."""
        self._functions, self._arn = functions, arn

    def get(self, path: str, answer_type: type[_Answer]) -> _Answer:
        """Return the answer to a GET. Raises Doubt unless it is a 200 of this type."""
        return self._ask("GET", path, None, answer_type)

    def post(self, path: str, body: object, answer_type: type[_Answer]) -> _Answer:
        """Return the answer to a POST of `body` as JSON. Raises Doubt unless it is a 200 of this type."""
        return self._ask("POST", path, msgspec.json.encode(body).decode(), answer_type)

    def _ask(self, method: str, path: str, body: str | None, answer_type: type[_Answer]) -> _Answer:
        answer = self._functions.invoke(
            FunctionName=self._arn,
            InvocationType="RequestResponse",
            Payload=msgspec.json.encode(_event(method, path, body)),
        )
        if "FunctionError" in answer:
            raise Doubt(f"{method} {path} ended in an error of the function itself")
        try:
            answered = msgspec.json.decode(answer["Payload"].read(), type=_Answered)
            if answered.status == 200:
                return msgspec.json.decode(answered.body, type=answer_type)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Doubt(f"{method} {path} was not answered as the API describes it") from None
        raise Doubt(f"{method} {path} was answered with the status {answered.status}, not 200")


def _event(method: str, path: str, body: str | None) -> dict[str, Any]:
    """Return the event that API Gateway would send (HTTP API, payload 2.0), the authorizer's context included."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "", "userAgent": SUBJECT},
            "requestId": SUBJECT,
            "stage": "$default",
            "authorizer": {"lambda": context_of(Identity(SUBJECT, frozenset({Scope.MODERATE})))},
        },
        "body": body,
        "isBase64Encoded": False,
    }
