"""MiniStack, which stands in for AWS: a process of its own, on a container network that leads nowhere else.

The functions' containers and this machine reach it, and nobody beyond: it listens on the gateway of a network that
Docker makes `internal`. So the functions run as in a private subnet, and what they want from the Internet fails.
"""

import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REGION = "eu-central-1"
START_SECONDS = 60

ROOT_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""The account's owner, whom IAM asks nothing: deploys, and looks into tables and queues."""


@dataclass(frozen=True)
class MiniStack:
    """A running MiniStack: its address, its containers' network, and the folder with its state."""

    url: str
    network: str
    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes an AWS client in another process talk to it, as the account's owner."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            # The user pools' signing keys are in it.
            "MODERATO_EMULATOR_STATE": str(self.state),
            "MODERATO_EMULATOR_NETWORK": self.network,
            **ROOT_KEYS,
        }


@contextmanager
def running(python: str, log: Path) -> Iterator[MiniStack]:
    """Run MiniStack by the Python that has it; no process, container or network is left of it in the end."""
    with _network() as (network, gateway), tempfile.TemporaryDirectory() as folder:
        url = f"http://{gateway}:{_free_port(gateway)}"
        stack = MiniStack(url, network, Path(folder))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "-m", "ministack"], env=_environment(stack), stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_ready(stack, process)
            yield stack
        finally:
            process.terminate()
            _end(process)
            _remove_containers(network)


def _environment(stack: MiniStack) -> dict[str, str]:
    host, port = stack.url.removeprefix("http://").split(":")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(stack.state),
        "TMPDIR": str(stack.state),
        "STATE_DIR": str(stack.state),
        # IAM is enforced: each function calls with its own role, and what the role does not allow is refused.
        "AUTH": "true",
        "BIND_HOST": host,
        "GATEWAY_PORT": port,
        "MINISTACK_HOST": host,
        "MINISTACK_REGION": REGION,
        # Containers are told this address, and are called at their own.
        "AWS_ENDPOINT_URL": stack.url,
        "LAMBDA_DOCKER_NETWORK": stack.network,
        # An event that fails is tried again as often as on AWS, without the minutes between.
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",
        # It would listen on a port of its own.
        "IOT_MTLS_ENABLED": "0",
        **({"DOCKER_HOST": os.environ["DOCKER_HOST"]} if "DOCKER_HOST" in os.environ else {}),
        **ROOT_KEYS,
    }


@contextmanager
def _network() -> Iterator[tuple[str, str]]:
    name = f"moderato-emulator-{os.getpid()}"
    _docker("network", "create", "--internal", name)
    try:
        yield name, _docker("network", "inspect", name, "--format", "{{(index .IPAM.Config 0).Gateway}}")
    finally:
        _docker("network", "rm", name)


def _remove_containers(network: str) -> None:
    if left := _docker("ps", "--all", "--quiet", "--filter", f"network={network}").split():
        _docker("rm", "--force", *left)


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def _free_port(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(stack: MiniStack, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{stack.url}/_ministack/health", timeout=5):  # noqa: S310  # http, and our own
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("MiniStack did not start; its log says why")


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
