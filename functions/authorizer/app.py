"""Authentication: each request's token or key becomes who sent it, or why that is nobody.

It lets every request through and says what it found: the functions refuse, each caller in its own format. Where it
fails itself it says nothing, and API Gateway lets nobody in.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

from authorizer.credentials import credential_of
from moderato.access import KEY_SUBJECT, Identity, Refusal, context_of
from moderato.clock import Clock, is_expired, utc_now
from moderato.keys import KEY_PREFIX, Keys, PlatformKey, digest_of
from moderato.telemetry import Count, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
Tokens = Callable[[str], Identity | Refusal]
"""Tells whom a token (JWT) is about, or why it is good for nobody; raises where that cannot be known now."""

KEEP_KEYS = timedelta(seconds=60)
"""How long a key that was found is not looked up again: so long a revoked one may still open."""

_MAX_KEPT_KEYS = 1024
_KEY = re.compile(re.escape(KEY_PREFIX) + r"[A-Za-z0-9_-]{43}")


class Failed(Exception):
    """Who sent a request cannot be known now; nobody gets in."""


def create_app(
    keys: Keys | None,
    tokens: Tokens | None,
    tenant: str,
    logger: Logger,
    clock: Clock = utc_now,
    count: Count = ignore,
) -> Handler:
    """Return the authorizer of an API that serves one `tenant`; without `keys`, or `tokens`, it knows none."""
    find = _remembering(keys, clock) if keys is not None else None

    def identify(credential: str | Refusal) -> Identity | Refusal:
        if isinstance(credential, Refusal):
            return credential
        if not credential.startswith(KEY_PREFIX):
            return tokens(credential) if tokens else Refusal.INVALID
        key = find(digest_of(credential)) if find and _KEY.fullmatch(credential) else None
        return _identity(key, tenant, clock())

    def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        try:
            found = identify(credential_of(APIGatewayProxyEventV2(event)))
        except Exception as error:  # noqa: BLE001  # it leaves as another, since Lambda logs what leaves here
            # The type only: an exception's message may hold what was sent.
            logger.error("failed", extra={"error_type": type(error).__name__})
            raise Failed("who sent this request cannot be known now") from None
        if isinstance(found, Refusal):
            logger.info("refused", extra={"refusal": found.value})
            count(f"refused_{found.value}")
        return {"isAuthorized": True, "context": context_of(found)}

    return handler


def _identity(key: PlatformKey | None, tenant: str, now: datetime) -> Identity | Refusal:
    if key is None:
        return Refusal.INVALID
    if key.tenant != tenant:
        return Refusal.OTHER_TENANT
    if is_expired(key.expires, now):
        return Refusal.EXPIRED
    return Identity(f"{KEY_SUBJECT}{key.key_id}", frozenset(key.scopes))


def _remembering(keys: Keys, clock: Clock) -> Callable[[str], PlatformKey | None]:
    kept: dict[str, tuple[PlatformKey, datetime]] = {}

    def find(digest: str) -> PlatformKey | None:
        key, until = kept.get(digest, (None, None))
        if until is not None and clock() < until:
            return key
        found = keys.find(digest)
        if found is None:
            # Not kept: a key works from the moment it is made, and guesses cannot fill the memory.
            kept.pop(digest, None)
            return None
        if len(kept) >= _MAX_KEPT_KEYS:
            kept.clear()
        kept[digest] = (found, clock() + KEEP_KEYS)
        return found

    return find
