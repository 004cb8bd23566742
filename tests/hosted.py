"""The predict image's server outside of Lambda, as tests run it: in a thread, or as the process that a container is."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from moderato.clock import utc_now
from moderato.judge import Judge
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from predict.hosting.app import MAX_BODY_SECONDS, Application
from predict.hosting.invocations import MAX_LINES_BYTES, Invocations, Kind
from predict.hosting.server import create_server, listen
from predict.hosting.turns import MAX_WAITING_SECONDS, Turns
from tests.conftest import STARTER
from tests.records import logger_to

SECONDS = 30


@dataclass(frozen=True)
class Held(Invocations):
    """Invocations that are answered by their own body once `released` is set, or their client has gone."""

    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __call__(self, kind: Kind, body: bytes, is_stopped: Callable[[], bool]) -> bytes:  # noqa: ARG002
        """Wait, and answer."""
        self.entered.release()
        while not self.released.wait(0.01):
            if is_stopped():
                self.stopped.set()
                break
        return body


def invocations(
    scorer: Scorer, logs: StringIO, max_lines_bytes: int = MAX_LINES_BYTES, kind: type[Invocations] = Invocations
) -> Any:
    """Return invocations around a model with its own thresholds."""
    judge = Judge(scorer, Retention(Keep.NONE, 0.0, lambda: 0.0), utc_now)
    return kind(judge, {"default": default_policy(scorer.manifest)}, logger_to(logs), max_lines_bytes)


@contextmanager
def serving(
    answering: Invocations,
    cpus: int = 2,
    most_seconds: float = MAX_WAITING_SECONDS,
    logs: StringIO | None = None,
    max_body_seconds: float = MAX_BODY_SECONDS,
) -> Iterator[int]:
    """Serve in a thread; give the port."""
    with listen(0) as listener, ThreadPoolExecutor(cpus) as executor:
        turns = Turns(cpus, answering.max_lines_bytes, most_seconds)
        logger = logger_to(logs or StringIO())
        server = create_server(Application(answering, turns, executor, cpus, logger, max_body_seconds))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Server:
    """A process of the server that listens."""

    process: "subprocess.Popen[str]"
    listening: dict[str, Any]
    """What it said when it began to listen."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listening["port"])

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return the exit status and what it wrote since it listened."""
        written, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, written


@contextmanager
def started(environment: Mapping[str, str]) -> Iterator[Server]:
    """Start the server's process, as the image's entry point does; it is killed at the end."""
    process = subprocess.Popen(COMMAND, env=_settings(environment), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(process, json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def refused(environment: Mapping[str, str]) -> tuple[int, str]:
    """Start the server's process where it cannot serve; return its exit status and its last words."""
    done = subprocess.run(
        COMMAND, env=_settings(environment), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def send_raw(port: int, request: bytes) -> socket.socket:
    """Send bytes on a connection of their own; return it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.sendall(request)
    return connection


def post(body: bytes, kind: str = "application/json") -> bytes:
    """Return an invocation as it goes over the wire."""
    head = f"POST /invocations HTTP/1.1\r\nhost: h\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


COMMAND = [sys.executable, "-m", "predict.hosting.main"]


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    own = {"PYTHONPATH": str(STARTER.parents[1] / "functions"), "MODEL_DIR": str(STARTER)}
    defaults = {"ML_ROOT": "/nonexistent", "SAGEMAKER_BIND_TO_PORT": "0", "PATH": os.environ.get("PATH", "")}
    return {**own, **defaults, **environment}
