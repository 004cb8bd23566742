"""Signing in on the laptop: a name in a signed cookie, which nobody else can make and which ends."""

import base64
import hmac
import json
import stat
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.app import Handler, create_app
from feedback.console import Console
from local.sessions import SIGN_IN_URL, Sessions, open_sessions
from moderato.api import Caller
from moderato.errors import NotSignedIn
from moderato.sqlite import SqliteStore
from tests.pages import Answer, asking, get, post
from tests.records import logger_to
from tests.stores import MovableClock

KEY = bytes(range(32))


@pytest.fixture
def clock() -> MovableClock:
    """A clock that a test moves."""
    return MovableClock()


@pytest.fixture
def sessions(clock: MovableClock) -> Sessions:
    """Sessions with a known key."""
    return Sessions(KEY, clock)


@pytest.fixture
def app(store: SqliteStore, sessions: Sessions) -> Handler:
    """The feedback app, whose console is signed in to here."""
    console = Console(identify=sessions.identify, sign_in_url=SIGN_IN_URL, add_pages=sessions.add_pages)
    return create_app(store, ["insult"], logger_to(StringIO()), identify=sessions.caller, console=console)


def sign_in(app: Handler, fields: Any) -> Answer:
    """Send the form."""
    return post(app, SIGN_IN_URL, fields)


def event_with(cookie: str | None) -> APIGatewayProxyEventV2:
    """Return the event of a request that sends a cookie."""
    return APIGatewayProxyEventV2(asking("GET", "/console", "", {} if cookie is None else {"cookie": cookie}))


def test_whoever_signs_in_is_known_until_they_sign_out(app: Handler) -> None:
    answer = sign_in(app, {"name": "  Mia   Lee ", "adjudicator": "yes"})
    assert answer.location == "/console/reviews"
    [cookie] = answer.cookies
    value, *attributes = cookie.split("; ")
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    page = get(app, "/console/reviews", cookie=value).page
    assert page.all("bdi")[0].text == "Mia Lee"
    assert "adjudicator" in page.text("header")
    left = post(app, "/console/sign-out", cookie=value)
    assert left.location == SIGN_IN_URL
    assert left.cookies == ["moderato_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"]


def test_the_api_knows_who_is_signed_in_too(sessions: Sessions) -> None:
    cookie = f"other=1; moderato_session={sessions.token(Caller('mia', is_adjudicator=True))}"
    assert sessions.caller(event_with(cookie)) == Caller("mia", is_adjudicator=True)
    assert sessions.caller(event_with(None)) == Caller("local", is_local=True)


def test_a_session_ends(sessions: Sessions, clock: MovableClock) -> None:
    event = event_with(f"moderato_session={sessions.token(Caller('mia'))}")
    clock.move(seconds=12 * 3600 - 1)
    assert sessions.identify(event) == Caller("mia")
    clock.move(seconds=1)
    assert sessions.identify(event) is None


def test_nobody_can_make_a_session_without_the_key(sessions: Sessions, clock: MovableClock) -> None:
    token = sessions.token(Caller("mia"))
    payload, signature = token.split(".")
    session = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**session, "is_adjudicator": True}).encode()).decode().rstrip("=")
    other = Sessions(KEY[::-1], clock).token(Caller("mia"))
    pieces = (f"{forged}.{signature}", payload, f"{payload}.", f".{signature}", f"{token}x")
    for value in (*pieces, other, ".", "", "mia", "\u0663.\u0663"):
        assert sessions.identify(event_with(f"moderato_session={value}")) is None, value
    assert sessions.identify(event_with(f"moderato_session={token}")) == Caller("mia")


@pytest.mark.parametrize("name", ["", "   ", "a" * 65, "a\u202eb", "a\0b", "zero\u200bwidth"])
def test_a_name_has_to_be_printable_and_short(app: Handler, name: str) -> None:
    answer = sign_in(app, {"name": name})
    assert answer.status == 400
    assert answer.cookies == []
    assert "1 to 64 printable characters" in answer.page.one("problem").text
    assert answer.page.one("name")["aria-describedby"] == "problem"
    assert answer.page.unlabelled() == []


def test_one_name_is_one_person_however_it_is_composed(app: Handler, sessions: Sessions) -> None:
    answers = [sign_in(app, {"name": name}) for name in ("Zo\u00eb", "Zoe\u0308")]
    callers = {sessions.identify(event_with(answer.cookies[0].split(";")[0])) for answer in answers}
    assert callers == {Caller("Zo\u00eb")}


def test_another_site_can_sign_nobody_in(app: Handler) -> None:
    for path in (SIGN_IN_URL, "/console/sign-out"):
        answer = post(app, path, {"name": "eve"}, origin="https://evil.test")
        assert (answer.status, answer.cookies) == (403, [])


def test_without_a_session_the_console_asks_to_sign_in(app: Handler) -> None:
    assert get(app, "/console/reviews").location == SIGN_IN_URL
    page = get(app, SIGN_IN_URL).page
    assert page.text("h1") == "Sign in"
    assert page.all("nav") == []


def test_whoever_signs_in_sees_the_page_that_they_asked_for(app: Handler) -> None:
    asked = "/console/decisions/d_1?notice=erased"
    page = get(app, get(app, asked).location.replace("%2F", "/").replace("%3F", "?").replace("%3D", "=")).page
    [field] = page.all("input", name="page")
    assert field["value"] == asked
    assert sign_in(app, {"name": "mia", "page": asked}).location == asked
    assert sign_in(app, {"name": "mia", "page": "https://evil.test/console/reviews"}).location == "/console/reviews"


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    token = open_sessions(tmp_path).token(Caller("mia"))
    event = event_with(f"moderato_session={token}")
    assert open_sessions(tmp_path).identify(event) == Caller("mia")
    [key] = tmp_path.iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32


def test_a_damaged_key_signs_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "session.key").touch()
    with pytest.raises(OSError, match=r"session\.key is damaged"):
        open_sessions(tmp_path)


def test_a_cookie_of_a_release_with_other_fields_is_nobodys(sessions: Sessions) -> None:
    payload = b'{"name":"mia","role":"adjudicator"}'
    signed = (payload, hmac.digest(sessions.key, payload, "sha256"))
    value = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in signed)
    assert sessions.identify(event_with(f"moderato_session={value}")) is None


def test_a_cookie_that_signs_nobody_in_is_refused_by_the_api_and_not_taken_as_local(sessions: Sessions) -> None:
    value = sessions.token(Caller("mia"))
    with pytest.raises(NotSignedIn, match="sign in again"):
        sessions.caller(event_with(f"moderato_session={value}x"))
    assert sessions.caller(event_with("other=1")).is_local


def test_nobody_signs_in_as_local(app: Handler) -> None:
    answer = post(app, SIGN_IN_URL, {"name": "Local"})
    assert answer.status == 400
    assert "without signing in" in answer.body
    assert answer.cookies == []
