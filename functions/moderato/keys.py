"""Platform keys: what lets a platform's programs in; whoever reads the store learns no key from it."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from moderato.access import Scope
from moderato.clock import expiry

KEY_PREFIX = "mod_"
"""By which a key is told from a token, and by which those who search repositories for secrets find one."""

_KEY_BYTES = 32
_ID_CHARACTERS = 10


class PlatformKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key: who may do what with it, and the digest of its text, never the text."""

    key_id: str
    """How people name it; it opens nothing."""
    digest: str
    tenant: str
    name: str
    """What it is for, in the words of whoever made it."""
    scopes: list[Scope]
    created: str
    expires: int | None = None
    """The second since 1970 from which it lets nobody in; None = it never expires."""


class Keys(Protocol):
    """The keys of one or several tenants; any number of threads and processes may use it.

    What a method has returned from is durable. An expired key is found for a while, so that its user can be told why;
    whoever asks looks at `expires`.
    """

    def add(self, key: PlatformKey) -> None:
        """Keep a key; a retry is the same write."""

    def find(self, digest: str) -> PlatformKey | None:
        """Return the key whose text has this digest, or None: it never was, or is revoked."""

    def list(self) -> list[PlatformKey]:
        """Return all keys, the oldest first."""

    def revoke(self, key_id: str) -> bool:
        """Forget a key for good; False where there is none of this id."""


def new_key(
    tenant: str, name: str, scopes: Iterable[Scope], now: datetime, days: int | None = None
) -> tuple[str, PlatformKey]:
    """Return the text of a new key, which nobody can ever read again, and what is kept of it.

    It expires after so many `days`, or never.
    """
    text = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    return text, PlatformKey(
        key_id=f"k_{secrets.token_urlsafe(_ID_CHARACTERS)[:_ID_CHARACTERS]}",
        digest=digest_of(text),
        tenant=tenant,
        name=name,
        scopes=sorted(set(scopes)),
        created=now.isoformat(),
        expires=None if days is None else expiry(now, days),
    )


def known_scopes(names: Iterable[str]) -> list[Scope]:
    """Return those of a key's scopes that this release knows; what a newer one gave it opens nothing here."""
    return [Scope(name) for name in names if name in set(Scope)]


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key's text, in hexadecimal digits."""
    # Plain and fast: 256 random bits cannot be guessed, however fast each guess is. And text out of a request may hold
    # a lone surrogate, which no encoding has.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
