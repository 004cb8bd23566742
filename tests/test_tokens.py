"""A token opens only as its issuer signed it, for us, and for as long as it says."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from moderato.access import Identity, Refusal, Scope
from moderato.clock import utc_now
from tests.issuers import EC_KEY_ID, KEY_ID, SHARED_KEY_ID, claims, ec_key, foreign_key, rsa_key, token, tokens

TIMES = {"exp", "nbf", "iat"}


def timed(changed: dict[str, Any]) -> dict[str, Any]:
    """Return claims whose times are given in seconds from now."""
    now = int(utc_now().timestamp())
    return {name: now + value if name in TIMES and isinstance(value, int) else value for name, value in changed.items()}


def part(value: object) -> str:
    """Return one part of a token: JSON in base64url."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_names_its_subject_and_what_it_may_do() -> None:
    assert tokens()(token()) == Identity("mia", frozenset(Scope))


def test_both_kinds_of_signatures_are_verified() -> None:
    assert isinstance(tokens()(token(ec_key(), "ES256", EC_KEY_ID)), Identity)


@pytest.mark.parametrize(
    ("changed", "scopes"),
    [
        ({"scope": "moderation/moderate"}, {Scope.MODERATE}),
        ({"scope": None, "scp": "openid moderation/feedback"}, {Scope.FEEDBACK}),
        ({"scope": None, "scp": ["moderation/moderate", "email"]}, {Scope.MODERATE}),
        ({"scope": None}, set()),
        ({"scope": ""}, set()),
        ({"scope": "moderation/moderated moderation moderate"}, set()),
        ({"scope": None, "scp": ["openid moderation/feedback"]}, set()),
        ({"scope": {"moderation/feedback": True}}, set()),
        ({"scope": 7}, set()),
    ],
)
def test_only_scopes_of_ours_count_however_the_issuer_lists_them(changed: dict[str, Any], scopes: set[Scope]) -> None:
    assert tokens()(token(**changed)) == Identity("mia", frozenset(scopes))


@pytest.mark.parametrize(
    ("changed", "groups"),
    [
        ({"cognito:groups": ["adjudicators"]}, {"adjudicators"}),
        ({"cognito:groups": ["moderators", "adjudicators"]}, {"adjudicators"}),
        ({"groups": ["adjudicators"]}, {"adjudicators"}),
        ({"cognito:groups": ["adjudicators-in-training"]}, set()),
        ({"cognito:groups": ["no adjudicators"]}, set()),
        ({"cognito:groups": [], "groups": ["adjudicators"]}, set()),
        ({"cognito:groups": "adjudicators"}, set()),
        ({"cognito:groups": 7}, set()),
    ],
)
def test_only_the_group_of_adjudicators_counts(changed: dict[str, Any], groups: set[str]) -> None:
    assert tokens()(token(**changed)) == Identity("mia", frozenset(Scope), frozenset(groups))


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": None, "aud": "https://moderation.example"},
        {"aud": ["https://other.example", "https://moderation.example"]},
        {"client_id": "anything", "aud": "platform-client"},
        {"token_use": None},
        {"exp": -10},
        {"nbf": 10},
        {"iat": 10},
        {"iat": None},
    ],
)
def test_a_token_for_us_opens_within_half_a_minute_of_its_time(changed: dict[str, Any]) -> None:
    assert isinstance(tokens()(token(**timed(changed))), Identity)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": [60]},
        {"nbf": 120},
        {"iat": 120},
        {"iss": None},
        {"iss": "https://pool.example/us"},
        {"iss": "https://pool.example/eu/"},
        {"iss": ["https://pool.example/eu"]},
        {"client_id": None},
        {"client_id": "other-client"},
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": {"platform-client": 1}},
        {"token_use": "id"},
        {"token_use": "refresh"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"sub": "mia\n"},
        {"sub": "key:k_0123456789"},
    ],
)
def test_a_token_that_is_not_for_us_opens_nothing(changed: dict[str, Any]) -> None:
    if any(claim in changed for claim in ("sub", "iss")):  # PyJWT would not even sign some of these
        signed = jwt.PyJWS().encode(json.dumps(claims(**changed)).encode(), rsa_key(), "RS256", {"kid": KEY_ID})
        assert tokens()(signed) is Refusal.INVALID
    else:
        assert tokens()(token(**timed(changed))) is Refusal.INVALID


