"""The authorizer says who sent a request by its token or key, and of whatever else comes that it is nobody's."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from hypothesis import given
from hypothesis import strategies as st

import authorizer.app
from authorizer.app import Failed, Handler, create_app
from moderato.access import SESSION_COOKIE, Scope
from moderato.keys import PlatformKey
from moderato.sqlite_keys import SqliteKeys
from tests.events import event
from tests.issuers import token, tokens
from tests.platform_keys import add_key
from tests.records import logger_to
from tests.stores import MovableClock

TENANT = "forum"
GUESS = "mod_" + "A" * 43
MARKER = "MARKER"


class CountedKeys(SqliteKeys):
    """Keys that remember how often one was looked up."""

    look_ups = 0

    def find(self, digest: str) -> PlatformKey | None:
        """Count, and look up."""
        self.look_ups += 1
        return super().find(digest)


class FailingKeys(SqliteKeys):
    """Keys that cannot be looked up now; what they raise says what was asked for."""

    def find(self, digest: str) -> PlatformKey | None:
        """Fail."""
        raise OSError(f"no connection to look {digest} up, {MARKER}")


@pytest.fixture
def keys(tmp_path: Path) -> CountedKeys:
    """An empty store of keys."""
    return CountedKeys(tmp_path / "keys.sqlite3")


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands at noon."""
    return MovableClock()


@pytest.fixture
def counted() -> list[str]:
    """The names that the authorizer counted."""
    return []


@pytest.fixture
def app(keys: CountedKeys, clock: MovableClock, counted: list[str]) -> Handler:
    """The authorizer of a deployment with keys and an issuer."""
    return create_app(keys, tokens(), TENANT, logger_to(io.StringIO()), clock, counted.append)


def ask(
    app: Handler,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    cookies: list[str] | None = None,
    path: str = "/model",
) -> dict[str, str]:
    """Return what the authorizer hands on of a request with these headers, `?key=` and cookies."""
    sent = event("GET", path, headers=headers, query=None if key is None else {"key": key})
    answer = app(sent if cookies is None else sent | {"cookies": cookies}, LambdaContext())
    assert answer["isAuthorized"] is True
    context: dict[str, str] = answer["context"]
    return context


def bearer(credential: str) -> dict[str, str]:
    """Return the header that most clients send."""
    return {"Authorization": f"Bearer {credential}"}


def test_a_key_opens_wherever_it_is_sent(app: Handler, keys: CountedKeys) -> None:
    text, key = add_key(keys, TENANT, scopes=[Scope.MODERATE])
    whose = {"subject": f"key:{key.key_id}", "scopes": "moderation/moderate", "groups": ""}
    assert ask(app, bearer(text)) == whose
    assert ask(app, {"x-api-key": text}) == whose
    assert ask(app, key=text) == whose


def test_a_token_opens_in_the_header_and_in_the_cookie_of_the_console(app: Handler) -> None:
    whose = {"subject": "mia", "scopes": "moderation/feedback moderation/moderate", "groups": ""}
    assert ask(app, bearer(token())) == whose
    assert ask(app, cookies=["theme=dark", f"{SESSION_COOKIE}={token()}"]) == whose
    assert ask(app, cookies=[f"moderato_session={token()}"]) == {"refusal": "missing"}


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", " Bearer  "])
def test_the_case_of_names_and_spaces_between_words_do_not_matter(
    app: Handler, keys: CountedKeys, name: str, scheme: str
) -> None:
    text, _ = add_key(keys, TENANT)
    sent = event("GET", "/model")
    answer = app(sent | {"headers": {name: f"{scheme} {text} "}}, LambdaContext())
    assert "subject" in answer["context"]


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "  "}, {"x-api-key": ""}])
@pytest.mark.parametrize("key", [None, ""])
def test_who_sends_nothing_is_told_so(app: Handler, headers: Mapping[str, str], key: str | None) -> None:
    assert ask(app, headers, key) == {"refusal": "missing"}


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        f"Bearer{GUESS}",
        GUESS,
        f"Bearer {GUESS} {GUESS}",
        f"Basic {GUESS}",
        f"Token {GUESS}",
        f"Bearer {GUESS[:-1]}",
        f"Bearer {GUESS}A",
        f"Bearer {GUESS[:-1]}é",
        f"Bearer {GUESS[:-1]}\x00",
        "Bearer mod_",
        "Bearer ..",
        "Bearer a.b.c",
        f"Bearer {'a' * 9000}",
        f"Bearer mod_{'a' * 1_000_000}",
        f"Bearer {'eyJ' + 'W' * 4000}.e30.AA",
    ],
)
def test_what_is_no_credential_is_refused_without_a_look_at_the_store(
    app: Handler, keys: CountedKeys, header: str
) -> None:
    assert ask(app, {"authorization": header}) == {"refusal": "invalid"}
    assert keys.look_ups == 0


