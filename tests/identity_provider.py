"""An identity provider for tests, over HTTP; it checks a code as RFC 6749 and RFC 7636 demand."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.http_services import listening

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtaWEifQ.c2lnbmF0dXJl"
GOOD = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}


@dataclass
class IdentityProvider:
    """Signs mia in at once; what it answers, and how, is a test's to say."""

    origin: str
    answer: bytes = json.dumps(GOOD).encode()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    """Until when it answers nothing."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    signed_out: list[dict[str, str]] = field(default_factory=list)

    @property
    def token_url(self) -> str:
        """Its token endpoint."""
        return f"{self.origin}/oauth2/token"

    def page(self, path: str, query: dict[str, str], address: str) -> str:
        """Answer a browser at once; return where it is sent on to."""
        if path == "/authorize":
            return f"{query['redirect_uri']}?{self.sign_in(address)}"
        assert path == "/logout"
        self.signed_out.append(query)
        return query["logout_uri"]

    def sign_in(self, location: str) -> str:
        """Sign mia in by the address that her browser was sent to; return the query that it comes back with."""
        request = flat(urlsplit(location).query)
        assert request["response_type"] == "code"
        assert request["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = request
        return urlencode({"code": code, "state": request["state"]})

    def exchange(self, form: dict[str, str]) -> tuple[int, bytes]:
        """Return the token for a code, once, to whoever has its verifier."""
        self.asked.append(form)
        request = self.codes.pop(form["code"], None)
        fits = (
            request is not None
            and form["grant_type"] == "authorization_code"
            and all(form[name] == request[name] for name in ("client_id", "redirect_uri"))
            and challenge_of(form["code_verifier"]) == request["code_challenge"]
        )
        return (self.status, self.answer) if fits else (400, b'{"error":"invalid_grant"}')


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier of 43 to 128 characters (RFC 7636, 4.1 and 4.2)."""
    assert 43 <= len(verifier) <= 128
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def flat(query: str) -> dict[str, str]:
    """Return a query's parameters, each of which is there once."""
    return {name: value for name, [value] in parse_qs(query, keep_blank_values=True, strict_parsing=True).items()}


@contextmanager
def providing() -> Iterator[IdentityProvider]:
    """Run an identity provider on this machine."""

    class Endpoints(_Endpoints):
        """Those of this provider alone."""

    with listening(Endpoints) as origin:
        Endpoints.provider = provider = IdentityProvider(origin)
        try:
            yield provider
        finally:
            if provider.wait is not None:
                provider.wait.set()


class _Endpoints(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def do_GET(self) -> None:
        """Send a browser on."""
        parts = urlsplit(self.path)
        self.send_response(303)
        self.send_header("Location", self.provider.page(parts.path, flat(parts.query), self.path))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Answer a request for a token."""
        assert self.headers["content-type"] == "application/x-www-form-urlencoded"
        form = flat(self.rfile.read(int(self.headers["content-length"])).decode())
        status, body = self.provider.exchange(form)
        if self.provider.wait is not None:
            self.provider.wait.wait()
            return
        self.send_response(status)
        for name, value in self.provider.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
