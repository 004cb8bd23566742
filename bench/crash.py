"""Feedback under kill -9: clients write while the server dies and comes back; what was answered must be there, once.

    python -m bench.crash [--writes 10000] [--seed 1]

Each client sends its feedback again, with the same Idempotency-Key, until it has an answer. In the end the store is
read: an answered feedback that is missing is lost, one that is there twice is duplicated, and one is stuck whose
review never came to the queue.
"""

import argparse
import http.client
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.server import ServerProcess
from moderato.errors import UnknownReview
from moderato.reviews import Status, review_id_of
from moderato.sqlite import SqliteStore


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
    stuck: int
    kills: int

    @property
    def is_good(self) -> bool:
        """Whether everything that was answered is there, once, and waits for annotators."""
        return self.lost == self.duplicated == self.stuck == 0


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
    return _count(data_directory / "moderato.sqlite3", set(tally.feedback_ids), writes, kills)


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
    parser.add_argument("--writes", type=int, default=10_000)
    parser.add_argument("--writes-per-second", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        wait_for_kill = every_seconds(0.8, 2, options.seed)
        outcome = crash(Path(directory), options.writes, wait_for_kill, options.writes_per_second)
    for name in ("acknowledged", "lost", "duplicated", "stuck", "kills"):
        sys.stdout.write(f"{name:12} {getattr(outcome, name)}\n")
    return 0 if outcome.is_good else 1


def _write(server: ServerProcess, tally: Tally, first: int, step: int, writes_per_second: float | None) -> None:
    for number in range(first, tally.writes, step):
        tally.add(_answered(server, number))
        if writes_per_second:
            time.sleep(step / writes_per_second)


def _answered(server: ServerProcess, number: int) -> str:
    body = {"text": _text(number), "labels": {"insult": True}, "note": f"note {number}"}
    while True:
        server.wait()
        try:
            status, answer = server.request("POST", "/feedback", body, {"idempotency-key": f"crash-{number}"})
        except (OSError, http.client.HTTPException, ValueError):
            continue  # it died under this request: ask again, with the same key
        if status != 201:
            raise RuntimeError(f"feedback was answered with status {status}")
        return str(answer["feedback_id"])


def _text(number: int) -> str:
    return f"text {number}"


def _count(database: Path, acknowledged: set[str], writes: int, kills: int) -> Outcome:
    store = SqliteStore(database)
    try:
        stored: set[str] = set()
        duplicated = stuck = 0
        for number in range(writes):
            review_id = review_id_of(None, _text(number))
            given = store.feedback_of_review(review_id)
            stored |= {feedback.feedback_id for feedback in given}
            duplicated += max(0, len(given) - 1)
            stuck += not _waits(store, review_id)
    finally:
        store.close()
    return Outcome(len(acknowledged), len(acknowledged - stored), duplicated, stuck, kills)


def _waits(store: SqliteStore, review_id: str) -> bool:
    try:
        return store.get_review(review_id).status is Status.WAITING
    except UnknownReview:
        return False


if __name__ == "__main__":
    sys.exit(main())
