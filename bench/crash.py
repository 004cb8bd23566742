"""Feedback under kill -9: clients write while the server dies and comes back; what was answered must be there, once.

    python -m bench.crash [--writes 2000] [--seed 1]

Each client sends its feedback again, with the same Idempotency-Key, until it has an answer. In the end the database
is read: an answered feedback that is missing is lost, a text that is there twice is duplicated.
"""

import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
REQUEST_SECONDS = 30


class ServerProcess:
    """A real `moderato serve` process on a free port; it may die and start again on the same data folder."""

    def __init__(self, data_directory: Path) -> None:
        """Start the server and wait until it listens."""
        self._data_directory = data_directory
        self._is_up = threading.Event()
        self.start()

    def start(self) -> None:
        """Start the process; return when it says that it listens."""
        command = [sys.executable, "-m", "local", "serve", "--port", "0", "--data-dir", str(self._data_directory)]
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

    def request(self, method: str, path: str, body: object, key: str) -> tuple[int, dict[str, object]]:
        """Send JSON on a connection of its own; OSError or HTTPException when the server dies under it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            headers = {"content-type": "application/json", "idempotency-key": key}
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def _end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=START_SECONDS)
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


class Tally:
    """What the clients have answers for, so far."""

    def __init__(self, writes: int) -> None:
        """Begin with nothing answered of so many writes."""
        self.writes = writes
        self.feedback_ids: list[str] = []
        self._changed = threading.Condition()

    def add(self, feedback_id: str) -> None:
        """Note an answered write."""
        with self._changed:
            self.feedback_ids.append(feedback_id)
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_seconds: float | None = None) -> bool:
        """Wait until so many are answered; return whether all are."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.feedback_ids) >= min(count, self.writes), timeout_seconds)
            return len(self.feedback_ids) >= self.writes


WaitForKill = Callable[[Tally], bool]
"""Waits until the server is to die; says whether all writes are answered and it need not."""


@dataclass(frozen=True)
class Outcome:
    """What became of the feedback."""

    acknowledged: int
    lost: int
    duplicated: int
    kills: int

    @property
    def is_good(self) -> bool:
        """Whether everything that was answered is there, once."""
        return self.lost == 0 and self.duplicated == 0


def crash(data_directory: Path, writes: int, wait_for_kill: WaitForKill, writes_per_second: float | None) -> Outcome:
    """Write feedback from four clients while the server is killed again and again, then count what is on disk."""
    server, tally, kills = ServerProcess(data_directory), Tally(writes), 0
    with ThreadPoolExecutor(5) as threads:
        clients = [threads.submit(_write, server, tally, first, 4, writes_per_second) for first in range(4)]
        while not wait_for_kill(tally) and not any(client.done() and client.exception() for client in clients):
            server.kill()
            kills += 1
        for client in clients:
            client.result()
    server.stop()
    return _count(data_directory / "moderato.sqlite3", tally.feedback_ids, kills)


def every_seconds(shortest: float, longest: float, seed: int) -> WaitForKill:
    """Kill after a time drawn between the two."""
    draw = random.Random(seed)
    return lambda tally: tally.wait_for(tally.writes, draw.uniform(shortest, longest))


def every_answers(count: int) -> WaitForKill:
    """Kill after so many more answers."""
    return lambda tally: tally.wait_for(len(tally.feedback_ids) + count)


def main() -> int:
    """Run the benchmark as the command line says; exit status 1 if anything was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=2000)
    parser.add_argument("--writes-per-second", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        wait_for_kill = every_seconds(1, 2, options.seed)
        outcome = crash(Path(directory), options.writes, wait_for_kill, options.writes_per_second)
    for name in ("acknowledged", "lost", "duplicated", "kills"):
        sys.stdout.write(f"{name:12} {getattr(outcome, name)}\n")
    return 0 if outcome.is_good else 1


def _write(server: ServerProcess, tally: Tally, first: int, step: int, writes_per_second: float | None) -> None:
    for number in range(first, tally.writes, step):
        tally.add(_answered(server, number))
        if writes_per_second:
            time.sleep(step / writes_per_second)


def _answered(server: ServerProcess, number: int) -> str:
    body = {"text": f"text {number}", "correct": False, "note": f"note {number}"}
    while True:
        server.wait()
        try:
            status, answer = server.request("POST", "/feedback", body, key=f"crash-{number}")
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            continue  # it died under this request: ask again, with the same key
        if status != 201:
            raise RuntimeError(f"feedback was answered with status {status}")
        return str(answer["feedback_id"])


def _count(database: Path, acknowledged: list[str], kills: int) -> Outcome:
    connection = sqlite3.connect(database)
    try:
        stored = {row[0] for row in connection.execute("SELECT feedback_id FROM feedback")}
        extra_feedback = connection.execute("SELECT count(*) - count(DISTINCT text) FROM feedback").fetchone()[0]
        extra_reviews = connection.execute("SELECT count(*) - count(DISTINCT feedback_id) FROM reviews").fetchone()[0]
        reviewed = {row[0] for row in connection.execute("SELECT feedback_id FROM reviews")}
    finally:
        connection.close()
    lost = [feedback_id for feedback_id in acknowledged if feedback_id not in stored or feedback_id not in reviewed]
    return Outcome(len(acknowledged), len(lost), extra_feedback + extra_reviews, kills)


if __name__ == "__main__":
    sys.exit(main())
