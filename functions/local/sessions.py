"""Signing in on the laptop: a name, kept in a signed cookie, so that answers of several people can be told apart."""

import base64
import binascii
import errno
import hashlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.shared.cookies import Cookie, SameSite
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.console_forms import Form, read_form
from feedback.console_pages import redirect
from feedback.console_security import page_after_sign_in, refuse_foreign
from feedback.console_site import Site
from moderato.access import caller_or_local
from moderato.api import LOCAL_CALLER, Caller
from moderato.clock import Clock, utc_now
from moderato.errors import InvalidRequest, NotSignedIn

KEY_FILE = "session.key"
COOKIE = "moderato_session"
SIGN_IN_URL = "/console/sign-in"
LIFETIME = timedelta(hours=12)
"""A working day: whoever comes back the next morning says again who they are."""

MAX_NAME_CHARACTERS = 64
_KEY_BYTES = 32


class Session(msgspec.Struct, frozen=True):
    """What a cookie says: who is signed in, whether they decide disputes, and until which second since 1970."""

    name: str
    is_adjudicator: bool
    expires: int


@dataclass(frozen=True)
class Sessions:
    """Signs people in and out, and tells who is; pages and cookies are the console's."""

    key: bytes
    clock: Clock = utc_now

    def identify(self, event: APIGatewayProxyEventV2) -> Caller | None:
        """Return who is signed in to the console, or None; a cookie that is not ours, or too old, is nobody's."""
        session = self._session(event)
        return None if session is None else Caller(session.name, session.is_adjudicator)

    def caller(self, event: APIGatewayProxyEventV2) -> Caller:
        """Return who calls the API: whoever is signed in, or "local" where no cookie says otherwise.

        Raises NotSignedIn for a cookie that is not ours, or too old: whoever sends one means to be somebody.
        """
        session = self.identify(event)
        if session is None and any(cookie.strip().startswith(f"{COOKIE}=") for cookie in event.cookies):
            raise NotSignedIn(f"this session has ended; sign in again at {SIGN_IN_URL}, or send no {COOKIE} cookie")
        return session or caller_or_local(event)

    def add_pages(self, site: Site) -> None:
        """Add the pages to sign in and out to the console."""

        @site.open("GET", SIGN_IN_URL)
        def show_form(event: APIGatewayProxyEventV2) -> Response[str]:
            return _form_page(site, Form([("page", event.query_string_parameters.get("page", ""))]))

        @site.open("POST", SIGN_IN_URL)
        def sign_in(event: APIGatewayProxyEventV2) -> Response[str]:
            refuse_foreign(event)
            form = read_form(event)
            try:
                caller = Caller(read_name(form), form.one("adjudicator") == "yes")
            except InvalidRequest as error:
                return _form_page(site, form, error)
            answer = redirect(page_after_sign_in("".join(form.all("page")[:1])))
            answer.cookies.append(_cookie(self.token(caller), LIFETIME))
            return answer

        @site.open("POST", "/console/sign-out")
        def sign_out(event: APIGatewayProxyEventV2) -> Response[str]:
            refuse_foreign(event)
            answer = redirect(SIGN_IN_URL)
            answer.cookies.append(_cookie("", timedelta(0)))
            return answer

    def token(self, caller: Caller) -> str:
        """Return the value of the cookie that signs somebody in."""
        expires = int((self.clock() + LIFETIME).timestamp())
        payload = msgspec.json.encode(Session(caller.name, caller.is_adjudicator, expires))
        return f"{_base64(payload)}.{_base64(self._signature(payload))}"

    def _session(self, event: APIGatewayProxyEventV2) -> Session | None:
        payload = self._payload(event)
        if payload is None:
            return None
        try:
            session = msgspec.json.decode(payload, type=Session)
        except msgspec.ValidationError:  # signed by another release, which knew other fields
            return None
        return session if self.clock().timestamp() < session.expires else None

    def _payload(self, event: APIGatewayProxyEventV2) -> bytes | None:
        for cookie in event.cookies:
            name, _, value = cookie.strip().partition("=")
            payload, _, signature = value.partition(".")
            if name == COOKIE and hmac.compare_digest(self._signature(_bytes(payload)), _bytes(signature)):
                return _bytes(payload)
        return None

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self.key, payload, hashlib.sha256)


def open_sessions(directory: Path, clock: Clock = utc_now) -> Sessions:
    """Return the sessions of a data folder; their key is made there the first time. Raises OSError."""
    path = directory / KEY_FILE
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:  # an empty key would let anybody sign in as anybody
        raise OSError(errno.EINVAL, f"{KEY_FILE} is damaged: delete it, and everybody signs in again")
    return Sessions(key, clock)


def read_name(form: Form) -> str:
    """Return the name that somebody signs in with, or raise InvalidRequest."""
    # One form of each name: the same letters, composed or not, are one person.
    name = " ".join(unicodedata.normalize("NFC", form.one("name")).split())
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(f"A name has 1 to {MAX_NAME_CHARACTERS} printable characters.")
    if name.casefold() == LOCAL_CALLER:
        raise InvalidRequest(f'"{LOCAL_CALLER}" is whoever calls the API without signing in; choose another name.')
    return name


def _form_page(site: Site, form: Form, error: InvalidRequest | None = None) -> Response[str]:
    return site.pages.render(
        "sign_in.html",
        None,
        status=200 if error is None else error.status,
        name="".join(form.all("name")[:1]),
        is_adjudicator=form.all("adjudicator") == ["yes"],
        page=page_after_sign_in("".join(form.all("page")[:1])),
        error=error,
    )


def _make_key(path: Path) -> None:
    # Linked into place whole: another process never reads half a key, and whoever comes second uses the first one's.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _cookie(value: str, lifetime: timedelta) -> Cookie:
    return Cookie(
        COOKIE,
        value,
        path="/",
        # Served on this machine alone, without TLS: browsers would not send a secure cookie back.
        secure=False,
        http_only=True,
        same_site=SameSite.STRICT_MODE,
        max_age=int(lifetime.total_seconds()),
    )


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
