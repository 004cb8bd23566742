"""The API's OpenAPI 3.1 document, derived from the request and response types.

`python -m moderato.openapi > openapi.json` renews the published copy.
"""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from moderato.contracts import (
    DecisionResponse,
    FeedbackRequest,
    FeedbackResponse,
    Health,
    ModelResponse,
    ModerateRequest,
    ModerateResponse,
    ProblemDetails,
)
from moderato.errors import (
    Conflict,
    InvalidRequest,
    RequestError,
    TooLarge,
    UnknownDecision,
    UnsupportedMediaType,
)

API_VERSION = "1.0.0"

_BODY_ERRORS = (InvalidRequest, TooLarge, UnsupportedMediaType)
_SCHEMA_REFERENCE = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Operation:
    """One method of one path: what it takes, what it answers, and which errors are its own."""

    method: str
    path: str
    name: str
    summary: str
    request: type | None = None
    request_example: object = None
    response: type | None = None
    response_example: object = None
    status: int = 200
    errors: tuple[type[RequestError], ...] = ()
    headers: tuple[str, ...] = ()


_DECISION_ID = "d_4kYbUq0bV7wVxk1mB2nHc3Zt9A"
_FEEDBACK_ID = "f_Q0aJ8vXw2LrT5yNc1dEo7gKsPm"
_MODEL = {"name": "starter", "version": "2.0.0"}
_POLICY = {"name": "default", "version": 1}
_REASON = {"category": "insult", "score": 0.93, "threshold": 0.8, "action": "review"}
_VERDICT = {"action": "review", "scores": {"toxicity": 0.91, "insult": 0.93}, "reasons": [_REASON]}

OPERATIONS = (
    Operation(
        "post",
        "/moderate",
        "moderate",
        "Score one text or up to 100, and decide what to do with each",
        request=ModerateRequest,
        request_example={"text": "You are a complete idiot."},
        response=ModerateResponse,
        response_example={
            "model": _MODEL,
            "policy": _POLICY,
            "results": [{"decision_id": _DECISION_ID, **_VERDICT, "flagged": True, "stored": True}],
        },
        errors=_BODY_ERRORS,
    ),
    Operation(
        "post",
        "/feedback",
        "giveFeedback",
        "Say whether a decision was right, or which labels are",
        request=FeedbackRequest,
        request_example={"decision_id": _DECISION_ID, "labels": {"insult": False}, "note": "a friendly joke"},
        response=FeedbackResponse,
        response_example={"feedback_id": _FEEDBACK_ID, "decision_id": _DECISION_ID, "review_queued": True},
        status=201,
        errors=(*_BODY_ERRORS, UnknownDecision, Conflict),
        headers=("Idempotency-Key",),
    ),
    Operation(
        "get",
        "/decisions/{id}",
        "showDecision",
        "Show a stored decision and the feedback on it",
        response=DecisionResponse,
        response_example={
            "decision_id": _DECISION_ID,
            "text": "You are a complete idiot.",
            **_VERDICT,
            "model": _MODEL,
            "policy": _POLICY,
            "created": "2026-11-21T12:00:00+00:00",
            "kept_because": "flagged",
            "sampling_probability": None,
            "item_id": None,
            "feedback": [],
        },
        errors=(UnknownDecision,),
    ),
    Operation(
        "delete",
        "/decisions/{id}",
        "eraseDecision",
        "Erase a decision, its text and the feedback on it, for good",
        status=204,
        errors=(UnknownDecision,),
    ),
    Operation(
        "get",
        "/model",
        "showModel",
        "Show the model in use: its manifest and its card",
        response=ModelResponse,
    ),
    Operation(
        "get",
        "/healthz",
        "health",
        "Answer as long as the process lives",
        response=Health,
        response_example={"status": "ok"},
    ),
    Operation(
        "get",
        "/readyz",
        "readiness",
        "Answer when the model is loaded and verified",
        response=Health,
        response_example={"status": "ok"},
    ),
    Operation("get", "/openapi.json", "showOpenapi", "Show this document", response=dict),
)
"""Every route of the API, whichever function answers it."""


def document() -> dict[str, Any]:
    """Return the whole document as JSON's types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Moderato",
            "version": API_VERSION,
            "summary": "Scores, reasons and an action for each text; moderators correct it by feedback.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8000", "description": "make serve"}],
        "paths": _paths(),
        "components": {"schemas": _schemas()},
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.request:
        content = _content(operation.request, operation.request_example)
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    described["responses"] = {str(operation.status): _answer(operation), **_error_answers(operation.errors)}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    key_schema = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[ -~]*$"}
    in_headers = [{"name": name, "in": "header", "schema": key_schema} for name in operation.headers]
    return [*(in_path if "{id}" in operation.path else []), *in_headers]


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.response is None:
        return {"description": "Done; the answer has no body"}
    content = _content(operation.response, operation.response_example)
    return {"description": _sentence(operation.response), "content": {"application/json": content}}


def _error_answers(errors: tuple[type[RequestError], ...]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": _SCHEMA_REFERENCE.format(name="ProblemDetails")}}}
    answers = {str(error.status): {"description": _sentence(error), "content": problem} for error in errors}
    return {**answers, "default": {"description": "Any other error", "content": problem}}


def _content(body: type, example: object) -> dict[str, Any]:
    if not issubclass(body, msgspec.Struct):
        return {"schema": {"type": "object"}}
    described = {"schema": {"$ref": _SCHEMA_REFERENCE.format(name=body.__name__)}}
    return described if example is None else {**described, "example": example}


def _sentence(described: type) -> str:
    return (described.__doc__ or "").partition("\n")[0]


def _schemas() -> dict[str, Any]:
    bodies = [body for operation in OPERATIONS for body in (operation.request, operation.response)]
    types = [body for body in bodies if body and issubclass(body, msgspec.Struct)]
    _, schemas = msgspec.json.schema_components([*types, ProblemDetails], ref_template=_SCHEMA_REFERENCE)
    return dict(sorted(schemas.items()))


if __name__ == "__main__":
    print(json.dumps(document(), indent=2))
