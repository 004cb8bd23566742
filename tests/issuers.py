"""An issuer of tokens for tests: it has signing keys, publishes their public halves, and signs what a test wants."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from authorizer.signing_keys import SigningKeys
from authorizer.tokens import IssuedTokens
from moderato.access import Scope
from moderato.clock import utc_now
from tests.http_services import listening

ISSUER = "https://pool.example/eu"
CLIENT = "platform-client"
KEY_ID = "rsa-1"
EC_KEY_ID = "ec-1"
SHARED_KEY_ID = "shared"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return the issuer's private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def foreign_key() -> rsa.RSAPrivateKey:
    """Return the private key of another issuer."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return the issuer's other private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_set() -> dict[str, Any]:
    """Return what the issuer publishes."""
    rsa_jwk = json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key()))
    ec_jwk = json.loads(ECAlgorithm.to_jwk(ec_key().public_key()))
    return {
        "keys": [
            {**rsa_jwk, "kid": KEY_ID, "use": "sig", "alg": "RS256"},
            {**ec_jwk, "kid": EC_KEY_ID, "use": "sig"},
            {**rsa_jwk, "kid": "to-encrypt", "use": "enc", "alg": "RS256"},
            {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": SHARED_KEY_ID, "use": "sig", "alg": "HS256"},
        ]
    }


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of an access token as Cognito gives it to a moderator; a claim set to None is left out."""
    now = int(utc_now().timestamp())
    usual = {
        "iss": ISSUER,
        "sub": "mia",
        "client_id": CLIENT,
        "token_use": "access",
        "scope": " ".join(Scope),
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(key: Any = None, algorithm: str = "RS256", key_id: str | None = KEY_ID, **changed: Any) -> str:
    """Return a signed token; `changed` are its claims that are unlike the usual ones."""
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode(claims(**changed), rsa_key() if key is None else key, algorithm, headers)


def tokens() -> IssuedTokens:
    """Return the verification of this issuer's tokens, given to its client."""
    return IssuedTokens(ISSUER, frozenset([CLIENT, "https://moderation.example"]), SigningKeys(key_set))


@contextmanager
def serving(answers: dict[str, object]) -> Iterator[str]:
    """Serve these answers by their paths on this machine; the base address may be used in them as BASE."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            text = found if isinstance(found, str) else json.dumps(found)
            self.wfile.write(text.replace("BASE", base).encode())

    with listening(Site) as base:
        yield base
