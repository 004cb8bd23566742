"""Tokens (JWT) of one issuer: whether one is good here, and whom it is about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from moderato.access import KEY_SUBJECT, Identity, Refusal, Scope
from moderato.api import ADJUDICATORS

SigningKey = Callable[[str], jwt.PyJWK | None]
"""Finds the issuer's public key of this id (`kid`); raises where the issuer cannot be reached."""

ALGORITHMS = ("RS256", "ES256")
"""Signatures by a private key that the issuer alone has: with HS256 our public keys would make tokens."""

LEEWAY_SECONDS = 30
MAX_SUBJECT_CHARACTERS = 255
"""OpenID Connect Core 1.0, section 2: `sub` has at most 255 characters."""

_GROUPS = {ADJUDICATORS}
_OPTIONS: jwt.types.Options = {
    "require": ["exp", "iss", "sub"],
    "verify_aud": False,
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True)
class IssuedTokens:
    """The access tokens that `issuer` signed for one of `audiences`."""

    issuer: str
    audiences: frozenset[str]
    signing_key: SigningKey

    def __call__(self, token: str) -> Identity | Refusal:
        """Return whom a token is about, or why it is good for nobody."""
        try:
            claims = self._claims(token)
        except jwt.ExpiredSignatureError:
            return Refusal.EXPIRED
        except jwt.PyJWTError:  # its message may hold pieces of the token
            return Refusal.INVALID
        if not (self._is_for_us(claims) and _is_access(claims) and _is_subject(claims["sub"])):
            return Refusal.INVALID
        # What we have no use for is not handed on: somebody can be in more groups than API Gateway carries.
        return Identity(claims["sub"], _strings(_scopes(claims)) & set(Scope), _strings(_groups(claims)) & _GROUPS)

    def _claims(self, token: str) -> Mapping[str, Any]:
        key_id = jwt.get_unverified_header(token).get("kid")
        key = self.signing_key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise jwt.InvalidKeyError
        return jwt.decode(token, key, ALGORITHMS, _OPTIONS, issuer=self.issuer, leeway=LEEWAY_SECONDS)

    def _is_for_us(self, claims: Mapping[str, Any]) -> bool:
        # Cognito's access tokens have no audience, and say which client they were given to.
        audience = claims.get("aud", claims.get("client_id"))
        return bool(self.audiences & _strings(audience if isinstance(audience, list) else [audience]))


def _is_access(claims: Mapping[str, Any]) -> bool:
    # Cognito's other tokens tell a client who signed in; they open nothing.
    return bool(claims.get("token_use", "access") == "access")


def _is_subject(subject: str) -> bool:
    is_name = 0 < len(subject) <= MAX_SUBJECT_CHARACTERS and subject.isprintable()
    return is_name and not subject.startswith(KEY_SUBJECT)


def _scopes(claims: Mapping[str, Any]) -> object:
    scopes = claims.get("scope", claims.get("scp"))
    return scopes.split(" ") if isinstance(scopes, str) else scopes


def _groups(claims: Mapping[str, Any]) -> object:
    return claims.get("cognito:groups", claims.get("groups"))


def _strings(names: object) -> frozenset[str]:
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
