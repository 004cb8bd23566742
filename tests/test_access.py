"""Nobody who should not get in does: on every route, whatever they send, they are told so in their own format."""

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

import authorizer.app
import feedback.app
import predict.app
from moderato.access import (
    Identity,
    Refusal,
    Scope,
    caller_of_authorizer,
    caller_or_local,
    context_of,
    identity_of,
    is_open,
    require_access,
    scope_of,
)
from moderato.api import Caller
from moderato.errors import BadCredential, Forbidden, NotSignedIn
from moderato.operations import OPERATIONS
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from moderato.sqlite_keys import SqliteKeys
from tests.events import event
from tests.issuers import foreign_key, token, tokens
from tests.platform_keys import add_key
from tests.records import decision, logger_to

TENANT = "forum"
FOREIGN = [
    ("POST", "/v1/moderations"),
    ("GET", "/v1/models"),
    ("POST", "/v1alpha1/comments:analyze"),
    ("POST", "/v1alpha1/comments:suggestscore"),
    ("GET", "/$discovery/rest"),
]
UNKNOWN = [("GET", "/"), ("GET", "/nothing"), ("POST", "/feedback/f_1/more"), ("PUT", "/moderate"), ("BREW", "/model")]
DESCRIBED = [(operation.method.upper(), operation.path.replace("{id}", "d_1")) for operation in OPERATIONS]
CLOSED = [route for route in [*DESCRIBED, *FOREIGN, *UNKNOWN] if route != ("GET", "/healthz")]
SCOPED = [route for route in CLOSED if scope_of(*route) is not None]
BODIES: dict[str, object] = {
    "/moderate": {"text": "you fool"},
    "/feedback": {"decision_id": "d_1", "correct": False},
    "/reviews/d_1/annotations": {"labels": ["insult"]},
    "/reviews/d_1/adjudication": {"labels": ["insult"]},
}

Ask = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture
def keys(tmp_path: Path) -> SqliteKeys:
    """An empty store of keys."""
    return SqliteKeys(tmp_path / "keys.sqlite3")


@pytest.fixture
def ask(scorer: Scorer, store: SqliteStore, keys: SqliteKeys) -> Ask:
    """Send a request with a credential through the authorizer to both functions, as deployed; return their answer."""
    logger = logger_to(io.StringIO())
    store.record_decisions([decision()])
    authorize = authorizer.app.create_app(keys, tokens(), TENANT, logger)
    policies = {"default": default_policy(scorer.manifest)}
    retention = Retention(Keep.ALL, 0.01, lambda: 1.0)
    predicting = predict.app.create_app(scorer, "", policies, store, retention, logger, guard=require_access)
    recording = feedback.app.create_app(
        store, scorer.manifest.category_names, logger, identify=caller_of_authorizer, guard=require_access
    )

    def send(method: str, path: str, credential: str | None = None, body: object = None) -> tuple[int, Any, Any]:
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        sent = event(method, path, body, headers)
        context = authorize(sent, LambdaContext())["context"]
        sent["requestContext"]["authorizer"] = {"lambda": context}
        is_recorded = scope_of(method, path) is Scope.FEEDBACK and not path.startswith("/v1")
        answer = (recording if is_recorded else predicting)(sent, LambdaContext())
        return answer["statusCode"], answer["headers"], json.loads(answer["body"]) if answer["body"] else None

    return send


