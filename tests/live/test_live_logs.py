"""What a deployed stack writes down about a request: that it came, and nothing of what was in it."""

import time
from functools import partial
from uuid import uuid4

from tests.live.deployment import Deployment, eventually

FUNCTIONS = ("PredictFunctionName", "FeedbackFunctionName", "AuthorizerFunctionName")


def test_no_log_holds_a_text_or_a_key(deployment: Deployment, key: str) -> None:
    begun = time.time() - 1
    secret = f"secret{uuid4().hex}"
    groups = [deployment.log_group(name) for name in FUNCTIONS]
    deployment.ask("POST", "/moderate", {"text": f"you fool {secret}", "store": False}, key)
    deployment.ask("POST", "/moderate", {"text": [secret]}, key)
    deployment.ask("POST", "/feedback", {"decision_id": "d_none", "correct": True, "note": secret}, key)
    deployment.ask("GET", f"/decisions/{secret}", key=key)
    deployment.ask("GET", "/model", query={"key": secret})
    assert eventually(lambda: any('"moderated"' in line for line in deployment.log_lines(groups[0], begun)))
    for group in groups:
        logged = "".join(eventually(partial(lines_of, deployment, group, begun)))
        assert secret not in logged
        assert key not in logged


def lines_of(deployment: Deployment, group: str, since: float) -> list[str]:
    """Return what was logged to a group since a second of 1970."""
    return list(deployment.log_lines(group, since))
