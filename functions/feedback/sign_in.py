"""Signing in to the deployed console at an identity provider: OAuth 2's code flow with PKCE (RFC 6749, RFC 7636).

    /console/sign-in     keeps a state and a verifier in a cookie, and sends the browser to the provider
    /console/signed-in   takes the code that comes back, and keeps the token for it in the session's cookie
    /console/sign-out    drops that cookie, and sends the browser to the provider to be signed out there, too
    /console/signed-out  says so

The token is verified by the authorizer, at each request: here it is only fetched and kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.code_exchange import Exchange, ExchangeFailed, Failure, Grant, exchange_at
from feedback.console import Console
from feedback.console_pages import redirect
from feedback.console_security import page_after_sign_in, refuse_foreign
from feedback.console_site import Outsider, SessionEnded, Site
from feedback.sign_in_cookies import ATTEMPT_COOKIE, Attempt, SignInFailed, cookie_of, no_cookie, session_cookie
from moderato.access import KEY_SUBJECT, SESSION_COOKIE, Scope, caller_of_authorizer
from moderato.api import Caller
from moderato.errors import Forbidden, NotSignedIn

SIGN_IN = "/console/sign-in"
SIGNED_IN = "/console/signed-in"
SIGN_OUT = "/console/sign-out"
SIGNED_OUT = "/console/signed-out"

_SAFE_ORIGINS = ("https://", "http://127.0.0.1:")
_CODE = re.compile(r"[\x20-\x7e]{1,4096}")
_ERRORS = {
    "invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope",
    "server_error", "temporarily_unavailable",
}  # fmt: skip
"""What a provider may answer instead of a code (RFC 6749, 4.1.2.1); nothing else of its answer is logged."""


class ProviderFailed(SignInFailed):
    """The identity provider did not give a token."""

    status = 502


_FAILURES = {
    Failure.UNREACHABLE: "The identity provider did not answer in time. Sign in again in a moment.",
    Failure.REFUSED: "The identity provider did not confirm this sign-in. Sign in again.",
    Failure.TOO_LARGE: "The identity provider's answer is too large. Ask whoever runs this deployment.",
    Failure.MALFORMED: "The identity provider's answer makes no sense. Ask whoever runs this deployment.",
}


@dataclass(frozen=True)
class Endpoints:
    """Where an identity provider signs people in and out, and under which name it knows the console."""

    sign_in_url: str
    """Its authorization endpoint; empty = there is no sign-in."""
    token_url: str
    sign_out_url: str
    """Empty = it keeps nobody signed in, or has no such page."""
    client_id: str


@dataclass(frozen=True)
class SignIn:
    """Signs people in and out of the deployed console, and tells who is signed in."""

    endpoints: Endpoints
    exchange: Exchange

    def identify(self, event: APIGatewayProxyEventV2) -> Caller:
        """Return who is signed in; raises NotSignedIn, SessionEnded or Outsider.

        A cookie that is refused is no reason to be sent to sign in at once: a provider that knows its people lets them
        through unasked, and where its tokens are refused here, they would go round in circles.
        """
        try:
            return person_of(event)
        except Forbidden:
            raise Outsider(
                f"You are signed in, but your account lacks the scope {Scope.FEEDBACK}, which moderators need. Ask "
                "whoever runs this deployment for it, or sign out and use another account."
            ) from None
        except NotSignedIn:
            if not cookie_of(event, SESSION_COOKIE):
                raise
            raise SessionEnded(
                "Your session has ended, or is not accepted here; what was sent last was not saved. Sign in again. If "
                "this page comes back, ask whoever runs this deployment."
            ) from None

    def add_pages(self, site: Site) -> None:
        """Add the pages to sign in and out to the console."""

        @site.open("GET", SIGN_IN)
        def begin(event: APIGatewayProxyEventV2) -> Response[str]:
            attempt = Attempt.begin(page_after_sign_in(event.query_string_parameters.get("page", "")))
            answer = redirect(self._sign_in_url(event, attempt))
            answer.cookies.append(attempt.cookie)
            return answer

        @site.open("GET", SIGNED_IN)
        def finish(event: APIGatewayProxyEventV2) -> Response[str]:
            # What does not belong to the attempt under way leaves its cookie alone: a link must not end it.
            attempt = Attempt.of(event)
            try:
                answer = self._sign_in(event, attempt, site)
            except SignInFailed as error:
                answer = site.refuse(event, error)
            # Each attempt counts once, however it ends.
            answer.cookies.append(no_cookie(ATTEMPT_COOKIE))
            return answer

        @site.open("POST", SIGN_OUT)
        def sign_out(event: APIGatewayProxyEventV2) -> Response[str]:
            refuse_foreign(event)
            answer = self._leave(event, site) if self.endpoints.sign_out_url else redirect(SIGNED_OUT)
            answer.cookies.append(no_cookie(SESSION_COOKIE))
            return answer

        @site.open("GET", SIGNED_OUT)
        def show_end(_event: APIGatewayProxyEventV2) -> Response[str]:
            return site.pages.render("signed_out.html", None, next_url=None)

    def _sign_in_url(self, event: APIGatewayProxyEventV2, attempt: Attempt) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self.endpoints.client_id,
            "redirect_uri": _address(event, SIGNED_IN),
            "scope": Scope.FEEDBACK.value,
            "state": attempt.state,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return _with_parameters(self.endpoints.sign_in_url, parameters)

    def _sign_in(self, event: APIGatewayProxyEventV2, attempt: Attempt, site: Site) -> Response[str]:
        _check_errors(event, site)
        grant = Grant(_code(event), attempt.verifier, _address(event, SIGNED_IN))
        try:
            token = self.exchange(grant)
        except ExchangeFailed as error:
            site.logger.warning("sign_in_failed", extra={"failure": error.failure.value})
            raise ProviderFailed(_FAILURES[error.failure]) from None
        answer = redirect(attempt.page)
        answer.cookies.append(session_cookie(token))
        site.logger.info("signed_in")
        return answer

    def _leave(self, event: APIGatewayProxyEventV2, site: Site) -> Response[str]:
        back = _address(event, SIGNED_OUT)
        # `logout_uri` is Cognito's name for it, the other is OpenID's (RP-Initiated Logout 1.0, 2).
        parameters = {"client_id": self.endpoints.client_id, "logout_uri": back, "post_logout_redirect_uri": back}
        url = _with_parameters(self.endpoints.sign_out_url, parameters)
        answer = site.pages.render("signed_out.html", None, next_url=url)
        # No redirect: `form-action 'self'` keeps a form from leading to other hosts, and a provider may have several.
        answer.headers["Refresh"] = f"0; url={url}"
        return answer


def add_sign_in(console: Console, endpoints: Endpoints) -> Console:
    """Return a console to which people sign in at an identity provider; closed to keys where there is no sign-in.

    Raises ValueError for endpoints of which some are missing, or that are not reached by HTTPS.
    """
    if not endpoints.sign_in_url:
        return replace(console, identify=person_of)
    _check(endpoints)
    sign_in = SignIn(endpoints, exchange_at(endpoints.token_url, endpoints.client_id))
    return replace(console, identify=sign_in.identify, sign_in_url=SIGN_IN, add_pages=sign_in.add_pages)


def person_of(event: APIGatewayProxyEventV2) -> Caller:
    """Return which person is signed in; raises NotSignedIn or Forbidden.

    A key stands for a program: whoever makes a link can put a key of their own into it, and nobody shall answer as it.
    """
    caller = caller_of_authorizer(event)
    if caller.name.startswith(KEY_SUBJECT):
        raise NotSignedIn("The console is for people, who sign in; a key opens the API alone.")
    return caller


def _check(endpoints: Endpoints) -> None:
    if not endpoints.client_id:
        raise ValueError("the sign-in needs the client id under which its provider knows the console")
    required = (endpoints.sign_in_url, endpoints.token_url)
    optional = (endpoints.sign_out_url,) if endpoints.sign_out_url else ()
    if not all(url.startswith(_SAFE_ORIGINS) for url in (*required, *optional)):
        raise ValueError(
            "the sign-in needs an authorization and a token endpoint; all its addresses begin with https://"
        )


def _check_errors(event: APIGatewayProxyEventV2, site: Site) -> None:
    error = event.query_string_parameters.get("error")
    if error is None:
        return
    # Its words stay there: whoever makes the link would write on our page with them.
    site.logger.warning("sign_in_failed", extra={"failure": error if error in _ERRORS else "unknown"})
    if error == "access_denied":
        raise SignInFailed("The sign-in was cancelled, or your account may not use the console.")
    raise ProviderFailed("The identity provider could not sign you in. Sign in again in a moment.")


def _code(event: APIGatewayProxyEventV2) -> str:
    code = event.query_string_parameters.get("code", "")
    if not _CODE.fullmatch(code):
        raise SignInFailed("The identity provider's answer has no code in it. Sign in again.")
    return code


def _address(event: APIGatewayProxyEventV2, path: str) -> str:
    return f"https://{event.request_context.domain_name}{path}"


def _with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