def everything_in(path: Path) -> list[str]:
    """Return all that a database holds."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def format_of(path: str, body: Any) -> str:
    """Return which format an error has: its path tells which it should be, and its fields which it is."""
    error = body.get("error", {})
    expected = "openai" if path.startswith("/v1/") else "problem"
    expected = "perspective" if path.startswith(("/v1alpha1/", "/$discovery/")) else expected
    found = "problem" if body.keys() == {"type", "title", "status", "detail"} else "unknown"
    found = "openai" if error.keys() == {"message", "type", "param", "code"} else found
    found = "perspective" if {"code", "message", "status"} <= error.keys() and "type" not in error else found
    assert found == expected, body
    return found


CREDENTIALS: dict[str, tuple[Callable[[SqliteKeys], str | None], int]] = {
    "none": (lambda _: None, 401),
    "expired token": (lambda _: token(exp=1), 401),
    "forged token": (lambda _: token(foreign_key()), 401),
    "token of another client": (lambda _: token(client_id="other"), 401),
    "unknown key": (lambda _: "mod_" + "A" * 43, 401),
    "expired key": (lambda keys: add_key(keys, TENANT, scopes=list(Scope), days=-1)[0], 401),
    "key of another tenant": (lambda keys: add_key(keys, "chat", scopes=list(Scope))[0], 403),
}


@pytest.mark.parametrize("who", CREDENTIALS)
@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_who_is_nobody_gets_in_nowhere(
    ask: Ask, keys: SqliteKeys, tmp_path: Path, method: str, path: str, who: str
) -> None:
    make, status = CREDENTIALS[who]
    credential = make(keys)
    before = everything_in(tmp_path / "store.sqlite3")
    answered, headers, body = ask(method, path, credential, BODIES.get(path))
    is_perspective = format_of(path, body) == "perspective"
    assert answered == (403 if is_perspective and credential is None else status)
    if status == 401:
        assert headers["WWW-Authenticate"].startswith('Bearer realm="moderato"')
    assert everything_in(tmp_path / "store.sqlite3") == before


@pytest.mark.parametrize("kind", ["token", "key"])
@pytest.mark.parametrize(("method", "path"), SCOPED)
def test_who_has_only_the_other_scope_does_not_get_in(
    ask: Ask, keys: SqliteKeys, tmp_path: Path, method: str, path: str, kind: str
) -> None:
    (other,) = set(Scope) - {scope_of(method, path)}
    credential = token(scope=other) if kind == "token" else add_key(keys, TENANT, scopes=[other])[0]
    before = everything_in(tmp_path / "store.sqlite3")
    status, _, body = ask(method, path, credential, BODIES.get(path))
    assert status == 403
    format_of(path, body)
    assert everything_in(tmp_path / "store.sqlite3") == before


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_who_may_gets_in_everywhere(ask: Ask, keys: SqliteKeys, method: str, path: str) -> None:
    text, _ = add_key(keys, TENANT, scopes=list(Scope))
    for credential in (text, token(groups=["adjudicators"])):
        status, _, body = ask(method, path, credential, BODIES.get(path))
        if status == 403:  # erasing and deciding disputes are for adjudicators, who are people
            assert credential == text
            assert "adjudicator" in body["detail"]
        assert status in ((200, 201, 204, 400, 403, 404, 405) if (method, path) in DESCRIBED else (404, 405))


def test_anybody_may_ask_whether_the_process_lives(ask: Ask) -> None:
    assert ask("GET", "/healthz")[0] == 200
    assert ask("GET", "/healthz", token(exp=1))[0] == 200


def test_where_no_authorizer_stands_before_the_functions_nobody_gets_in(store: SqliteStore) -> None:
    app = feedback.app.create_app(store, ["insult"], logger_to(io.StringIO()), guard=require_access)
    said: list[Any] = [None, {}, {"lambda": None}, {"lambda": {}}, {"jwt": {"claims": {"sub": "mia"}}}]
    for authorizer_said in said:
        sent = event("GET", "/decisions")
        sent["requestContext"]["authorizer"] = authorizer_said
        assert app(sent, LambdaContext())["statusCode"] == 401
    del sent["requestContext"]["authorizer"]
    assert app(sent, LambdaContext())["statusCode"] == 401


@pytest.mark.parametrize(
    "context",
    [
        {"subject": ""},
        {"subject": 7},
        {"subject": None, "scopes": "moderation/feedback"},
        {"scopes": "moderation/feedback"},
        {"refusal": "new reason", "subject": "mia", "scopes": "moderation/feedback"},
        {"refusal": "", "subject": "mia", "scopes": "moderation/feedback"},
        {"refusal": None, "subject": "mia", "scopes": "moderation/feedback"},
    ],
)
def test_a_context_that_makes_no_sense_is_nobodys(context: dict[str, object]) -> None:
    sent = event("GET", "/decisions")
    sent["requestContext"]["authorizer"] = {"lambda": context}
    with pytest.raises(NotSignedIn):
        require_access(APIGatewayProxyEventV2(sent))


@pytest.mark.parametrize("scopes", [None, 7, ["moderation/feedback"], "moderation", "moderation/feedback2"])
def test_scopes_that_make_no_sense_are_none(scopes: object) -> None:
    sent = event("GET", "/decisions")
    sent["requestContext"]["authorizer"] = {"lambda": {"subject": "mia", "scopes": scopes}}
    with pytest.raises(Forbidden):
        require_access(APIGatewayProxyEventV2(sent))


def test_what_the_authorizer_found_arrives_as_it_was() -> None:
    found = Identity("mia of the forum", frozenset(Scope), frozenset(["adjudicators", "night shift", ""]))
    sent = event("GET", "/decisions")
    sent["requestContext"]["authorizer"] = {"lambda": context_of(found)}
    arrived = identity_of(APIGatewayProxyEventV2(sent))
    assert arrived == Identity("mia of the forum", frozenset(Scope), frozenset(["adjudicators"]))


def test_a_name_with_a_space_in_it_is_not_two() -> None:
    found = Identity("mia", frozenset(["no moderation/feedback"]), frozenset(["no adjudicators"]))
    assert context_of(found) == {"subject": "mia", "scopes": "", "groups": ""}


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal.MISSING, NotSignedIn),
        (Refusal.INVALID, BadCredential),
        (Refusal.EXPIRED, BadCredential),
        (Refusal.OTHER_TENANT, Forbidden),
    ],
)
def test_each_refusal_is_an_error_of_its_own(refusal: Refusal, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        identity_of(APIGatewayProxyEventV2(event("GET", "/model", refusal=refusal)))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/moderate"),
        ("POST", "/moderate\n"),
        ("POST", "/feedback\n"),
        ("GET", "/loop\n"),
        ("GET", "/decisions/"),
    ],
)
def test_no_spelling_of_a_route_gets_around_its_scope(ask: Ask, method: str, path: str) -> None:
    assert ask(method, path, token(scope=""), BODIES.get(path.strip()))[0] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "/healthz\n"),
        ("GET", "/HEALTHZ"),
        ("GET", "/consoles"),
        ("GET", "//console/"),
        ("GET", "/v1/console/"),
        ("GET", ""),
    ],
)
def test_nothing_but_health_and_the_console_is_open(method: str, path: str) -> None:
    assert not is_open(method, path)


def test_health_is_open_and_the_consoles_pages_look_for_themselves() -> None:
    assert is_open("GET", "/healthz")
    assert is_open("HEAD", "/healthz")
    assert is_open("GET", "/console")
    assert is_open("POST", "/console/reviews/r_1")


def test_moderators_are_who_the_authorizer_says_and_adjudicators_by_their_group() -> None:
    def caller(**found: Any) -> Caller:
        return caller_of_authorizer(APIGatewayProxyEventV2(event("GET", "/reviews", **found)))

    assert caller(subject="mia") == Caller("mia")
    assert caller(subject="ada", groups=["moderators", "adjudicators"]) == Caller("ada", is_adjudicator=True)
    assert caller(subject="local") == Caller("local", is_local=False)
    with pytest.raises(Forbidden):
        caller(subject="mia", scopes=[Scope.MODERATE])
    with pytest.raises(NotSignedIn):
        caller()


def test_who_calls_without_an_authorizer_is_local_and_nobody_else_is() -> None:
    assert caller_or_local(APIGatewayProxyEventV2(event("GET", "/reviews"))) == Caller("local", is_local=True)
    assert caller_or_local(APIGatewayProxyEventV2(event("GET", "/reviews", subject="mia"))) == Caller("mia")
    with pytest.raises(NotSignedIn):
        caller_or_local(APIGatewayProxyEventV2(event("GET", "/reviews", refusal=Refusal.MISSING)))
