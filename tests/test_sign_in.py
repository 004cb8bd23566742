"""Signing in to the deployed console: by an identity provider, once an attempt, and to no page but the console's."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from feedback.app import Handler, create_app
from feedback.code_exchange import ExchangeFailed, Failure, Grant, exchange_at
from feedback.console import Console
from feedback.console_security import page_after_sign_in
from feedback.sign_in import Endpoints, add_sign_in
from moderato.access import Identity, Refusal, Scope, caller_of_authorizer, context_of, require_access
from moderato.sqlite import SqliteStore
from tests.consoles import assert_is_accessible, assert_is_safe
from tests.identity_provider import GOOD, TOKEN, IdentityProvider, flat, providing
from tests.pages import Answer, asking, call
from tests.records import logger_to

QUEUE = "/console/reviews"
SESSION = f"__Host-moderato={TOKEN}"
MIA = Identity("mia", frozenset({Scope.FEEDBACK}))


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider."""
    with providing() as provider:
        yield provider


@pytest.fixture
def app_at(store: SqliteStore, logs: StringIO) -> Callable[[Endpoints], Handler]:
    """Builds the feedback app as it is deployed, with a sign-in."""

    def build(endpoints: Endpoints) -> Handler:
        console = add_sign_in(Console(), endpoints)
        return create_app(
            store,
            ["insult"],
            logger_to(logs),
            identify=caller_of_authorizer,
            console=console,
            guard=require_access,
        )

    return build


@pytest.fixture
def app(app_at: Callable[[Endpoints], Handler], provider: IdentityProvider) -> Handler:
    """The feedback app, whose people the test's own identity provider knows."""
    return app_at(endpoints_of(provider))


def endpoints_of(provider: IdentityProvider) -> Endpoints:
    """Return where the console finds the provider."""
    return Endpoints("https://id.test/authorize", provider.token_url, "https://id.test/logout", "console-1")


def ask(
    app: Handler,
    address: str,
    found: Identity | Refusal | None = Refusal.MISSING,
    cookie: str | None = None,
    method: str = "GET",
    **headers: str,
) -> Answer:
    """Send a request as API Gateway does; `found` is what the authorizer says, None = there is none."""
    path, _, query = address.partition("?")
    sent = headers | ({} if cookie is None else {"cookie": cookie})
    request = asking(method, path, "", sent, None if method == "GET" else "")
    request["rawQueryString"] = query
    request["queryStringParameters"] = flat(query) if query else {}
    request["requestContext"]["domainName"] = "console.test"
    if found is not None:
        request["requestContext"]["authorizer"] = {"lambda": context_of(found)}
    return call(app, request)


def begin(app: Handler, page: str | None = None) -> tuple[str, str]:
    """Begin to sign in; return where the browser is sent, and the cookie that it keeps."""
    answer = ask(app, "/console/sign-in" + (f"?{urlencode({'page': page})}" if page is not None else ""))
    [cookie] = answer.cookies
    return answer.location, cookie.split("; ")[0]


def come_back(app: Handler, provider: IdentityProvider, page: str | None = None) -> Answer:
    """Sign in at the provider, and come back."""
    location, cookie = begin(app, page)
    return ask(app, f"/console/signed-in?{provider.sign_in(location)}", cookie=cookie)


def assert_failed(answer: Answer, status: int, words: str) -> None:
    """Check that nobody was signed in, and that a page says why."""
    assert answer.status == status
    assert_is_safe(answer)
    assert_is_accessible(answer.page)
    assert answer.page.text("h1") == "Sign-in failed"
    assert words in answer.page.text("main")
    assert answer.page.all("a", class_="button primary")[0]["href"] == "/console/sign-in"
    assert not [cookie for cookie in answer.cookies if cookie.startswith("__Host-moderato=")]


def test_whoever_comes_back_with_a_code_is_signed_in(app: Handler, provider: IdentityProvider) -> None:
    answer = come_back(app, provider)
    assert answer.location == QUEUE
    assert answer.cookies == [
        f"__Host-moderato={TOKEN}; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
        "__Host-moderato-sign-in=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
    ]
    [asked] = provider.asked
    assert asked["redirect_uri"] == "https://console.test/console/signed-in"
    page = ask(app, QUEUE, MIA, SESSION).page
    assert page.all("bdi")[0].text == "mia"
    assert "Sign out" in page.text("header")


