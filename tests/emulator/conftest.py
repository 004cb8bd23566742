"""The emulated stack: what only its own account's owner can see and do."""

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.emulator import probe
from tests.emulator.issuer import Issuer
from tests.emulator.stack import WHOLE_STACK
from tests.live.conftest import deployment, key, make_key
from tests.live.deployment import Deployment

__all__ = ["deployment", "key", "make_key"]

Try = Callable[..., str]
"""Makes a call to AWS with a function's role; returns "allowed", or the code of the error."""


@pytest.fixture(scope="session")
def state() -> Path:
    """The folder in which the emulator keeps its state."""
    folder = os.environ.get("MODERATO_EMULATOR_STATE")
    if not folder:
        pytest.skip("looks behind an emulated AWS: run `make emulate`")
    return Path(folder)


@pytest.fixture(scope="session")
def whole(state: Path) -> Iterator[Deployment]:  # noqa: ARG001  # only on the emulator
    """The stack that has all that can be asked for."""
    deployment = Deployment.of(WHOLE_STACK)
    yield deployment
    deployment.http.close()


@pytest.fixture(scope="session")
def issuer(state: Path, deployment: Deployment) -> Issuer:
    """The user pool's issuer, whose signing key lies in the emulator's state."""
    pool = deployment.outputs["UserPoolId"]
    return Issuer.of(deployment, state / "cognito-pool-keys" / f"{pool}-access.pem")


@pytest.fixture(scope="session")
def attempt(state: Path, deployment: Deployment) -> Iterator[Try]:  # noqa: ARG001  # only on the emulator
    """Calls AWS with the role of one of the stack's functions, or with a role that is named by its ARN."""
    functions = boto3.client("lambda")
    made: dict[str, str] = {}

    def role_of(function: str) -> str:
        if function.startswith("arn:aws:iam:"):
            return function
        name = deployment.outputs.get(function, function)
        return str(functions.get_function_configuration(FunctionName=name)["Role"])

    def call(function: str, service: str, operation: str, is_tls: bool = True, **arguments: Any) -> str:
        role = role_of(function)
        if role not in made:
            made[role] = f"probe-{len(made)}"
            functions.create_function(
                FunctionName=made[role],
                Role=role,
                Runtime="python3.11",
                Handler="probe.handler",
                Timeout=30,
                Code={"ZipFile": _zipped(Path(probe.__file__))},
            )
        event = {"service": service, "call": operation, "arguments": arguments, "is_tls": is_tls}
        answer = functions.invoke(FunctionName=made[role], Payload=json.dumps(event).encode())
        return str(json.loads(answer["Payload"].read()))

    yield call
    for name in made.values():
        functions.delete_function(FunctionName=name)


def _zipped(module: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(module, module.name)
    return packed.getvalue()
