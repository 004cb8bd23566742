"""A server beyond loopback: whoever has no key that is good for it gets in nowhere, and the console stays closed."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from bench.server import ServerProcess
from local.assembly import Moderato, assemble
from local.gate import gate
from local.keys import open_keys
from local.sessions import COOKIE, open_sessions
from moderato.access import Scope
from moderato.api import Caller
from moderato.retention import Keep
from moderato.sqlite_keys import SqliteKeys
from tests.events import event, send
from tests.made_models import STARTER
from tests.platform_keys import add_key
from tests.records import logger_to
from tests.test_local_cli import moderato, refusal
from tests.test_local_server import ask, serving

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEY = re.compile(r"mod_[A-Za-z0-9_-]{43}")
BODY = {"text": "you fool", "labels": {"insult": True}}


@pytest.fixture
def keys(tmp_path: Path) -> SqliteKeys:
    """The keys of a data folder."""
    return open_keys(tmp_path)


@pytest.fixture
def public(tmp_path: Path, keys: SqliteKeys) -> Iterator[Moderato]:
    """The API as it is beyond loopback, around the starter model."""
    api = assemble(STARTER, tmp_path, Keep.ALL, logger_to(StringIO()), keys)
    with closing(api.store):
        yield api


@pytest.fixture
def strangers_keys(keys: SqliteKeys) -> dict[str, tuple[int, dict[str, str]]]:
    """Return what opens nothing here: the answer to it, and the headers that carry it."""
    revoked, key = add_key(keys)
    keys.revoke(key.key_id)
    expired, _ = add_key(keys, days=1, now=LONG_AGO)
    foreign, _ = add_key(keys, tenant="acme", scopes=list(Scope))
    unscoped, _ = add_key(keys, scopes=[])
    return {
        "none": (401, {}),
        "unknown": (401, {"x-api-key": "mod_" + "A" * 43}),
        "revoked": (401, {"x-api-key": revoked}),
        "expired": (401, {"authorization": f"Bearer {expired}"}),
        "of another tenant": (403, {"x-api-key": foreign}),
        "without the scope": (403, {"x-api-key": unscoped}),
    }


@pytest.mark.parametrize("who", ["none", "unknown", "revoked", "expired", "of another tenant", "without the scope"])
@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "/moderate", {"text": "hi"}), ("POST", "/feedback", BODY)]
)
def test_beyond_loopback_nobody_gets_in_without_a_key_that_is_good_for_it_and_nothing_is_kept(
    public: Moderato, strangers_keys: dict[str, Any], who: str, method: str, path: str, body: object
) -> None:
    status, headers = strangers_keys[who]
    assert send(public.handler, method, path, body, headers)[0] == status
    assert public.store.list_decisions(1).records == []
    assert sum(public.store.count_reviews().values()) == 0


@pytest.mark.parametrize("path", ["/", "/model", "/openapi.json", "/unknown", "/reviews"])
def test_beyond_loopback_a_stranger_learns_nothing_of_any_path(public: Moderato, path: str) -> None:
    status, problem = send(public.handler, "GET", path)
    assert (status, problem["title"]) == (401, "Not signed in")


def test_beyond_loopback_anybody_may_ask_whether_the_server_is_up(public: Moderato) -> None:
    assert send(public.handler, "GET", "/healthz") == (200, {"status": "ok"})


def test_a_new_champion_demands_keys_too(public: Moderato) -> None:
    assert send(public.load(STARTER), "GET", "/model")[0] == 401


@pytest.mark.parametrize("where", ["x-api-key", "authorization", "query"])
def test_a_key_lets_in_wherever_it_is_sent(public: Moderato, keys: SqliteKeys, where: str) -> None:
    text, _ = add_key(keys)
    headers = {"x-api-key": {"x-api-key": text}, "authorization": {"authorization": f"Bearer {text}"}}.get(where)
    query = {"key": text} if where == "query" else None
    assert send(public.handler, "POST", "/moderate", {"text": "hi"}, headers, query=query)[0] == 200


def test_who_moderates_is_the_key_and_nobody_it_says_it_is(public: Moderato, keys: SqliteKeys) -> None:
    text, key = add_key(keys, scopes=[Scope.MODERATE, Scope.FEEDBACK])
    headers = {"x-api-key": text}
    _, answer = send(public.handler, "POST", "/moderate", {"text": "you fool"}, headers)
    decision_id = answer["results"][0]["decision_id"]
    assert send(public.handler, "POST", "/feedback", {"decision_id": decision_id, "correct": False}, headers)[0] == 201
    (given,) = send(public.handler, "GET", f"/decisions/{decision_id}", headers=headers)[1]["feedback"]
    assert given["moderator"] == f"key:{key.key_id}"
    # On the machine itself whoever does not sign in may erase.
    assert send(public.handler, "DELETE", f"/decisions/{decision_id}", headers=headers)[0] == 403


def test_the_authorizer_is_never_sent_a_body_and_its_word_stands_against_the_callers() -> None:
    seen: list[dict[str, Any]] = []

    def authorize(event: dict[str, Any], _context: object) -> dict[str, Any]:
        seen.append(event)
        return {"isAuthorized": True, "context": {"refusal": "missing"}}

    gated = gate(lambda event, _context: event, authorize)
    sent = event("POST", "/moderate", {"text": "hi"}, subject="somebody")
    answered = gated(sent, LambdaContext())
    assert (seen[0]["type"], seen[0]["version"], seen[0]["rawPath"]) == ("REQUEST", "2.0", "/moderate")
    assert "body" not in seen[0]
    assert answered["requestContext"]["authorizer"] == {"lambda": {"refusal": "missing"}}
    assert answered["body"] == sent["body"]


def test_the_console_has_no_pages_beyond_loopback_whoever_asks(public: Moderato, keys: SqliteKeys) -> None:
    text, _ = add_key(keys, scopes=list(Scope))
    with serving(public.handler, is_public=True) as port:
        for path in ("/console/reviews", "/console/decisions", "/console/loop", f"/console/reviews?key={text}"):
            status, headers, page = ask(port, "GET", path, headers={"authorization": f"Bearer {text}"})
            assert (status, headers["content-type"]) == (401, "text/html; charset=utf-8")
            assert "Nobody is signed in" in page.decode()
        form = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Bearer {text}"}
        status, headers, _ = ask(port, "POST", "/console/sign-in", "name=ana&adjudicator=yes", form)
    assert status == 404
    assert "set-cookie" not in headers


def test_a_cookie_that_was_signed_on_the_machine_itself_opens_nothing_beyond_it(
    public: Moderato, keys: SqliteKeys, tmp_path: Path
) -> None:
    text, _ = add_key(keys, scopes=[Scope.FEEDBACK])
    cookie = {"cookie": f"{COOKIE}={open_sessions(tmp_path).token(Caller('ana', is_adjudicator=True))}"}
    with serving(public.handler, is_public=True) as port:
        assert ask(port, "GET", "/console/reviews", headers=cookie)[0] == 401
        assert ask(port, "GET", "/reviews", headers=cookie)[0] == 401
        # An adjudicator may erase, and a key is none, whoever else comes with it.
        assert ask(port, "DELETE", "/decisions/d_1", headers=cookie | {"x-api-key": text})[0] == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1"])  # noqa: S104  # it is refused
def test_no_server_starts_beyond_loopback_while_no_key_lets_anybody_in(host: str, tmp_path: Path) -> None:
    data = tmp_path / "my data"
    command = f"moderato keys create --name NAME --data-dir '{data}'"
    said = refusal("serve", "--host", host, "--data-dir", data)
    assert "not a loopback address" in said
    assert command in said
    assert not data.exists()
    keys = open_keys(data)
    add_key(keys, days=1, now=LONG_AGO)
    add_key(keys, tenant="acme")
    assert command in refusal("serve", "--host", host, "--data-dir", data)


def test_a_server_beyond_loopback_answers_under_any_name_to_whoever_has_a_key_and_logs_none(tmp_path: Path) -> None:
    text = moderato("keys", "create", "--name", "forum", "--data-dir", tmp_path).stdout.strip()
    server = ServerProcess(tmp_path, "--host", "0.0.0.0")  # noqa: S104  # what this is about
    named = {"host": "api.test"}
    statuses = [
        server.request("POST", "/moderate", {"text": "hi"}, named)[0],
        server.request("POST", "/moderate", {"text": "hi"}, named | {"x-api-key": text[:-1] + "-"})[0],
        server.request("POST", "/moderate", {"text": "hi"}, named | {"x-api-key": text})[0],
        server.request("POST", f"/moderate?key={text}", {"text": "hi"}, named)[0],
        server.request("GET", f"/unknown?key={text}", None, named)[0],
        server.request("POST", f"/feedback?key={text}", BODY, named)[0],
    ]
    assert server.stop() == 0
    assert statuses == [401, 401, 200, 200, 404, 403]
    log = "".join(server.lines)
    assert "HTTPS" in log
    assert "refused" in log
    assert not KEY.search(log)