def test_a_good_credential_that_is_too_long_or_not_in_ascii_is_refused(app: Handler, keys: CountedKeys) -> None:
    assert ask(app, bearer(token(padding="a" * 9000))) == {"refusal": "invalid"}
    text, _ = add_key(keys, TENANT)
    assert ask(app, {"authorization": f"Bearer\xa0{text}"}) == {"refusal": "invalid"}


def test_a_good_key_beside_another_scheme_is_refused(app: Handler, keys: CountedKeys) -> None:
    text, _ = add_key(keys, TENANT)
    assert ask(app, {"authorization": f"Basic YTpi, Bearer {text}"}) == {"refusal": "invalid"}
    assert ask(app, {"authorization": "Basic YTpi", "x-api-key": text}) == {"refusal": "invalid"}


def test_two_credentials_that_differ_are_refused_although_both_are_good(app: Handler, keys: CountedKeys) -> None:
    one, other = (add_key(keys, TENANT)[0] for _ in range(2))
    assert ask(app, {"authorization": f"Bearer {one}", "x-api-key": other}) == {"refusal": "invalid"}
    assert ask(app, bearer(one), key=other) == {"refusal": "invalid"}
    assert ask(app, key=f"{one},{other}") == {"refusal": "invalid"}
    assert ask(app, {"authorization": f"Bearer {one},Bearer {other}"}) == {"refusal": "invalid"}
    assert ask(app, bearer(one), cookies=[f"{SESSION_COOKIE}={token()}"]) == {"refusal": "invalid"}
    assert ask(app, cookies=[f"{SESSION_COOKIE}={token(sub=name)}" for name in "ab"]) == {"refusal": "invalid"}


def test_one_credential_sent_twice_is_one(app: Handler, keys: CountedKeys) -> None:
    text, _ = add_key(keys, TENANT)
    assert "subject" in ask(app, bearer(text) | {"x-api-key": text}, key=f"{text},{text}")


def test_an_unknown_and_a_revoked_key_are_answered_alike(app: Handler, keys: CountedKeys) -> None:
    text, key = add_key(keys, TENANT)
    keys.revoke(key.key_id)
    assert ask(app, bearer(text)) == ask(app, bearer(GUESS)) == {"refusal": "invalid"}


def test_an_expired_key_is_told_so(app: Handler, keys: CountedKeys, clock: MovableClock) -> None:
    text, _ = add_key(keys, TENANT, days=1)
    assert "subject" in ask(app, bearer(text))
    clock.move(days=1)
    assert ask(app, bearer(text)) == {"refusal": "expired"}


def test_an_expired_key_is_told_so_although_it_was_just_found(
    app: Handler, keys: CountedKeys, clock: MovableClock
) -> None:
    text, _ = add_key(keys, TENANT, days=1)
    clock.move(seconds=24 * 3600 - 1)
    assert "subject" in ask(app, bearer(text))
    clock.move(seconds=1)
    assert ask(app, bearer(text)) == {"refusal": "expired"}


def test_a_key_of_another_tenant_opens_nothing_and_tells_nothing_else(app: Handler, keys: CountedKeys) -> None:
    assert ask(app, bearer(add_key(keys, "chat")[0])) == {"refusal": "other_tenant"}
    long_expired = add_key(keys, "chat", days=-1)[0]
    assert ask(app, bearer(long_expired)) == {"refusal": "other_tenant"}


def test_a_key_is_looked_up_once_a_minute_and_a_revoked_one_opens_no_longer_than_that(
    app: Handler, keys: CountedKeys, clock: MovableClock
) -> None:
    text, key = add_key(keys, TENANT)
    for _ in range(3):
        assert "subject" in ask(app, bearer(text))
    assert keys.look_ups == 1
    keys.revoke(key.key_id)
    clock.move(seconds=59)
    assert "subject" in ask(app, bearer(text))
    clock.move(seconds=1)
    assert ask(app, bearer(text)) == {"refusal": "invalid"}