def test_the_browser_is_sent_with_all_that_the_provider_needs(app: Handler) -> None:
    answer = ask(app, "/console/sign-in")
    assert answer.location.partition("?")[0] == "https://id.test/authorize"
    sent = flat(urlsplit(answer.location).query)
    state, verifier, page = answer.cookies[0].split("; ")[0].partition("=")[2].split(".")
    challenge = sent.pop("code_challenge")
    assert sent == {
        "response_type": "code",
        "client_id": "console-1",
        "redirect_uri": "https://console.test/console/signed-in",
        "scope": "moderation/feedback",
        "state": state,
        "code_challenge_method": "S256",
    }
    assert page == QUEUE
    assert len(state) == len(verifier) == len(challenge) == 43
    assert verifier not in answer.location
    assert answer.cookies[0].endswith("; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Lax")


def test_no_two_attempts_are_alike(app: Handler) -> None:
    (_, first), (_, second) = begin(app), begin(app)
    assert not set(first.split("=", 1)[1].split(".")[:2]) & set(second.split("=", 1)[1].split(".")[:2])


def test_an_address_with_a_query_of_its_own_keeps_it(
    app_at: Callable[[Endpoints], Handler], provider: IdentityProvider
) -> None:
    app = app_at(replace(endpoints_of(provider), sign_in_url="https://id.test/authorize?audience=moderato"))
    location, _ = begin(app)
    assert location.startswith("https://id.test/authorize?audience=moderato&response_type=code&")


@pytest.mark.parametrize("change", ["", "x", "state", "no cookie", "other cookie", "no state"])
def test_an_answer_to_another_attempt_signs_nobody_in(app: Handler, provider: IdentityProvider, change: str) -> None:
    location, cookie = begin(app)
    came = flat(provider.sign_in(location))
    if change in ("", "x"):
        came["state"] = came["state"][:-1] + change
    if change == "state":
        came["state"] = flat(urlsplit(begin(app)[0]).query)["state"]
    if change == "no state":
        del came["state"]
    kept = {"no cookie": None, "other cookie": begin(app)[1]}.get(change, cookie)
    answer = ask(app, f"/console/signed-in?{urlencode(came)}", cookie=kept)
    assert_failed(answer, 400, "not begun here")
    assert answer.cookies == []
    assert provider.asked == []


@pytest.mark.parametrize("cookie", ["__Host-moderato-sign-in=", "__Host-moderato-sign-in=..", "other=1"])
def test_an_empty_state_fits_no_empty_cookie(app: Handler, provider: IdentityProvider, cookie: str) -> None:
    assert_failed(ask(app, "/console/signed-in?code=a&state=", cookie=cookie), 400, "not begun here")
    assert provider.asked == []


def test_a_code_is_worth_nothing_without_its_verifier(app: Handler, provider: IdentityProvider) -> None:
    location, cookie = begin(app)
    state, verifier, page = cookie.split(".", 2)
    forged = f"{state}.{verifier[::-1]}.{page}"
    answer = ask(app, f"/console/signed-in?{provider.sign_in(location)}", cookie=forged)
    assert_failed(answer, 502, "did not confirm this sign-in")


def test_an_attempt_counts_once(app: Handler, provider: IdentityProvider) -> None:
    location, cookie = begin(app)
    came = provider.sign_in(location)
    assert ask(app, f"/console/signed-in?{came}", cookie=cookie).status == 303
    assert_failed(ask(app, f"/console/signed-in?{came}", cookie=cookie), 502, "did not confirm this sign-in")
    assert_failed(ask(app, f"/console/signed-in?{came}"), 400, "not begun here")


def test_an_attempt_that_failed_is_over(app: Handler, provider: IdentityProvider) -> None:
    provider.status = 500
    assert [cookie.split(";")[0] for cookie in come_back(app, provider).cookies] == ["__Host-moderato-sign-in="]


def test_people_come_back_to_the_page_that_they_asked_for(app: Handler, provider: IdentityProvider) -> None:
    asked = "/console/reviews/r_1?notice=saved"
    location = ask(app, asked).location
    assert location == "/console/sign-in?page=%2Fconsole%2Freviews%2Fr_1%3Fnotice%3Dsaved"
    assert come_back(app, provider, asked).location == asked