def test_an_expired_token_is_told_so() -> None:
    assert tokens()(token(**timed({"exp": -31}))) is Refusal.EXPIRED


def test_a_token_of_another_pool_opens_nothing_although_it_names_our_key() -> None:
    assert tokens()(token(foreign_key())) is Refusal.INVALID


@pytest.mark.parametrize("key_id", [None, "unknown", "", "to-encrypt", EC_KEY_ID])
def test_a_token_that_names_no_signing_key_of_the_issuer_opens_nothing(key_id: str | None) -> None:
    assert tokens()(token(key_id=key_id)) is Refusal.INVALID


def test_an_unsigned_token_opens_nothing() -> None:
    for algorithm in ("none", "None", "NONE", ""):
        header = {"alg": algorithm, "kid": KEY_ID, "typ": "JWT"}
        for signature in ("", "AA"):
            assert tokens()(f"{part(header)}.{part(claims())}.{signature}") is Refusal.INVALID


def test_the_public_key_signs_no_token() -> None:
    public = rsa_key().public_key()
    for encoding, form in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.PEM, PublicFormat.PKCS1)):
        header = part({"alg": "HS256", "kid": KEY_ID, "typ": "JWT"})
        signed = f"{header}.{part(claims())}"
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signature = algorithm.sign(signed.encode(), public.public_bytes(encoding, form))
        forged = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        assert tokens()(forged) is Refusal.INVALID


def test_a_key_that_anybody_could_sign_with_signs_nothing_although_it_is_published() -> None:
    assert tokens()(token(b"secret" * 8, "HS256", SHARED_KEY_ID)) is Refusal.INVALID


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_signatures_of_the_right_key_open_nothing(algorithm: str) -> None:
    assert tokens()(token(algorithm=algorithm)) is Refusal.INVALID


def test_a_changed_token_opens_nothing() -> None:
    header, payload, signature = token().split(".")
    assert tokens()(f"{header}.{part(claims(sub='ada'))}.{signature}") is Refusal.INVALID
    assert tokens()(f"{header}.{payload}.{signature[:-4]}AAAA") is Refusal.INVALID
    assert tokens()(f"{header}.{payload}.") is Refusal.INVALID
    assert tokens()(f"{part({'alg': 'RS256', 'kid': KEY_ID, 'x': 1})}.{payload}.{signature}") is Refusal.INVALID


def test_keys_that_a_token_brings_along_are_not_used() -> None:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(foreign_key().public_key()))
    headers = {"kid": KEY_ID, "jwk": jwk, "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/keys"}
    assert tokens()(jwt.encode(claims(), foreign_key(), "RS256", headers)) is Refusal.INVALID


def test_an_extension_that_we_do_not_know_opens_nothing() -> None:
    headers = {"kid": KEY_ID, "crit": ["http://example/unknown"], "http://example/unknown": True}
    assert tokens()(jwt.encode(claims(), rsa_key(), "RS256", headers)) is Refusal.INVALID


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_whatever_looks_like_a_token_is_refused(header: str, payload: str, signature: str) -> None:
    assert tokens()(f"{header}.{payload}.{signature}") is Refusal.INVALID


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]),
        st.none() | st.booleans() | st.integers() | st.sampled_from(["RS256", KEY_ID, "none"]) | st.lists(st.text()),
    ),
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5),
)
def test_whatever_a_forger_writes_is_refused(header: dict[str, Any], payload: Any) -> None:
    assert tokens()(f"{part(header)}.{part(payload)}.AA") is Refusal.INVALID


@pytest.mark.parametrize("depth", [900, 100_000])
def test_nesting_of_any_depth_is_refused(depth: int) -> None:
    nested = base64.urlsafe_b64encode(b"[" * depth + b"]" * depth).decode().rstrip("=")
    assert tokens()(f"{nested}.e30.AA") is Refusal.INVALID
    assert tokens()(f"{part({'alg': 'RS256', 'kid': KEY_ID})}.{nested}.AA") is Refusal.INVALID
