"""Every bad request gets a 4xx that names what is wrong, and the app lives on."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from feedback.app import Handler, create_app
from moderato.api import create_resolver, respond
from moderato.sqlite import SqliteStore
from tests.events import event, send
from tests.records import decision, logger_to


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Handler]:
    """Build the feedback app, whose store holds the decision `d_1`."""
    store = SqliteStore(tmp_path / "moderato.db")
    store.record_decisions([decision()])
    yield create_app(store, ["insult", "threat"], logger_to(io.StringIO()))
    store.close()


BAD_BODIES = {
    "empty": ("", 400, "the body is empty; send a JSON object"),
    "blank": (" \n", 400, "the body is empty"),
    "not JSON": ("hello", 400, "not valid JSON at byte 0"),
    "cut short": ('{"correct": tr', 400, "not valid JSON"),
    "two values": ('{"correct": true} {}', 400, "not valid JSON"),
    "trailing comma": ('{"correct": true,}', 400, "not valid JSON"),
    "single quotes": ("{'correct': true}", 400, "not valid JSON"),
    "control character": ('{"note": "a\nb"}', 400, "not valid JSON"),
    "byte order mark": ('\ufeff{"correct": true}', 400, "byte order mark"),
    "NaN": ('{"correct": NaN}', 400, "without NaN"),
    "Infinity": ('{"correct": -Infinity}', 400, "without NaN, Infinity"),
    "1e999": ('{"correct": 1e999}', 400, "/correct: number out of range"),
    "lone surrogate": ('{"text": "\\ud800", "correct": true}', 400, "lone surrogates"),
    "lone surrogate, raw": ('{"text": "\ud800", "correct": true}', 400, "not valid UTF-8"),
    "5,000 digits": ('{"correct": ' + "1" * 5000 + "}", 400, "/correct: number out of range"),
    "5,000 digits alone": ("1" * 5000, 400, "the body: number out of range"),
    "nested 100,000 deep": ('{"labels": ' + "[" * 100_000 + "}", 400, "/labels: Expected `object | null`, got `array`"),
    "arrays 100,000 deep": ("[" * 100_000 + "]" * 100_000, 400, "the body: Expected `object`, got `array`"),
    "objects 20,000 deep": ('{"labels":' * 20_000, 400, "/labels: Expected `bool`, got `object`"),
    "duplicate field": ('{"decision_id": "d_1", "correct": true, "correct": false}', 400, "a field appears twice"),
    "duplicate label": ('{"decision_id": "d_1", "labels": {"insult": true, "insult": false}}', 400, "appears twice"),
    "an array": ("[]", 400, "the body: Expected `object`, got `array`"),
    "null": ("null", 400, "the body: Expected `object`, got `null`"),
    "wrong type": ('{"decision_id": 1, "correct": true}', 400, "/decision_id: Expected `str | null`, got `int`"),
    "number for a claim": ('{"decision_id": "d_1", "correct": 1}', 400, "/correct: Expected `bool | null`, got `int`"),
    "wrong label type": ('{"decision_id": "d_1", "labels": {"insult": 1}}', 400, "/labels: Expected `bool`, got `int`"),
    "unknown field": (
        '{"decision_id": "d_1", "korrekt": true}',
        400,
        "unknown field; the known ones are decision_id, correct, labels, note, text",
    ),
    "empty text": ('{"text": "", "correct": true}', 400, "/text: Expected `str` of length >= 1"),
    "text too long": (
        json.dumps({"text": "a" * 20_001, "correct": True}),
        400,
        "/text: Expected `str` of length <= 20000",
    ),
    "note too long": (json.dumps({"note": "a" * 2_001}), 400, "/note: Expected `str` of length <= 2000"),
    "body too large": (json.dumps({"text": "é" * 131_072}), 413, "at most 262144 are allowed"),
}


@pytest.mark.parametrize(("body", "status", "says"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_refused_with_what_is_wrong(app: Handler, body: str, status: int, says: str) -> None:
    answer = app(event("POST", "/feedback", body), LambdaContext())
    problem = json.loads(answer["body"])
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["statusCode"] == problem["status"] == status
    assert says in problem["detail"]
    assert problem["title"]
    assert problem["type"].startswith("urn:problem-type:moderato:")
    assert send(app, "POST", "/feedback", {"decision_id": "d_1", "correct": True})[0] == 201


def test_a_field_error_points_into_the_body(app: Handler) -> None:
    _, problem = send(app, "POST", "/feedback", {"text": 5, "correct": True})
    assert problem["errors"] == [{"pointer": "/text", "detail": "Expected `str | null`, got `int`"}]


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_only_json_in_utf_8_is_taken(app: Handler, media_type: str) -> None:
    body = {"decision_id": "d_1", "correct": True}
    status, problem = send(app, "POST", "/feedback", body, headers={"Content-Type": media_type})
    assert status == 415
    assert "Content-Type: application/json" in problem["detail"]


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=utf-8"]
)
def test_json_may_name_its_charset(app: Handler, media_type: str) -> None:
    body = {"decision_id": "d_1", "correct": True}
    assert send(app, "POST", "/feedback", body, headers={"Content-Type": media_type})[0] == 201


def test_a_base64_body_is_read(app: Handler) -> None:
    body = base64.b64encode(b'{"decision_id": "d_1", "correct": true}').decode()
    assert send(app, "POST", "/feedback", body, is_base64=True)[0] == 201


@pytest.mark.parametrize(
    ("body", "says"),
    [("%%%", "it is not"), ("e30", "it is not"), (base64.b64encode(b'"\xff\xfe"').decode(), "not valid UTF-8")],
)
def test_a_bad_base64_body_is_refused(app: Handler, body: str, says: str) -> None:
    status, problem = send(app, "POST", "/feedback", body, is_base64=True)
    assert status == 400
    assert says in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/feedback", "POST"),
        ("PUT", "/feedback", "POST"),
        ("POST", "/decisions/d_1", "DELETE, GET"),
        ("BREW", "/decisions/d_1", "DELETE, GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(app: Handler, method: str, path: str, allow: str) -> None:
    answer = app(event(method, path), LambdaContext())
    assert answer["statusCode"] == 405
    assert answer["headers"]["Allow"] == allow
    assert allow in json.loads(answer["body"])["detail"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/feedback/", "/review", "/decisions/", "/decisions/a/b", "/\ud800"])
def test_an_unknown_path_is_a_404_that_says_where_the_routes_are(app: Handler, path: str) -> None:
    status, problem = send(app, "GET", path)
    assert status == 404
    assert "/openapi.json" in problem["detail"]


@pytest.mark.parametrize("name", ["d_9", "%00", "..", "d_1'--", "d" * 5000, "é"])
def test_an_unknown_decision_is_a_404(app: Handler, name: str) -> None:
    status, problem = send(app, "GET", f"/decisions/{name}")
    assert status == 404
    assert "no such decision is stored" in problem["detail"]


def test_an_unexpected_error_is_a_500_that_tells_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "moderato.db")
    counted: list[str] = []
    app = create_app(store, ["insult"], logger_to(io.StringIO()), count=counted.append)
    store.close()
    status, problem = send(app, "GET", "/decisions/d_1")
    assert (status, counted) == (500, ["failed"])
    assert problem == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "something failed on our side; the same request may be tried again",
    }


def test_requests_of_two_threads_at_once_do_not_mix() -> None:
    resolver = create_resolver(logger_to(io.StringIO()))
    both_inside = threading.Barrier(2, timeout=10)

    @resolver.post("/echo")
    def echo() -> Response[str]:
        both_inside.wait()
        return respond({"body": resolver.current_event.body, "path": resolver.context["_path"]})

    def ask(body: str) -> object:
        return send(resolver.resolve, "POST", "/echo", body)[1]["body"]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["first", "second"])) == ["first", "second"]
