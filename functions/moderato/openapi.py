"""The API's OpenAPI 3.1 document, derived from the request and response types.

`python -m moderato.openapi > openapi.json` renews the published copy.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from moderato.access import is_open, scope_of
from moderato.contracts import ProblemDetails, parameters_of
from moderato.errors import Forbidden, NotSignedIn, RequestError
from moderato.operations import OPERATIONS, Operation

API_VERSION = "1.0.0"

_SCHEMA_REFERENCE = "#/components/schemas/{name}"
_SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A platform key (`moderato keys create`) or an access token (JWT) of the deployment's issuer. "
        "A server that listens on its own machine only asks for none.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A platform key"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "A platform key, for clients that can send it in no header",
    },
}


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
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY_SCHEMES},
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    described["security"] = _security(operation)
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.request:
        content = _content(operation.request, operation.request_example)
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    described["responses"] = {str(operation.status): _answer(operation), **_error_answers(_errors(operation))}
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    method = operation.method.upper()
    if is_open(method, operation.path):
        return []
    scope = scope_of(method, operation.path)
    return [{name: [] if scope is None else [scope.value]} for name in _SECURITY_SCHEMES]


def _errors(operation: Operation) -> list[type[RequestError]]:
    refusals = () if is_open(operation.method.upper(), operation.path) else (NotSignedIn, Forbidden)
    return sorted({*operation.errors, *refusals}, key=lambda error: error.status)


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    key_schema = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[ -~]*$"}
    in_headers = [{"name": name, "in": "header", "schema": key_schema} for name in operation.headers]
    return [*(in_path if "{id}" in operation.path else []), *_in_query(operation.query), *in_headers]


def _in_query(query: type[msgspec.Struct] | None) -> list[dict[str, Any]]:
    parameters = {} if query is None else parameters_of(query)
    return [{"name": name, "in": "query", "schema": schema} for name, schema in parameters.items()]


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.response is None:
        return {"description": "Done; the answer has no body"}
    content = _content(operation.response, operation.response_example)
    described = operation.response if issubclass(operation.response, msgspec.Struct) else None
    sentence = _sentence(described) if described else operation.summary
    return {"description": sentence, "content": {operation.media_type: content}}


def _error_answers(errors: Sequence[type[RequestError]]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": _SCHEMA_REFERENCE.format(name="ProblemDetails")}}}
    answers = {str(error.status): {"description": _sentence(error), "content": problem} for error in errors}
    return {**answers, "default": {"description": "Any other error", "content": problem}}


def _content(body: type, example: object) -> dict[str, Any]:
    if not issubclass(body, msgspec.Struct):
        return {"schema": {"type": "string" if body is str else "object"}}
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
