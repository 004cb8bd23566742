"""Who gets into a deployed stack: each route is asked with no credential and with each kind of bad one."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from moderato.access import Scope
from moderato.keys import KEY_PREFIX
from tests.live.conftest import MakeKey
from tests.live.deployment import Deployment
from tests.live.routes import Route, is_in_the_callers_format, routes

ROUTES = routes()
OTHERS = {Scope.MODERATE: Scope.FEEDBACK, Scope.FEEDBACK: Scope.MODERATE}


@pytest.fixture(scope="module")
def expired(make_key: MakeKey) -> str:
    """A key whose day is over."""
    return make_key(days_ago=2)


@pytest.fixture(scope="module")
def foreign(make_key: MakeKey) -> str:
    """A key of a tenant that this deployment does not serve."""
    return make_key(tenant="somebody-else")


@pytest.fixture(scope="module")
def of_scope(make_key: MakeKey) -> Callable[[Scope], str]:
    """Keys that may do one thing each."""
    made = {scope: make_key(scopes=[scope]) for scope in Scope}
    return made.__getitem__


@pytest.fixture(scope="module")
def forged() -> str:
    """A token that anybody can make: signed, but not by the issuer."""
    claims = {"sub": "mallory", "scope": " ".join(Scope), "exp": 4_000_000_000, "iss": "https://issuer.invalid"}
    return jwt.encode(claims, generate_private_key(65537, 2048), "RS256", headers={"kid": "1"})


def refused(deployment: Deployment, route: Route, key: str | None) -> int:
    """Ask; return the status, after a look at the shape of the refusal."""
    answer = deployment.ask(route.method, route.path, route.body, key)
    media_type = answer.headers["content-type"].partition(";")[0]
    if route.method == "HEAD":
        return answer.status_code
    assert is_in_the_callers_format(route.path, answer.status_code, media_type, answer.json()), answer.text
    return answer.status_code


def status_without(route: Route) -> int:
    """Return what a request without credential is answered: Google's clients expect 403."""
    return 403 if route.path.startswith(("/v1alpha1/", "/$discovery/")) else 401


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_lets_nobody_in_without_a_good_credential(
    deployment: Deployment,
    route: Route,
    expired: str,
    foreign: str,
    forged: str,
    of_scope: Callable[[Scope], str],
) -> None:
    rows = deployment.rows()
    assert refused(deployment, route, None) == status_without(route)
    assert refused(deployment, route, expired) == 401
    assert refused(deployment, route, forged) == 401
    assert refused(deployment, route, f"{KEY_PREFIX}{'A' * 43}") == 401
    assert refused(deployment, route, foreign) == 403
    if route.scope is not None:
        assert refused(deployment, route, of_scope(OTHERS[route.scope])) == 403
    assert deployment.rows() == rows


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.path)
def test_a_route_lets_in_whoever_has_the_key_for_it(deployment: Deployment, route: Route, key: str) -> None:
    assert deployment.ask(route.method, route.path, key=key).status_code in (200, 404)


@pytest.mark.parametrize(
    "sent",
    [
        lambda key: {"headers": {"authorization": f"Bearer {key}"}},
        lambda key: {"headers": {"x-api-key": key}},
        lambda key: {"query": {"key": key}},
    ],
    ids=["bearer", "x-api-key", "?key="],
)
def test_a_key_is_taken_wherever_clients_put_it(
    deployment: Deployment, key: str, sent: Callable[[str], dict[str, Any]]
) -> None:
    assert deployment.ask("GET", "/model", **sent(key)).status_code == 200


def test_anybody_may_ask_whether_it_is_up(deployment: Deployment) -> None:
    assert deployment.ask("GET", "/healthz").status_code == 200
