"""The feedback function as Lambda starts it: from its environment alone."""

from moderato.access import Refusal
from tests.conftest import STARTER
from tests.events import event
from tests.function_processes import start

ENVIRONMENT = {
    "TABLE": "moderato",
    "MODEL_DIR": str(STARTER),
    "KEEP_DAYS": "180",
    "SIGN_IN_URL": "https://id.test/authorize",
    "TOKEN_URL": "https://id.test/token",
    "SIGN_OUT_URL": "https://id.test/logout",
    "CLIENT_ID": "console-1",
}


def test_the_function_starts_without_the_models_runtime_and_lets_nobody_in_by_itself() -> None:
    asked = (
        event("GET", "/reviews"),
        event("GET", "/reviews", refusal=Refusal.EXPIRED),
        event("GET", "/console/reviews"),
    )
    result = start("feedback", ENVIRONMENT, *asked)
    assert [answer["statusCode"] for answer in result["answers"]] == [401, 401, 303]
    assert result["answers"][2]["headers"]["Location"] == "/console/sign-in"
    assert result["loaded"] == []


def test_without_the_endpoints_of_a_sign_in_the_console_answers_401() -> None:
    none = dict.fromkeys(("SIGN_IN_URL", "TOKEN_URL", "SIGN_OUT_URL", "CLIENT_ID"), "")
    [answer] = start("feedback", ENVIRONMENT | none, event("GET", "/console/reviews"))["answers"]
    assert answer["statusCode"] == 401


def test_what_is_missing_from_the_environment_is_named_at_the_start() -> None:
    assert "KeyError: 'TABLE'" in start(
        "feedback", {name: value for name, value in ENVIRONMENT.items() if name != "TABLE"}
    )
