"""A real `moderato serve` process that benchmarks and demonstrations talk to."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
REQUEST_SECONDS = 30
JSON_BODY = {"content-type": "application/json"}


class ServerProcess:
    """A real `moderato serve` process on a free port; it may die and start again on the same data folder."""

    def __init__(self, data_directory: Path, *options: str) -> None:
        """Start the server, with more options of the command, and wait until it listens."""
        self._data_directory = data_directory
        self._options = options
        self._is_up = threading.Event()
        self.start()

    def start(self) -> None:
        """Start the process; return when it says that it listens."""
        command = [sys.executable, "-m", "local", "serve", "--port", "0", "--data-dir", str(self._data_directory)]
        command += self._options
        environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
        self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None  # noqa: S101  # for the type checker: it is a pipe
        self.greeting = self.process.stdout.readline()
        if "listens on" not in self.greeting:
            raise RuntimeError("the server did not start")
        self.lines: list[str] = []
        # Read to the end, or the server would stand still before a full pipe.
        self._reader = threading.Thread(target=self.lines.extend, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        self.port = int(self.greeting.rsplit(":", 1)[1])
        self._is_up.set()

    def kill(self) -> None:
        """Kill -9, and start again."""
        self._is_up.clear()
        self._end(signal.SIGKILL)
        self.start()

    def stop(self) -> int:
        """Stop as Ctrl-C does; return the exit status."""
        return self._end(signal.SIGINT)

    def wait(self) -> None:
        """Return when the server is up."""
        if not self._is_up.wait(START_SECONDS):
            raise TimeoutError("the server did not come back")

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send JSON on a connection of its own and return status and body, decoded where it is JSON.

        Raises OSError, HTTPException or ValueError when the server dies under it.
        """
        status, _, content = self.exchange(
            method, path, None if body is None else json.dumps(body), {**JSON_BODY, **(headers or {})}
        )
        return status, json.loads(content) if content else None

    def exchange(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, Message, bytes]:
        """Send a request as it is; return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def _end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=START_SECONDS)
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status