FOREIGN = [
    "https://evil.test/console/reviews",
    "//evil.test/console",
    "/\\evil.test",
    "/console/..//evil.test",
    "/console/../../evil",
    "/console//evil.test",
    "/console/reviews\r\nSet-Cookie: a=b",
    "/console/reviews\n",
    "/console/reviews?a=b#//evil.test",
    "/console/reviews;a=b",
    "/console/reviews/\u2044evil",
    "/consoles/reviews",
    "console/reviews",
    "/console/@evil.test",
    "javascript:alert(1)",
    "/moderate",
    "/console/sign-in?page=/console/sign-in",
    "/console/signed-out",
    "/console/reviews?cursor=" + "a" * 512,
    "",
]


@pytest.mark.parametrize("page", FOREIGN)
def test_no_link_leads_out_of_the_console(app: Handler, provider: IdentityProvider, page: str) -> None:
    assert come_back(app, provider, page).location == QUEUE
    location, cookie = begin(app)
    forged = ".".join([*cookie.split(".")[:2], page])
    assert ask(app, f"/console/signed-in?{provider.sign_in(location)}", cookie=forged).location == QUEUE


@pytest.mark.parametrize(
    "page", ["/console/reviews", "/console/reviews/next?reason=uncertain&last=r_1", "/console/loop"]
)
def test_every_page_of_the_console_can_be_come_back_to(page: str) -> None:
    assert page_after_sign_in(page) == page


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("access_denied", 400, "cancelled"),
        ("server_error", 502, "could not sign you in"),
        ("zebrafish", 502, "could not sign you in"),
        ("", 502, "could not sign you in"),
    ],
)
def test_what_the_provider_says_instead_of_a_code_is_shown_in_our_own_words(
    app: Handler, provider: IdentityProvider, logs: StringIO, error: str, status: int, words: str
) -> None:
    location, cookie = begin(app)
    came = {"error": error, "error_description": "zebrafish", "error_uri": "https://zebrafish.test"}
    state = flat(urlsplit(location).query)["state"]
    answer = ask(app, f"/console/signed-in?{urlencode(came | {'state': state, 'code': 'a'})}", cookie=cookie)
    assert_failed(answer, status, words)
    assert "zebrafish" not in answer.body + logs.getvalue()
    assert provider.asked == []
    assert_failed(ask(app, f"/console/signed-in?{urlencode(came | {'state': 'x'})}", cookie=cookie), 400, "not begun")


@pytest.mark.parametrize("code", [None, "", "a" * 4097, "a\nb", "\u00e9"])
def test_an_answer_without_a_code_is_not_asked_about(
    app: Handler, provider: IdentityProvider, code: str | None
) -> None:
    location, cookie = begin(app)
    came = {"state": flat(urlsplit(location).query)["state"]} | ({} if code is None else {"code": code})
    assert_failed(ask(app, f"/console/signed-in?{urlencode(came)}", cookie=cookie), 400, "no code")
    assert provider.asked == []


