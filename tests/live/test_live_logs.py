"""What a deployed stack writes down about a request: that it came, and nothing of what was in it."""

import time
from functools import partial
from uuid import uuid4

from tests.live.deployment import Deployment, eventually

REFUSALS = {"PredictFunctionName": 2, "FeedbackFunctionName": 2, "AuthorizerFunctionName": 1}
"""How many of the requests below each function refuses last of all, and says so in its log."""


def test_no_log_holds_a_text_or_a_key(deployment: Deployment, key: str) -> None:
    begun = time.time() - 1
    secret = f"secret{uuid4().hex}"
    groups = {deployment.log_group(name): refusals for name, refusals in REFUSALS.items()}
    deployment.ask("POST", "/moderate", {"text": f"you fool {secret}", "store": False}, key)
    deployment.ask("POST", "/moderate", {"text": [secret]}, key)
    deployment.ask("POST", "/feedback", {"decision_id": "d_none", "correct": True, "note": secret}, key)
    deployment.ask("GET", f"/decisions/{secret}", key=key)
    deployment.ask("GET", "/model", query={"key": secret})
    for group, refusals in groups.items():
        logged = eventually(partial(log_with, refusals, deployment, group, begun))
        assert secret not in logged
        assert key not in logged


def log_with(refusals: int, deployment: Deployment, group: str, since: float) -> str:
    """Return what was logged to a group since a second of 1970; nothing until so many refusals are in it."""
    logged = "".join(deployment.log_lines(group, since))
    return logged if logged.count('"refused"') >= refusals else ""