def test_a_key_that_was_not_found_is_looked_up_again(app: Handler, keys: CountedKeys) -> None:
    ask(app, bearer(GUESS))
    ask(app, bearer(GUESS))
    assert keys.look_ups == 2


def test_more_keys_than_are_remembered_all_open(app: Handler, keys: CountedKeys) -> None:
    texts = [add_key(keys, TENANT)[0] for _ in range(1030)]
    assert all("subject" in ask(app, bearer(text)) for text in texts)


def test_without_keys_or_an_issuer_nobody_is_known(keys: CountedKeys) -> None:
    logger = logger_to(io.StringIO())
    text, _ = add_key(keys, TENANT)
    assert ask(create_app(None, tokens(), TENANT, logger), bearer(text)) == {"refusal": "invalid"}
    assert ask(create_app(keys, None, TENANT, logger), bearer(token())) == {"refusal": "invalid"}


def test_an_authorizer_without_an_issuer_needs_no_library_for_tokens() -> None:
    # A laptop has none: `make serve` installs neither PyJWT nor what it needs.
    code = "import sys, authorizer.app; print({'jwt', 'cryptography'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(authorizer.app.__file__).parents[1])}
    asked = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"


def test_every_refusal_is_counted_by_its_name_and_nobody_else(
    app: Handler, keys: CountedKeys, counted: list[str]
) -> None:
    ask(app)
    ask(app, bearer(GUESS))
    ask(app, bearer(add_key(keys, "chat")[0]))
    ask(app, bearer(token(exp=1)))
    ask(app, bearer(token()))
    assert counted == ["refused_missing", "refused_invalid", "refused_other_tenant", "refused_expired"]


def test_where_keys_cannot_be_looked_up_nobody_gets_in_and_nothing_is_told(tmp_path: Path) -> None:
    log = io.StringIO()
    app = create_app(FailingKeys(tmp_path / "keys.sqlite3"), None, TENANT, logger_to(log))
    with pytest.raises(Failed) as raised:
        ask(app, bearer(GUESS))
    assert MARKER not in log.getvalue() + str(raised.value)
    assert raised.value.__suppress_context__
    assert json.loads(log.getvalue())["error_type"] == "OSError"


def test_nothing_of_a_credential_is_logged_or_handed_on(keys: CountedKeys) -> None:
    log = io.StringIO()
    app = create_app(keys, tokens(), TENANT, logger_to(log))
    marked = "mod_" + MARKER + "A" * 37
    forged = token(algorithm="HS256", key=MARKER * 8, sub=MARKER, iss=MARKER)
    sent: list[dict[str, Any]] = [
        {"headers": bearer(marked)},
        {"headers": bearer(MARKER)},
        {"headers": bearer(f"{MARKER}.{MARKER}.{MARKER}")},
        {"headers": bearer(forged)},
        {"headers": bearer(token(sub="mia", iss=MARKER))},
        {"headers": bearer(token(key_id=MARKER))},
        {"headers": bearer(token(exp=1, jti=MARKER))},
        {"headers": {"authorization": f"{MARKER} {MARKER}"}},
        {"headers": {"x-api-key": MARKER * 9000}},
        {"key": marked},
        {"cookies": [f"{SESSION_COOKIE}={MARKER}"]},
        {"path": f"/{MARKER}"},
    ]
    told = [ask(app, **request) for request in sent]
    assert MARKER not in log.getvalue() + json.dumps(told)
    assert len(log.getvalue().splitlines()) == len(sent)


@given(
    headers=st.dictionaries(st.sampled_from(["authorization", "x-api-key", "X-API-Key"]), st.text()),
    key=st.none() | st.text(),
    cookies=st.none() | st.lists(st.text() | st.text().map(lambda value: f"{SESSION_COOKIE}={value}"), max_size=2),
)
def test_nothing_but_a_good_credential_opens_and_nothing_makes_it_fail(
    headers: dict[str, str], key: str | None, cookies: list[str] | None
) -> None:
    app = create_app(None, tokens(), TENANT, logger_to(io.StringIO()))
    sent = event("GET", "/model") | {"headers": headers, "queryStringParameters": {} if key is None else {"key": key}}
    context = app(sent if cookies is None else sent | {"cookies": cookies}, LambdaContext())["context"]
    assert set(context) == {"refusal"}
