"""What a browser keeps for whoever signs in: the attempt under way, and then the token."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta

from aws_lambda_powertools.shared.cookies import Cookie, SameSite
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.code_exchange import Token
from feedback.console_security import page_after_sign_in
from moderato.access import SESSION_COOKIE
from moderato.errors import RequestError

ATTEMPT_COOKIE = "__Host-moderato-sign-in"
ATTEMPT_LIFETIME = timedelta(minutes=15)
"""Time to type a password, find a second factor, or choose a new password."""

MAX_TOKEN_CHARACTERS = 3_900
"""Browsers drop a cookie that has more than 4,096 bytes, with its name and attributes (RFC 6265, 6.1)."""

_RANDOM_BYTES = 32
_YEAR_SECONDS = 365 * 86_400


class SignInFailed(RequestError):
    """This attempt to sign in led nowhere; another one may."""

    status = 400
    title = "Sign-in failed"
    slug = "sign-in-failed"


@dataclass(frozen=True)
class Attempt:
    """One attempt to sign in, which the browser keeps until it comes back from the identity provider."""

    state: str
    verifier: str
    page: str
    """Where to go then: a page of the console."""

    @classmethod
    def begin(cls, page: str) -> "Attempt":
        """Return an attempt that nobody can guess."""
        return cls(secrets.token_urlsafe(_RANDOM_BYTES), secrets.token_urlsafe(_RANDOM_BYTES), page)

    @classmethod
    def of(cls, event: APIGatewayProxyEventV2) -> "Attempt":
        """Return the attempt that this browser began, if it is the one that the answer is to; or raise SignInFailed."""
        state, _, rest = cookie_of(event, ATTEMPT_COOKIE).partition(".")
        verifier, _, page = rest.partition(".")
        given = event.query_string_parameters.get("state", "")
        # Whoever has no cookie has no state: an empty one must not fit an empty one.
        if not state or not hmac.compare_digest(state.encode(errors="replace"), given.encode(errors="replace")):
            raise SignInFailed("This sign-in was not begun here, took too long, or is over. Sign in again.")
        return cls(state, verifier, page_after_sign_in(page))

    @property
    def challenge(self) -> str:
        """What the provider is shown of the verifier before it is told (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @property
    def cookie(self) -> Cookie:
        """Keeps the attempt in the browser."""
        return _cookie(ATTEMPT_COOKIE, f"{self.state}.{self.verifier}.{self.page}", ATTEMPT_LIFETIME)


def session_cookie(token: Token) -> Cookie:
    """Return the cookie that keeps somebody signed in as long as the token lasts; raises SignInFailed if too large."""
    size = len(token.access_token)
    if size > MAX_TOKEN_CHARACTERS:
        raise SignInFailed(
            f"Your account's token has {size} characters, and browsers keep {MAX_TOKEN_CHARACTERS} at most. Ask "
            "whoever runs this deployment to take your account out of groups that it does not need."
        )
    # Without an age the cookie ends with the browser; the token's own end is the authorizer's to see.
    lifetime = None if token.expires_in is None else timedelta(seconds=min(token.expires_in, _YEAR_SECONDS))
    return _cookie(SESSION_COOKIE, token.access_token, lifetime)


def no_cookie(name: str) -> Cookie:
    """Return the cookie that takes one of ours away."""
    return _cookie(name, "", timedelta(0))


def cookie_of(event: APIGatewayProxyEventV2, name: str) -> str:
    """Return the value of a cookie, empty where it was not sent."""
    pairs = (cookie.strip().partition("=") for cookie in event.cookies)
    return next((value for key, _, value in pairs if key == name), "")


def _cookie(name: str, value: str, lifetime: timedelta | None) -> Cookie:
    return Cookie(
        name,
        value,
        # What `__Host-` demands: then no other host, and nobody without TLS, can set it.
        path="/",
        secure=True,
        http_only=True,
        # Not strict: the browser comes back from the provider, which is another site.
        same_site=SameSite.LAX_MODE,
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
    )
