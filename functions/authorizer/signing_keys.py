"""The public keys by which an issuer's tokens are verified, as it publishes them (RFC 7517)."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt

from moderato.clock import Clock, utc_now

Fetch = Callable[[], dict[str, Any]]
"""Fetches the issuer's key set; raises where it cannot be had."""

TIMEOUT_SECONDS = 3.0
KEEP_KEY_SET = timedelta(minutes=10)
"""How long a key set is used: so long a key that the issuer withdrew still counts."""

ASK_AGAIN = timedelta(seconds=60)
"""How soon a key that is not in the set may be asked for: anybody can send a token with a key id of their own."""

PAUSE = timedelta(seconds=5)
"""How long an issuer that did not answer is left alone: each try costs seconds, and anybody can send tokens."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_MAX_BYTES = 256 * 1024
_DISCOVERY = "/.well-known/openid-configuration"


class UnreachableIssuer(Exception):
    """The issuer's keys cannot be had; whether a token is good cannot be known."""


class SigningKeys:
    """Finds the issuer's keys by their ids; asks the issuer seldom."""

    def __init__(self, fetch: Fetch, clock: Clock = utc_now) -> None:
        """Ask nothing yet: the first token does."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = _LONG_AGO
        self._tried = _LONG_AGO

    def __call__(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of this id, or None where the issuer has none; raises UnreachableIssuer."""
        now = self._clock()
        is_unknown = key_id not in self._keys and now - self._tried >= ASK_AGAIN
        is_old = now - self._fetched >= KEEP_KEY_SET
        if is_old and now - self._tried < PAUSE:
            raise UnreachableIssuer("the issuer did not answer a moment ago")
        if is_unknown or is_old:
            self._tried = now
            self._keys = _usable(self._fetch())
            self._fetched = now
        return self._keys.get(key_id)


def fetch_from(issuer: str, url: str) -> Fetch:
    """Return a function that fetches the key set at `url`, or where the issuer's discovery document says it is."""

    def fetch() -> dict[str, Any]:
        return _read(url or _published(issuer))

    return fetch


def _published(issuer: str) -> str:
    found = _read(issuer.rstrip("/") + _DISCOVERY)
    if found.get("issuer") != issuer or not isinstance(found.get("jwks_uri"), str):
        raise UnreachableIssuer("the discovery document is not this issuer's, or names no key set")
    return str(found["jwks_uri"])


def _read(url: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("https", "http"):
        raise UnreachableIssuer("the address of the issuer's keys is none of the web")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # looked at above
            found = json.loads(answer.read(_MAX_BYTES))
    except (OSError, ValueError) as error:
        raise UnreachableIssuer(f"the issuer's keys cannot be had: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise UnreachableIssuer("the issuer's answer is not a JSON object")
    return found


def _usable(key_set: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    try:
        keys = jwt.PyJWKSet.from_dict(key_set).keys
    except jwt.PyJWTError:
        raise UnreachableIssuer("the issuer publishes no key that can be used") from None
    # A key to encrypt with signs nothing.
    return {key.key_id: key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
