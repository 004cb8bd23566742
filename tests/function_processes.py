"""A function as Lambda starts it: a process of its own, with its environment alone."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.conftest import STARTER

FUNCTIONS = STARTER.parents[1] / "functions"
ALL_FUNCTIONS = {
    "STACK": "moderato-dev",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
_CALLS = """
import json, sys
from aws_lambda_powertools.utilities.typing import LambdaContext
from {function}.main import handler
answers = [handler(event, LambdaContext()) for event in json.load(sys.stdin)]
loaded = sorted({{"onnxruntime", "tokenizers", "numpy", "torch", "pydantic"}} & set(sys.modules))
print(json.dumps({{"answers": answers, "loaded": loaded}}))
"""


def start(function: str, environment: Mapping[str, str], *events: Mapping[str, Any]) -> Any:
    """Start a function and send it events; return its answers and the large packages it loaded, or its last words."""
    done = subprocess.run(
        [sys.executable, "-c", _CALLS.format(function=function)],
        cwd=FUNCTIONS,
        env=ALL_FUNCTIONS | {"PATH": os.environ.get("PATH", ""), **environment},
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr
