"""The published OpenAPI document is what the types say, and the app has the routes that it lists."""

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from feedback.app import create_app
from moderato.openapi import document
from moderato.operations import OPERATIONS, Operation
from moderato.sqlite import SqliteStore
from tests.events import event
from tests.records import logger_to

PUBLISHED = Path(__file__).parent.parent / "openapi.json"
FEEDBACK_ROUTES = {
    ("POST", "/feedback"),
    ("DELETE", "/feedback/{id}"),
    ("GET", "/decisions"),
    ("GET", "/decisions/{id}"),
    ("DELETE", "/decisions/{id}"),
    ("GET", "/reviews"),
    ("GET", "/reviews/next"),
    ("GET", "/reviews/{id}"),
    ("POST", "/reviews/{id}/annotations"),
    ("DELETE", "/reviews/{id}/annotations"),
    ("POST", "/reviews/{id}/adjudication"),
    ("GET", "/loop"),
    ("GET", "/labels.manifest"),
}
PREDICT_ROUTES = {
    ("POST", "/moderate"),
    *(("GET", path) for path in ("/model", "/healthz", "/readyz", "/openapi.json")),
}


def references(node: Any) -> set[str]:
    """Return every `$ref` below `node`."""
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    return {node["$ref"]} if "$ref" in node else references(list(node.values()))


def test_the_published_document_is_the_derived_one() -> None:
    assert json.loads(PUBLISHED.read_text()) == document(), "renew it: python -m moderato.openapi > openapi.json"


def test_every_route_of_both_functions_is_described() -> None:
    described = {(operation.method.upper(), operation.path) for operation in OPERATIONS}
    assert described == FEEDBACK_ROUTES | PREDICT_ROUTES


def test_the_feedback_function_has_exactly_its_routes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "moderato.db")
    app = create_app(store, ["insult"], logger_to(io.StringIO()))
    answered = set()
    for operation in OPERATIONS:
        answer = app(event(operation.method.upper(), operation.path.replace("{id}", "d_1")), LambdaContext())
        if not any(title in answer["body"] for title in ("Unknown route", "Method not allowed")):
            answered.add((operation.method.upper(), operation.path))
    store.close()
    assert answered == FEEDBACK_ROUTES


def test_every_reference_leads_somewhere() -> None:
    described = document()
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described)
    assert references(described) <= known


def test_limits_come_from_the_types() -> None:
    schemas = document()["components"]["schemas"]
    text = schemas["ModerateItem"]["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (1, 20_000)
    assert schemas["FeedbackRequest"]["additionalProperties"] is False
    assert schemas["Action"]["enum"] == ["allow", "block", "review"]


def test_query_parameters_are_described_with_their_limits() -> None:
    parameters = {one["name"]: one for one in document()["paths"]["/reviews"]["get"]["parameters"]}
    assert set(parameters) == {"status", "reason", "category", "older_than_days", "limit", "cursor"}
    assert (parameters["limit"]["schema"]["minimum"], parameters["limit"]["schema"]["maximum"]) == (1, 100)
    assert parameters["status"]["in"] == "query"
    assert not any(one.get("required") for one in parameters.values())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_examples_fit_their_types(operation: Operation) -> None:
    for body, example in (
        (operation.request, operation.request_example),
        (operation.response, operation.response_example),
    ):
        if body is not None and example is not None:
            assert msgspec.convert(example, body) is not None


def test_every_operation_describes_its_errors_as_problems() -> None:
    for path in document()["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