BAD_ANSWERS: dict[str, tuple[bytes, Failure]] = {
    "empty": (b"", Failure.MALFORMED),
    "html": (b"<html>", Failure.MALFORMED),
    "list": (b"[]", Failure.MALFORMED),
    "deep": (b'{"a":' + b"[" * 50_000, Failure.MALFORMED),
    "bytes": (b'{"access_token":"\xff"}', Failure.MALFORMED),
    "no token": (b'{"token_type":"Bearer"}', Failure.MALFORMED),
    "no type": (b'{"access_token":"a"}', Failure.MALFORMED),
    "type": (json.dumps(GOOD | {"token_type": "mac"}).encode(), Failure.MALFORMED),
    "cookie": (json.dumps(GOOD | {"access_token": "a; Path=/"}).encode(), Failure.MALFORMED),
    "header": (json.dumps(GOOD | {"access_token": "a\r\nX: y"}).encode(), Failure.MALFORMED),
    "line": (json.dumps(GOOD | {"access_token": "a\n"}).encode(), Failure.MALFORMED),
    "number": (json.dumps(GOOD | {"access_token": 7}).encode(), Failure.MALFORMED),
    "never": (json.dumps(GOOD | {"expires_in": 0}).encode(), Failure.MALFORMED),
    "large": (json.dumps(GOOD | {"id_token": "a" * 65_536}).encode(), Failure.TOO_LARGE),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_an_answer_that_is_no_token_signs_nobody_in(
    app: Handler, provider: IdentityProvider, logs: StringIO, name: str
) -> None:
    provider.answer, failure = BAD_ANSWERS[name]
    words = {Failure.MALFORMED: "makes no sense", Failure.TOO_LARGE: "too large"}[failure]
    assert_failed(come_back(app, provider), 502, words)
    assert failure.value in logs.getvalue()


def test_a_provider_that_is_not_there_is_said_so(app_at: Callable[[Endpoints], Handler]) -> None:
    with providing() as provider:
        app = app_at(endpoints_of(provider))
        location, cookie = begin(app)
        came = provider.sign_in(location)
    assert_failed(ask(app, f"/console/signed-in?{came}", cookie=cookie), 502, "did not answer in time")


def test_a_provider_that_never_answers_is_left(provider: IdentityProvider) -> None:
    provider.wait = threading.Event()
    exchange = exchange_at(provider.token_url, "console-1", timeout_seconds=0.05)
    with pytest.raises(ExchangeFailed) as caught:
        exchange(Grant("code", "v" * 43, "https://console.test/console/signed-in"))
    assert caught.value.failure is Failure.UNREACHABLE


def test_a_code_follows_no_redirect(app: Handler, provider: IdentityProvider) -> None:
    provider.status, provider.headers = 307, {"Location": provider.token_url}
    assert_failed(come_back(app, provider), 502, "did not confirm this sign-in")
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("changes", "age"),
    [
        ({"expires_in": "600"}, "; Max-Age=600"),
        ({"expires_in": None}, ""),
        ({"expires_in": 10**12}, "; Max-Age=31536000"),
    ],
)
def test_a_session_is_as_long_as_its_token(
    app: Handler, provider: IdentityProvider, changes: dict[str, Any], age: str
) -> None:
    provider.answer = json.dumps(GOOD | changes).encode()
    assert come_back(app, provider).cookies[0] == f"{SESSION}; Path=/{age}; HttpOnly; Secure; SameSite=Lax"


def test_a_token_that_no_browser_would_keep_is_said_so(app: Handler, provider: IdentityProvider) -> None:
    provider.answer = json.dumps(GOOD | {"access_token": "a" * 3900}).encode()
    [session, _] = come_back(app, provider).cookies
    assert len(session) < 4096
    provider.answer = json.dumps(GOOD | {"access_token": "a" * 3901}).encode()
    assert_failed(come_back(app, provider), 400, "3901 characters")


def test_nobody_without_a_session_sees_a_page(app: Handler) -> None:
    assert ask(app, QUEUE).location == "/console/sign-in"
    assert ask(app, QUEUE, found=None).location == "/console/sign-in"
    answer = ask(app, "/console/reviews/r_1/undo", method="POST", content_type="application/x-www-form-urlencoded")
    assert answer.status == 401
    assert "nothing was saved" in answer.page.text("main")


@pytest.mark.parametrize("found", [Refusal.EXPIRED, Refusal.INVALID, None])
def test_a_session_that_is_refused_gets_a_page_and_no_round_trip(app: Handler, found: Refusal | None) -> None:
    answer = ask(app, "/console/reviews/r_1", found, SESSION)
    assert answer.status == 401
    assert_is_safe(answer)
    assert_is_accessible(answer.page)
    assert answer.page.text("h1") == "Session ended"
    assert (
        answer.page.all("a", class_="button primary")[0]["href"] == "/console/sign-in?page=%2Fconsole%2Freviews%2Fr_1"
    )
    assert answer.headers["www-authenticate"].startswith("Bearer")
    form = ask(app, "/console/reviews/r_1/undo", found, SESSION, "POST")
    assert (form.status, form.page.text("h1")) == (401, "Session ended")


def test_a_key_is_nobody_in_the_console_and_goes_nowhere_from_there(
    app: Handler, app_at: Callable[[Endpoints], Handler]
) -> None:
    key = Identity("key:k_1", frozenset({Scope.FEEDBACK}))
    assert ask(app, f"{QUEUE}?key=mod_1", key).location == "/console/sign-in"
    assert ask(app, "/console/decisions?key=mod_1", key).location == "/console/sign-in?page=%2Fconsole%2Fdecisions"
    assert ask(app, "/console/decisions?key=mod_1&page=2", Refusal.INVALID, SESSION).status == 401
    assert "mod_1" not in ask(app, "/console/decisions?key=mod_1&page=2", Refusal.INVALID, SESSION).body
    assert ask(app_at(Endpoints("", "", "", "")), QUEUE, key).status == 401


