"""Tokens on an emulated AWS: those of the user pool get in, and none that only looks like one of them."""

import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moderato.access import Scope
from tests.emulator.issuer import Issuer, platform_token
from tests.live.deployment import Deployment
from tests.live.routes import Route, is_in_the_callers_format, routes

pytestmark = pytest.mark.usefixtures("state")

BAD = {
    "expired": {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600},
    "another issuer": {"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_another"},
    "another client": {"client_id": "another"},
    "an ID token": {"token_use": "id"},
    "never ends": {"exp": None},
    "a key's name": {"sub": "key:k_1"},
}


def test_a_token_from_the_pool_may_do_what_its_scope_says(deployment: Deployment) -> None:
    token = platform_token(deployment)
    asked = {"text": "Good morning", "store": False}
    assert deployment.ask("POST", "/moderate", asked, token).status_code == 200
    assert deployment.ask("GET", "/decisions", key=token).status_code == 403


def test_a_token_signed_as_the_pool_signs_is_good(deployment: Deployment, issuer: Issuer) -> None:
    """Else the tests of bad tokens below would say nothing."""
    assert deployment.ask("GET", "/model", key=issuer.sign()).status_code == 200
    assert deployment.ask("GET", "/decisions", key=issuer.of_person("mia")).status_code == 200


@pytest.mark.parametrize("changed", BAD.values(), ids=BAD.keys())
def test_a_bad_token_opens_no_route(deployment: Deployment, issuer: Issuer, changed: dict[str, object]) -> None:
    token = issuer.sign(scope=" ".join(Scope), **changed)
    rows = deployment.rows()
    for route in routes():
        assert status_of(deployment, route, token) == 401, route
    assert deployment.rows() == rows


def test_a_token_without_a_scope_opens_no_route_that_needs_one(deployment: Deployment, issuer: Issuer) -> None:
    rows = deployment.rows()
    for route in routes():
        if route.scope is not None:
            others = " ".join(scope for scope in Scope if scope is not route.scope)
            assert status_of(deployment, route, issuer.sign(scope=others)) == 403, route
    assert deployment.rows() == rows


def test_a_token_that_names_the_pools_key_and_is_signed_by_another_is_refused(
    deployment: Deployment, issuer: Issuer
) -> None:
    key = generate_private_key(65537, 2048)
    forged = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert deployment.ask("GET", "/model", key=replace(issuer, pem=forged).sign()).status_code == 401


def test_two_credentials_that_differ_are_none(deployment: Deployment, issuer: Issuer, key: str) -> None:
    answer = deployment.ask("GET", "/model", key=issuer.sign(), headers={"x-api-key": key})
    assert answer.status_code == 401


def status_of(deployment: Deployment, route: Route, token: str) -> int:
    """Ask; return the status, after a look at the shape of the refusal."""
    answer = deployment.ask(route.method, route.path, route.body, token)
    media_type = answer.headers["content-type"].partition(";")[0]
    assert is_in_the_callers_format(route.path, answer.status_code, media_type, answer.json()), answer.text
    return answer.status_code
