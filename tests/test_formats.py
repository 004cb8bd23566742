"""Errors speak the format of their path, as that format's own clients expect them."""

import io
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response

from moderato.access import Refusal, Scope, require_access
from moderato.api import Guard, create_resolver, open_to_all
from tests.events import send
from tests.records import logger_to


def ask(method: str, path: str, guard: Guard = require_access, **found: Any) -> tuple[int, Any]:
    """Ask an app whose only routes fail; return the status and the body of its answer."""
    resolver = create_resolver(logger_to(io.StringIO()), guard)

    def fail() -> Response[str]:
        raise ZeroDivisionError

    for known in ("/model", "/v1/moderations", "/v1alpha1/comments:analyze"):
        resolver.get(known)(fail)
    return send(resolver.resolve, method, path, **found)


def test_openai_is_told_of_a_bad_key_as_by_openai() -> None:
    for refusal in (Refusal.MISSING, Refusal.INVALID, Refusal.EXPIRED):
        status, body = ask("POST", "/v1/moderations", refusal=refusal)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert (body["error"]["type"], body["error"]["param"]) == ("invalid_request_error", None)


@pytest.mark.parametrize("found", [{"refusal": Refusal.OTHER_TENANT}, {"subject": "mia", "scopes": [Scope.FEEDBACK]}])
def test_openai_is_told_that_a_key_may_not(found: dict[str, Any]) -> None:
    status, body = ask("POST", "/v1/moderations", **found)
    assert (status, body["error"]["code"]) == (403, "insufficient_permissions")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/v1/models", 404, "unknown_url"), ("POST", "/v1/moderations", 405, "method_not_supported")],
)
def test_openai_is_told_of_unknown_routes(method: str, path: str, status: int, code: str) -> None:
    answered, body = ask(method, path, subject="mia")
    assert (answered, body["error"]["type"], body["error"]["code"]) == (status, "invalid_request_error", code)


@pytest.mark.parametrize(
    ("refusal", "status", "name", "reasons"),
    [
        (Refusal.MISSING, 403, "PERMISSION_DENIED", []),
        (Refusal.INVALID, 401, "UNAUTHENTICATED", ["API_KEY_INVALID"]),
        (Refusal.EXPIRED, 401, "UNAUTHENTICATED", ["API_KEY_INVALID"]),
        (Refusal.OTHER_TENANT, 403, "PERMISSION_DENIED", []),
    ],
)
@pytest.mark.parametrize("path", ["/v1alpha1/comments:analyze", "/v1alpha1/nothing", "/$discovery/rest"])
def test_perspective_is_told_of_a_bad_key_as_by_google(
    path: str, refusal: Refusal, status: int, name: str, reasons: list[str]
) -> None:
    answered, body = ask("POST", path, refusal=refusal)
    error = body["error"]
    assert (answered, error["code"], error["status"]) == (status, status, name)
    assert [detail["reason"] for detail in error.get("details", [])] == reasons


def test_perspective_is_told_of_unknown_routes_and_of_missing_scopes() -> None:
    assert ask("GET", "/v1alpha1/nothing", subject="mia")[1]["error"]["status"] == "NOT_FOUND"
    assert ask("POST", "/v1alpha1/comments:analyze", subject="mia")[1]["error"]["code"] == 405
    status, body = ask("POST", "/v1alpha1/comments:analyze", subject="mia", scopes=[Scope.FEEDBACK])
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_a_failure_of_ours_is_told_in_every_format() -> None:
    message = "something failed on our side; the same request may be tried again"
    expected = {
        "/model": {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": message},
        "/v1/moderations": {"error": {"message": message, "type": "server_error", "param": None, "code": None}},
        "/v1alpha1/comments:analyze": {"error": {"code": 500, "message": message, "status": "INTERNAL"}},
    }
    assert {path: ask("GET", path, subject="mia") for path in expected} == {
        path: (500, body) for path, body in expected.items()
    }


def test_a_guard_that_fails_lets_nobody_in() -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    assert ask("GET", "/nothing", fail)[0] == 500


@pytest.mark.parametrize("path", ["/v1", "/v1alpha", "/v2/moderations", "/moderate/v1/", "/discovery/rest"])
def test_all_other_paths_are_told_by_problems(path: str) -> None:
    status, body = ask("GET", path, open_to_all)
    assert (status, body["title"]) == (404, "Unknown route")