def test_somebody_without_the_scope_is_told_so_and_can_sign_out(app: Handler) -> None:
    answer = ask(app, QUEUE, Identity("pat", frozenset({Scope.MODERATE})), SESSION)
    assert answer.status == 403
    assert_is_safe(answer)
    assert_is_accessible(answer.page)
    assert answer.page.text("h1") == "No access to the console"
    assert "moderation/feedback" in answer.page.text("main")
    assert answer.page.all("form", action="/console/sign-out")
    assert "nav" not in {element.tag for element in answer.page.elements}


def test_signing_out_ends_the_session_here_and_at_the_provider(app: Handler) -> None:
    answer = ask(app, "/console/sign-out", MIA, SESSION, "POST", sec_fetch_site="same-origin", origin="null")
    assert answer.status == 200
    assert answer.cookies == ["__Host-moderato=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"]
    wait, _, url = answer.headers["refresh"].partition("; url=")
    assert (wait, url.partition("?")[0]) == ("0", "https://id.test/logout")
    assert flat(urlsplit(url).query) == {
        "client_id": "console-1",
        "logout_uri": "https://console.test/console/signed-out",
        "post_logout_redirect_uri": "https://console.test/console/signed-out",
    }
    assert answer.page.all("a", class_="button primary")[0]["href"] == url
    assert_is_accessible(answer.page)
    end = ask(app, "/console/signed-out")
    assert_is_safe(end)
    assert end.page.text("h1") == "Signed out"
    assert end.page.all("a", class_="button primary")[0]["href"] == "/console/sign-in"


def test_a_provider_without_a_way_out_is_not_asked(
    app_at: Callable[[Endpoints], Handler], provider: IdentityProvider
) -> None:
    answer = ask(app_at(replace(endpoints_of(provider), sign_out_url="")), "/console/sign-out", MIA, SESSION, "POST")
    assert answer.location == "/console/signed-out"
    assert len(answer.cookies) == 1


def test_another_site_can_sign_nobody_out(app: Handler) -> None:
    for headers in ({"origin": "https://evil.test"}, {"sec_fetch_site": "cross-site"}):
        answer = ask(app, "/console/sign-out", MIA, SESSION, "POST", **headers)
        assert (answer.status, answer.cookies) == (403, [])


def test_without_a_sign_in_the_console_is_closed(app_at: Callable[[Endpoints], Handler]) -> None:
    app = app_at(Endpoints("", "", "", ""))
    assert ask(app, QUEUE).status == 401
    assert ask(app, "/console/sign-in").status == 404
    assert "Sign in" not in ask(app, QUEUE).page.text("main")


@pytest.mark.parametrize(
    "endpoints",
    [
        Endpoints("https://id.test/a", "", "", "console-1"),
        Endpoints("https://id.test/a", "https://id.test/t", "", ""),
        Endpoints("http://id.test/a", "https://id.test/t", "", "console-1"),
        Endpoints("https://id.test/a", "http://127.0.0.1.evil.test/t", "", "console-1"),
        Endpoints("https://id.test/a", "https://id.test/t", "javascript:alert(1)", "console-1"),
    ],
)
def test_half_a_sign_in_does_not_start(endpoints: Endpoints) -> None:
    with pytest.raises(ValueError, match="the sign-in needs"):
        add_sign_in(Console(), endpoints)


def test_logs_hold_no_code_no_token_and_no_state(app: Handler, provider: IdentityProvider, logs: StringIO) -> None:
    location, cookie = begin(app)
    came = provider.sign_in(location)
    ask(app, f"/console/signed-in?{came}", cookie=cookie)
    ask(app, f"/console/signed-in?{came}", cookie=cookie)
    ask(app, QUEUE, Refusal.INVALID, SESSION)
    state, verifier, _ = cookie.partition("=")[2].split(".")
    assert "signed_in" in logs.getvalue()
    assert not [secret for secret in (state, verifier, TOKEN, "code-0") if secret in logs.getvalue()]
