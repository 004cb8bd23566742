"""What the tests of SageMaker need: an AWS that answers from this process, and snapshots of requests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

TESTS = Path(__file__).parents[1]

import tests  # noqa: E402

# A package that the SDK needs (smdebug-rulesconfig) installs its own tests under this name: ours come first.
tests.__path__ = [str(TESTS), *tests.__path__]

from tests.cloud.aws import Aws  # noqa: E402
from tests.cloud.launches import Launcher, settle  # noqa: E402

OURS = {"SAGEMAKER_ADMIN_CONFIG_OVERRIDE", "SAGEMAKER_USER_CONFIG_OVERRIDE", "SAGEMAKER_VALIDATE_ROLE"}
"""What training.sagemaker_sdk says to the SDK when it is imported."""


@pytest.fixture
def aws() -> Iterator[Aws]:
    """An AWS account in eu-west-1 in which all that a job needs is there."""
    account = Aws()
    yield account
    # The SDK keeps its clients by the session's address, which another test's session may get.
    if "sagemaker.core.utils.utils" in sys.modules:
        sys.modules["sagemaker.core.utils.utils"].SageMakerClient.reset()


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Requests as JSON files beside the tests; `--snapshot-update` writes them anew."""
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever this machine is signed in to and set to, no test sees."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SAGEMAKER_"))]:
        if name not in OURS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def lookups() -> Iterator[list[str]]:
    """Whose addresses are asked for by anything in this process."""
    asked: list[str] = []
    _LISTENERS.append(asked)
    yield asked
    _LISTENERS.remove(asked)


def _listen(event: str, words: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        for listener in _LISTENERS:
            listener.append(str(words[0]))


_LISTENERS: list[list[str]] = []
# There is no way to take an audit hook back: one is enough for all tests.
sys.addaudithook(_listen)


@pytest.fixture
def launch(aws: Aws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """The command of the jobs, in an account where a dataset and a champion are."""
    settle(aws)
    return Launcher(aws, capsys, monkeypatch)
