"""The deployed console: it sends whoever is nobody to the hosted sign-in, and shows them nothing."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.live.deployment import Deployment

PAGES = ["/console/reviews", "/console/decisions", "/console/loop"]


@pytest.fixture
def client_id(deployment: Deployment) -> str:
    """The client as which the console signs people in; skips where the stack has no hosted sign-in."""
    found = deployment.outputs.get("ConsoleClientId")
    if not found:
        pytest.skip("this stack has no sign-in for people")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_who_is_nobody_to_the_sign_in(deployment: Deployment, client_id: str, page: str) -> None:
    answer = deployment.ask("GET", page)
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == "/console/sign-in"
    begun = deployment.ask("GET", answer.headers["location"])
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert begun.status_code == 303
    assert asked["client_id"] == [client_id]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"][0].endswith("/console/signed-in")


def test_the_sign_in_keeps_its_secrets_in_a_cookie_that_scripts_cannot_read(
    deployment: Deployment, client_id: str
) -> None:
    cookie = deployment.ask("GET", "/console/sign-in").headers["set-cookie"]
    assert client_id not in cookie
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}


def test_an_answer_that_nobody_asked_for_signs_nobody_in(deployment: Deployment, client_id: str) -> None:
    answer = deployment.ask("GET", "/console/signed-in", query={"code": client_id, "state": "made-up"})
    assert 400 <= answer.status_code < 500
    assert "__Host-moderato=" not in answer.headers.get("set-cookie", "").replace("__Host-moderato=;", "")
