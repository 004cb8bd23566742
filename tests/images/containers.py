"""Images as Lambda runs them: read-only, a user without rights, no shared memory, 1,769 MB and one core, no more."""

import http.client
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

START_SECONDS = 30
ANSWER_SECONDS = 60
INVOCATIONS = "/2015-03-31/functions/function/invocations"

LIMITS = (
    "--read-only", "--tmpfs", "/tmp:size=512m", "--ipc", "none",  # noqa: S108  # the container's own
    "--user", "993:990", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--memory", "1769m", "--memory-swap", "1769m", "--cpus", "1",
)  # fmt: skip

HOSTING_LIMITS = (
    "--read-only", "--user", "993:990", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--memory", "512m", "--memory-swap", "512m", "--cpus", "1",
)  # fmt: skip
"""Those of deploy/kubernetes/deployment.yaml: not even a folder for temporary files."""

REGION = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
"""What Lambda tells every function."""

PACKAGES = {"PYTHONPATH": "/var/task:/opt/python"}
"""Where Lambda's base finds what is in an image, for a Python that is started without it."""

STORE_NOTHING = {
    "STACK": "images", "TABLE": "none", "STORE_DECISIONS": "none", "SAMPLING_PROBABILITY": "0", "KEEP_DAYS": "30",
}  # fmt: skip
"""The predict function's settings where no store is at hand."""


class Function(AbstractContextManager["Function"]):
    """A function's container behind the runtime interface emulator, asked over HTTP as Lambda's service asks it."""

    def __init__(
        self, image: str, handler: str, environment: Mapping[str, str], mounts: Mapping[Path, str] | None = None
    ) -> None:
        """Start a container; the handler is first imported when the first event comes, as on a cold start."""
        volumes = [option for path, place in (mounts or {}).items() for option in ("-v", f"{path}:{place}:ro")]
        options = [*volumes, *_settings({**REGION, **environment}), "-p", "127.0.0.1::8080"]
        self._name = docker("run", "--detach", *LIMITS, *options, image, handler)
        try:
            self._port = int(docker("port", self._name, "8080").rsplit(":", 1)[1])
            self._wait()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_: object) -> None:
        """Remove the container."""
        self.remove()

    def invoke(self, event: object) -> tuple[int, Any]:
        """Send an event; return the emulator's status and what the function answered, decoded where it is JSON."""
        status, content = self._request("POST", INVOCATIONS, json.dumps(event))
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def ask(self, event: object) -> tuple[int, Any]:
        """Send an event of API Gateway; return the status and the decoded body of the answer."""
        _, answer = self.invoke(event)
        return answer["statusCode"], json.loads(answer["body"])

    def run(self, *command: str) -> str:
        """Run a command in the container; return what it wrote."""
        return docker("exec", self._name, *command)

    def remove(self) -> None:
        """End the container and forget it."""
        docker("rm", "--force", "--volumes", self._name)

    def _request(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _wait(self) -> None:
        """Wait for the emulator; it answers 404 to what is no invocation, and starts no handler for it."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._request("GET", "/")
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            else:
                return


class Hosted(AbstractContextManager["Hosted"]):
    """The predict image as SageMaker and Kubernetes start it: `docker run IMAGE serve`."""

    def __init__(self, image: str, environment: Mapping[str, str] | None = None, model: Path | None = None) -> None:
        """Start a container, with a model in the place where SageMaker unpacks one, if any."""
        volumes = [] if model is None else ["-v", f"{model}:/opt/ml/model:ro"]
        options = [*HOSTING_LIMITS, *volumes, *_settings(environment or {}), "-p", "127.0.0.1::8080"]
        self._name = docker("run", "--detach", *options, image, "serve")

    def __exit__(self, *_: object) -> None:
        """Remove the container."""
        docker("rm", "--force", "--volumes", self._name)

    def ask(self, method: str, path: str, body: str | None = None, kind: str = "application/json") -> tuple[int, str]:
        """Send a request; return the status and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def wait(self) -> None:
        """Wait until it is healthy, as SageMaker does before it sends anything."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.ask("GET", "/ping")[0] == 200:
                    return
            except (OSError, http.client.HTTPException, RuntimeError):
                if time.monotonic() > deadline:
                    raise

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL half a minute later, as SageMaker does; return the exit status."""
        docker("stop", "--time", "30", self._name)
        return self.exit_status()

    def exit_status(self) -> int:
        """Wait for its end; return the exit status."""
        return int(docker("wait", self._name))

    def written(self) -> str:
        """Return what it wrote, errors and all."""
        done = subprocess.run(["docker", "logs", self._name], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    @property
    def _port(self) -> int:
        return int(docker("port", self._name, "8080").splitlines()[0].rsplit(":", 1)[1])


def engine_answers() -> bool:
    """Return whether a container engine runs that this user may use."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run_python(
    image: str, source: str, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> str:
    """Run a program in an image under Lambda's limits and without any network; return what it wrote."""
    settings = _settings({**REGION, **PACKAGES, **(environment or {})})
    alone = ("--rm", "--network", "none", "--entrypoint", "python")
    return docker("run", *alone, *LIMITS, *settings, *options, image, "-c", source)


def docker(*arguments: str) -> str:
    """Run docker; return what it wrote. Raises RuntimeError with its own words."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _settings(environment: Mapping[str, str]) -> list[str]:
    return [option for name, value in environment.items() for option in ("-e", f"{name}={value}")]
