"""The issuer's keys are asked for seldom, and where they cannot be had nobody's token counts as verified."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from authorizer.app import Failed, create_app
from authorizer.signing_keys import SigningKeys, UnreachableIssuer, fetch_from
from authorizer.tokens import IssuedTokens
from tests.events import event
from tests.issuers import CLIENT, EC_KEY_ID, ISSUER, KEY_ID, key_set, serving, token
from tests.records import logger_to
from tests.stores import MovableClock


class Published:
    """What an issuer publishes, and how often it was asked."""

    def __init__(self) -> None:
        """Publish the usual keys."""
        self.keys: dict[str, Any] = key_set()
        self.asked = 0
        self.is_reachable = True

    def __call__(self) -> dict[str, Any]:
        """Answer with the keys."""
        self.asked += 1
        if not self.is_reachable:
            raise UnreachableIssuer("no connection")
        return self.keys


@pytest.fixture
def published() -> Published:
    """An issuer."""
    return Published()


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands at noon."""
    return MovableClock()


@pytest.fixture
def signing_keys(published: Published, clock: MovableClock) -> SigningKeys:
    """The keys of the issuer."""
    return SigningKeys(published, clock)


def test_keys_are_asked_for_with_the_first_token_and_every_ten_minutes(
    signing_keys: SigningKeys, published: Published, clock: MovableClock
) -> None:
    assert published.asked == 0
    for _ in range(3):
        assert signing_keys(KEY_ID) is not None
        assert signing_keys(EC_KEY_ID) is not None
        clock.move(seconds=199)
    assert published.asked == 1
    clock.move(seconds=3)
    assert signing_keys(KEY_ID) is not None
    assert published.asked == 2


def test_a_withdrawn_key_counts_for_ten_minutes_more(
    signing_keys: SigningKeys, published: Published, clock: MovableClock
) -> None:
    assert signing_keys(KEY_ID) is not None
    published.keys = {"keys": key_set()["keys"][1:]}
    clock.move(seconds=600)
    assert signing_keys(KEY_ID) is None


def test_an_unknown_key_is_asked_for_once_a_minute_at_most(
    signing_keys: SigningKeys, published: Published, clock: MovableClock
) -> None:
    for _ in range(5):
        assert signing_keys("unknown") is None
    assert published.asked == 1
    clock.move(seconds=60)
    for _ in range(5):
        assert signing_keys("unknown") is None
    assert published.asked == 2


def test_a_new_key_counts_within_a_minute(signing_keys: SigningKeys, published: Published, clock: MovableClock) -> None:
    published.keys = {"keys": key_set()["keys"][:1]}
    assert signing_keys(EC_KEY_ID) is None
    published.keys = key_set()
    clock.move(seconds=60)
    assert signing_keys(EC_KEY_ID) is not None


def test_an_issuer_that_is_gone_is_asked_for_an_unknown_key_once_a_minute_at_most(
    signing_keys: SigningKeys, published: Published, clock: MovableClock
) -> None:
    assert signing_keys(KEY_ID) is not None
    published.is_reachable = False
    clock.move(seconds=60)
    with pytest.raises(UnreachableIssuer):
        signing_keys("unknown")
    assert signing_keys("unknown") is None
    assert signing_keys(KEY_ID) is not None
    assert published.asked == 2


def test_an_issuer_that_does_not_answer_is_given_a_moment(
    signing_keys: SigningKeys, published: Published, clock: MovableClock
) -> None:
    published.is_reachable = False
    for seconds in (0, 1, 3):
        clock.move(seconds=seconds)
        with pytest.raises(UnreachableIssuer):
            signing_keys(KEY_ID)
    assert published.asked == 1
    published.is_reachable = True
    clock.move(seconds=1)
    assert signing_keys(KEY_ID) is not None
    assert published.asked == 2


def test_nobody_gets_in_while_the_issuer_cannot_be_reached(published: Published) -> None:
    published.is_reachable = False
    log = io.StringIO()
    tokens = IssuedTokens(ISSUER, frozenset([CLIENT]), SigningKeys(published))
    app = create_app(None, tokens, "forum", logger_to(log))
    with pytest.raises(Failed):
        app(event("GET", "/model", headers={"authorization": f"Bearer {token()}"}), LambdaContext())
    assert json.loads(log.getvalue())["error_type"] == "UnreachableIssuer"


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": [{"kty": "none"}]}, {"keys": "none"}])
def test_an_issuer_without_a_usable_key_counts_as_unreachable(keys: dict[str, Any]) -> None:
    with pytest.raises(UnreachableIssuer):
        SigningKeys(lambda: keys)(KEY_ID)


def test_keys_are_found_by_the_issuers_own_description() -> None:
    described = {"issuer": "BASE/eu", "jwks_uri": "BASE/keys"}
    with serving({"/eu/.well-known/openid-configuration": described, "/keys": key_set()}) as base:
        assert SigningKeys(fetch_from(f"{base}/eu", ""))(KEY_ID) is not None


def test_the_address_of_the_keys_may_be_given() -> None:
    with serving({"/keys": key_set()}) as base:
        assert SigningKeys(fetch_from(ISSUER, f"{base}/keys"))(KEY_ID) is not None


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://other.example", "jwks_uri": "BASE/keys"},
        {"issuer": "BASE"},
        {"issuer": "BASE", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "BASE", "jwks_uri": "BASE/nothing"},
        ["BASE"],
        "<html>",
        None,
    ],
)
def test_a_description_that_is_not_the_issuers_leads_nowhere(described: object) -> None:
    with serving({"/.well-known/openid-configuration": described, "/keys": key_set()}) as base:
        fetch = fetch_from(base, "")
        with pytest.raises(UnreachableIssuer):
            fetch()


def test_keys_are_read_from_no_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(key_set()))
    with pytest.raises(UnreachableIssuer):
        fetch_from(ISSUER, (tmp_path / "keys.json").as_uri())()


def test_an_issuer_that_does_not_listen_is_unreachable() -> None:
    with serving({}) as base:
        pass
    with pytest.raises(UnreachableIssuer):
        fetch_from(ISSUER, f"{base}/keys")()
