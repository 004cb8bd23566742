"""The last step of signing in: the code that a browser brought back becomes an access token (RFC 6749, 4.1.3)."""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec

from moderato.errors import ModeratoError

TIMEOUT_SECONDS = 3.0
"""For each step with the identity provider: well below the function's own timeout, which would answer with no page."""

MAX_ANSWER_BYTES = 64 * 1024
"""An answer has up to three tokens, of a few kilobytes each."""


class Token(msgspec.Struct, frozen=True):
    """What an identity provider gives for a code (RFC 6749, 5.1), as far as the console uses it."""

    # Only what may stand in an Authorization header, so that it can also stand in a cookie (RFC 6750, 2.1).
    access_token: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~+/-]+=*\Z")]
    token_type: Annotated[str, msgspec.Meta(pattern=r"^(?i:bearer)\Z")]
    expires_in: Annotated[int, msgspec.Meta(gt=0)] | None = None
    """Seconds; None = it does not say."""


@dataclass(frozen=True)
class Grant:
    """What a code is exchanged with: it is worth nothing to whoever has not the verifier, too (RFC 7636)."""

    code: str
    verifier: str
    redirect_uri: str


class Failure(StrEnum):
    """Why there is no token."""

    UNREACHABLE = "unreachable"
    """The identity provider did not answer, or not in time."""
    REFUSED = "refused"
    """It answered with another status than 200: the code is old or used, or the settings are wrong."""
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


class ExchangeFailed(ModeratoError):
    """There is no token; `failure` says why, and nothing that the identity provider sent is told."""

    def __init__(self, failure: Failure) -> None:
        """Say why."""
        super().__init__(failure.value)
        self.failure = failure


Exchange = Callable[[Grant], Token]
"""Returns the token for a code; raises ExchangeFailed."""


def exchange_at(token_url: str, client_id: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Exchange:
    """Return the exchange at an identity provider's token endpoint, for a client that has no secret."""

    def exchange(grant: Grant) -> Token:
        fields = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": grant.code,
            "code_verifier": grant.verifier,
            "redirect_uri": grant.redirect_uri,
        }
        try:
            status, body = _post(token_url, urlencode(fields), timeout_seconds)
        except (OSError, http.client.HTTPException):
            raise ExchangeFailed(Failure.UNREACHABLE) from None
        return _token(status, body)

    return exchange


def _post(url: str, body: str, timeout_seconds: float) -> tuple[int, bytes]:
    # Not urllib's urlopen: it follows redirects, and a code is for this endpoint alone.
    parts = urlsplit(url)
    make = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
    connection = make(parts.netloc, timeout=timeout_seconds)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        connection.request("POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER_BYTES + 1)
    finally:
        connection.close()


def _token(status: int, body: bytes) -> Token:
    if status != http.client.OK:
        raise ExchangeFailed(Failure.REFUSED)
    if len(body) > MAX_ANSWER_BYTES:
        raise ExchangeFailed(Failure.TOO_LARGE)
    try:
        # Not strict: some providers write the seconds as a string.
        return msgspec.json.decode(body, type=Token, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ExchangeFailed(Failure.MALFORMED) from None
