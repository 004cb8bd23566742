"""The authorizer as Lambda starts it: from its environment alone."""

import pytest

from tests.events import event
from tests.function_processes import start
from tests.issuers import key_set, serving, token

ENVIRONMENT = {"KEYS_TABLE": "keys", "TENANT": "forum", "ISSUER": "", "AUDIENCES": "", "JWKS_URL": ""}


def test_it_starts_without_the_models_runtime_and_knows_the_issuers_tokens() -> None:
    described = {"issuer": "BASE", "jwks_uri": "BASE/keys"}
    with serving({"/.well-known/openid-configuration": described, "/keys": key_set()}) as base:
        environment = ENVIRONMENT | {"ISSUER": base, "AUDIENCES": "console-client, platform-client"}
        good = {"authorization": f"Bearer {token(iss=base)}"}
        foreign = {"authorization": f"Bearer {token()}"}
        asked = (event("GET", "/model"), event("GET", "/", headers=good), event("GET", "/", headers=foreign))
        result = start("authorizer", environment, *asked)
    whose = {"subject": "mia", "scopes": "moderation/feedback moderation/moderate", "groups": ""}
    assert [answer["context"] for answer in result["answers"]] == [
        {"refusal": "missing"},
        whose,
        {"refusal": "invalid"},
    ]
    assert result["loaded"] == []


def test_without_an_issuer_no_token_opens() -> None:
    result = start("authorizer", ENVIRONMENT, event("GET", "/model", headers={"authorization": f"Bearer {token()}"}))
    assert result["answers"] == [{"isAuthorized": True, "context": {"refusal": "invalid"}}]


@pytest.mark.parametrize("name", ["KEYS_TABLE", "TENANT", "ISSUER"])
def test_a_missing_setting_is_named_at_the_start(name: str) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}
    assert f"KeyError: '{name}'" in start("authorizer", environment, event("GET", "/model"))
