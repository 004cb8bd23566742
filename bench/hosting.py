"""The predict image's server under load: CPU per text, texts a second, waiting times, memory, and its health meanwhile.

    python -m bench.hosting [--texts FILE] [--cpus 1] [--clients 8] [--rounds 5]

A real process of the server is given so many CPUs and asked over HTTP: many texts a request, a line each; one text a
request by one client; the same by more clients than it has CPUs. The CPU time is that of its whole process, with HTTP
and JSON. FILE has a text a line; without one, the texts are the model's golden ones. The clients run on this machine
too: how long they wait says something where it has CPUs to spare, the CPU per text says it everywhere.
"""

import argparse
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from moderato.golden import GOLDEN, read_golden
from moderato.scorer import Scorer

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "starter"
REQUEST_SECONDS = 600
LINES_A_REQUEST = 200
JSON = "application/json"
LINES = "application/jsonlines"


@dataclass(frozen=True)
class Load:
    """What so many texts cost when they were asked about in one way: seconds of CPU, of each request, and in all."""

    name: str
    texts: int
    cpu_seconds: float
    wall_seconds: float
    waits: Sequence[float]


class Server:
    """A process of the server, with CPUs of its own."""

    def __init__(self, cpus: int) -> None:
        """Start it, and wait until it listens."""
        everything = os.sched_getaffinity(0)
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT / "functions")]))
        settings = {
            "PYTHONPATH": path,
            "MODEL_DIR": str(MODEL),
            "ML_ROOT": "/nonexistent",
            "SAGEMAKER_BIND_TO_PORT": "0",
        }
        # A child has the CPUs of its parent, and counts them when it starts.
        os.sched_setaffinity(0, set(sorted(everything)[:cpus]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "predict.hosting.main"],
                env=os.environ | settings,
                stdout=subprocess.PIPE,
                text=True,
            )
        finally:
            os.sched_setaffinity(0, everything)
        assert self._process.stdout is not None  # noqa: S101  # for the type checker: it is a pipe
        listening = json.loads(self._process.stdout.readline())
        self.port, self.cpus = int(listening["port"]), int(listening["cpus"])
        # Read to the end, or the server would stand still before a full pipe.
        self._reader = ThreadPoolExecutor(1)
        self._reader.submit(self._process.stdout.read)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=REQUEST_SECONDS)
        self._reader.shutdown()

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has had."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_megabytes(self) -> float:
        """Return the most memory that it has had."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    def ask(self, method: str, path: str, bodies: Sequence[bytes | None], kind: str = JSON) -> list[float]:
        """Send requests one after the other on one connection; return the seconds of each."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        waits = []
        for body in bodies:
            began = time.perf_counter()
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            content = response.read()
            waits.append(time.perf_counter() - began)
            if response.status != 200:
                raise RuntimeError(f"{path} answered {response.status}: {content[:300]!r}")
        connection.close()
        return waits


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="a file with a text a line")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="how often each text is sent")
    options = parser.parse_args()
    texts = read_texts(options.texts)
    server = Server(options.cpus)
    try:
        # A first time that does not count: memory is laid out, and the list of words is read.
        server.ask("POST", "/invocations", [_single(text) for text in texts[:100]])
        idle = server.peak_megabytes()
        sent = texts * options.rounds
        loads = [in_lines(server, sent), one_by_one(server, sent, 1)]
        pings: list[float] = []
        loads.append(
            one_by_one(server, sent, options.clients, lambda: pings.extend(server.ask("GET", "/ping", [None])))
        )
        report(texts, server.cpus, loads, pings)
        Console().print(f"Memory: {idle:.0f} MB before the load, {server.peak_megabytes():.0f} MB at most.")
    finally:
        server.stop()


def read_texts(path: Path | None) -> list[str]:
    """Return the texts of a file, or the model's golden ones."""
    if path is None:
        return [golden.text for golden in read_golden(MODEL / GOLDEN)]
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def in_lines(server: Server, texts: Sequence[str]) -> Load:
    """Ask about many texts a request."""
    groups = [texts[first : first + LINES_A_REQUEST] for first in range(0, len(texts), LINES_A_REQUEST)]
    bodies = [b"\n".join(_single(text) for text in group) for group in groups]
    return _timed(
        f"{LINES_A_REQUEST} lines a request",
        server,
        len(texts),
        lambda: server.ask("POST", "/invocations", bodies, LINES),
    )


def one_by_one(
    server: Server, texts: Sequence[str], clients: int, meanwhile: Callable[[], None] = lambda: None
) -> Load:
    """Ask about one text a request, by so many clients at once; do something else until they are done."""
    bodies = [_single(text) for text in texts]

    def ask() -> list[float]:
        with ThreadPoolExecutor(clients) as executor:
            parts = [
                executor.submit(server.ask, "POST", "/invocations", bodies[one::clients]) for one in range(clients)
            ]
            while wait(parts, timeout=0.05).not_done:
                meanwhile()
        return [seconds for part in parts for seconds in part.result()]

    return _timed(f"one a request, clients: {clients}", server, len(texts), ask)


def report(texts: Sequence[str], cpus: int, loads: Sequence[Load], pings: Sequence[float]) -> None:
    """Print what was measured."""
    scorer = Scorer.load(MODEL)
    tokens = [sum(len(piece.ids) + 2 for piece in scorer.pieces(text)) for text in texts]
    spread = f"median {statistics.median(tokens):.0f}, mean {statistics.mean(tokens):.0f}"
    table = Table(title=f"{len(texts):,} texts; tokens: {spread}; CPUs: {cpus}")
    table.add_column("")
    for column in ("CPU ms a text", "texts a second", "median ms", "99 % ms"):
        table.add_column(column, justify="right")
    for load in loads:
        used = f"{1000 * load.cpu_seconds / load.texts:.2f}", f"{load.texts / load.wall_seconds:,.0f}"
        table.add_row(load.name, *used, *_waits(load.waits))
    table.add_row("GET /ping, meanwhile", "", "", *_waits(pings))
    Console().print(table)


def _waits(waits: Sequence[float]) -> list[str]:
    ordered = [1000 * seconds for seconds in sorted(waits)]
    return [f"{figure:,.1f}" for figure in (statistics.median(ordered), ordered[math.ceil(0.99 * len(ordered)) - 1])]


def _timed(name: str, server: Server, texts: int, ask: Callable[[], list[float]]) -> Load:
    cpu, began = server.cpu_seconds(), time.perf_counter()
    waits = ask()
    return Load(name, texts, server.cpu_seconds() - cpu, time.perf_counter() - began, waits)


def _single(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


if __name__ == "__main__":
    main()
