"""How each format says that a request failed: a caller of a foreign format gets errors that its client understands.

Paths under `/v1/` speak OpenAI's format, those under `/v1alpha1/` and `/$discovery/` Perspective's, all others
problem+json.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from moderato.contracts import ProblemDetails
from moderato.errors import BadCredential, Forbidden, MethodNotAllowed, NotSignedIn, RequestError, UnknownRoute

PROBLEM_MEDIA_TYPE = "application/problem+json"
JSON_MEDIA_TYPE = "application/json"

_FAILED = "something failed on our side; the same request may be tried again"
_OPENAI_CODES: Mapping[type[RequestError], str] = {
    NotSignedIn: "invalid_api_key",
    BadCredential: "invalid_api_key",
    Forbidden: "insufficient_permissions",
    UnknownRoute: "unknown_url",
    MethodNotAllowed: "method_not_supported",
}
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto; HTTP's 405 and 415 have none of their own.
_GOOGLE_STATUSES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ALREADY_EXISTS",
    500: "INTERNAL",
}
# Google's own answer to a bad key says this too, with the status 400: docs/decisions.md says why ours is 401.
_KEY_INVALID = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


@dataclass(frozen=True)
class ErrorAnswer:
    """What goes back to a caller whose request failed."""

    status: int
    body: msgspec.Struct | Mapping[str, Any]
    media_type: str = JSON_MEDIA_TYPE


def answer_to(error: RequestError, path: str) -> ErrorAnswer:
    """Return the answer to a request that its sender has to mend, in the format that `path` speaks."""
    if _speaks_openai(path):
        return ErrorAnswer(error.status, _openai(error.detail, "invalid_request_error", _OPENAI_CODES.get(type(error))))
    if _speaks_perspective(path):
        return _perspective_answer(error)
    return ErrorAnswer(error.status, _problem(error), PROBLEM_MEDIA_TYPE)


def answer_to_failure(path: str) -> ErrorAnswer:
    """Return the answer to a request on which our side failed, in the format that `path` speaks."""
    if _speaks_openai(path):
        return ErrorAnswer(500, _openai(_FAILED, "server_error", None))
    if _speaks_perspective(path):
        return ErrorAnswer(500, _perspective(500, _FAILED))
    details = ProblemDetails(type="about:blank", title="Internal Server Error", status=500, detail=_FAILED)
    return ErrorAnswer(500, details, PROBLEM_MEDIA_TYPE)


def _speaks_openai(path: str) -> bool:
    return path.startswith("/v1/")


def _speaks_perspective(path: str) -> bool:
    return path.startswith(("/v1alpha1/", "/$discovery/"))


def _problem(error: RequestError) -> ProblemDetails:
    return ProblemDetails(
        type=f"urn:problem-type:moderato:{error.slug}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        errors=list(error.errors),
    )


def _openai(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _perspective_answer(error: RequestError) -> ErrorAnswer:
    # Google has no word for "say who you are": who sends no key has no permission, who sends a bad one is unknown.
    status = 403 if type(error) is NotSignedIn else error.status
    details = [_KEY_INVALID] if isinstance(error, BadCredential) else []
    return ErrorAnswer(status, _perspective(status, error.detail, details))


def _perspective(status: int, message: str, details: list[dict[str, str]] | None = None) -> dict[str, Any]:
    described = {"code": status, "message": message, "status": _GOOGLE_STATUSES.get(status, "INVALID_ARGUMENT")}
    return {"error": {**described, "details": details} if details else described}
