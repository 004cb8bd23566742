"""Signing in and out in a real browser: over TLS, at an identity provider of another site."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from playwright.sync_api import Page, sync_playwright

from feedback.app import Handler, create_app
from feedback.console import Console
from feedback.sign_in import Endpoints, add_sign_in
from moderato.access import Identity, Refusal, Scope, caller_of_authorizer, context_of, require_access
from moderato.sqlite import SqliteStore
from tests.consoles import queued
from tests.identity_provider import TOKEN, IdentityProvider, providing
from tests.records import logger_to
from tests.test_local_server import serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome is installed")


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider."""
    with providing() as provider:
        yield provider


@pytest.fixture
def origin(tmp_path: Path, store: SqliteStore, provider: IdentityProvider) -> Iterator[str]:
    """The console under a name of its own, with one review in its queue."""
    queued(store)
    endpoints = Endpoints(f"{provider.origin}/authorize", provider.token_url, f"{provider.origin}/logout", "console-1")
    app = create_app(
        store,
        ["insult"],
        logger_to(StringIO()),
        identify=caller_of_authorizer,
        console=add_sign_in(Console(), endpoints),
        guard=require_access,
    )
    with serving(authorized(app), is_public=True, certificate=certificate(tmp_path)) as port:
        yield f"https://console.test:{port}"


@pytest.fixture
def page(origin: str) -> Iterator[Page]:
    """A page of the console on which nothing goes wrong."""
    # Chromium's sandbox does not work as root, which continuous integration often is.
    arguments = ["--host-resolver-rules=MAP console.test 127.0.0.1", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(base_url=origin, ignore_https_errors=True)
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        yield page
        browser.close()
    assert wrong == []


def authorized(app: Handler) -> Handler:
    """Put before the app what stands before it in AWS: here, whoever has the token is mia."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        is_mia = f"__Host-moderato={TOKEN}" in event.get("cookies", [])
        found = Identity("mia", frozenset({Scope.FEEDBACK})) if is_mia else Refusal.MISSING
        event["requestContext"]["authorizer"] = {"lambda": context_of(found)}
        return app(event, context)

    return handler


def certificate(folder: Path) -> Path:
    """Write a certificate that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "console.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("console.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "console.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
    )
    return path


def test_signing_in_leads_to_the_page_that_was_asked_for_and_signing_out_ends_it_everywhere(
    page: Page, origin: str, provider: IdentityProvider
) -> None:
    page.goto("/console/decisions/d_1?notice=saved")
    assert page.url == f"{origin}/console/decisions/d_1?notice=saved"
    assert page.locator(".who-name").inner_text() == "mia"
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["value"]) == ("__Host-moderato", TOKEN)
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{origin}/console/signed-out")
    assert page.locator("h1").inner_text() == "Signed out"
    assert page.context.cookies() == []
    assert [asked["client_id"] for asked in provider.signed_out] == ["console-1"]


def test_a_form_is_taken_while_signed_in(page: Page) -> None:
    page.goto("/console/reviews/next")
    page.get_by_role("checkbox", name="insult", exact=True).check()
    page.get_by_role("button", name="Submit").click()
    assert page.locator(".notice").inner_text().startswith("Answer saved.")
