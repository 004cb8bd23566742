"""The Ray cluster that a training runs on: one that is there, or one of this machine's own for as long as it takes.

Ray reads its settings when it is imported, so here it is imported after they are made; who uses Ray imports it inside
`cluster`.
"""

import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.config import RecipeError
from training.ray_machines import CODE

SETTINGS = {
    # Ray reports its use to its maker unless told not to; we report to nobody.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # Paths in a recipe are read from here, wherever a worker would be sent.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Figures are kept by the run's folder and by MLflow: no TensorBoard, CSV and JSON files of every trial beside them.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ray Train asks the dashboard each second what its controller does, and says that there is no dashboard.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "Failed to query Ray Train Controller actor state",
    # A worker's line is printed once, not by Ray's log as well.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # By default Ray gives workers a minute to import torch; many of them on a busy machine take longer.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
}

OWN_SETTINGS = {
    # A cluster runs whatever it is sent: this one listens on the loopback alone, and to who has its token.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    # Workers are what this machine is there for: by default they give way to whatever else runs.
    "RAY_worker_niceness": "0",
    # A validation figure waits for Ray's next look at the workers, by default two seconds, and so does a lost worker.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Nobody takes this machine away with a notice.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""What a cluster of this machine's own has besides."""

JOIN_SETTINGS = {
    # A cluster whose port answers but whose token is another is asked twenty times by default, with a warning each.
    "RAY_NUM_REDIS_GET_RETRIES": "3",
}
"""What a cluster that exists is joined with besides."""

SHUT = (
    "; where it demands a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the one that its machines have or "
    "RAY_AUTH_TOKEN_PATH to a file with it"
)

LONGEST_FOLDER = 40
"""Characters of the folder of Ray's session: a socket's path has at most 107, and Ray adds 64."""

OBJECT_BYTES = 100_000_000
"""What workers hand one another through Ray is a path and some figures; it would set 30 % of the memory aside."""


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Join the cluster at `address`, or start one on this machine that leaves nothing behind.

    SIGTERM ends what is done with it, and this process with 143. For the main thread. Raises RecipeError when no
    cluster can be used there, or this machine cannot have one.
    """
    os.environ.update(SETTINGS)
    with _ending_with_143() as interrupt, tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as own:
        given = _own(Path(own), workers or 1) if address is None else _existing(address)
        import ray

        try:
            _init(given)
            # Asked to stop, Ray's own handler would leave its processes to find out by themselves.
            signal.signal(signal.SIGTERM, interrupt)
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who asks twice would have them left behind
            ray.shutdown()


@contextmanager
def _ending_with_143() -> Iterator[Callable[..., None]]:
    """End this process with 143 where SIGTERM ended what it did; yields what does that, for a signal's handler."""
    asked: list[object] = []

    def interrupt(*_: object) -> None:
        asked.append(True)
        # Ray waits in code that hands on this exception as it is; SystemExit becomes an error of its own.
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield interrupt
    except BaseException as error:
        # While Ray starts, its own handler exits with the signal's number.
        if asked or (isinstance(error, SystemExit) and error.code == signal.SIGTERM):
            sys.exit(128 + signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _require_answer(address: str) -> None:
    """Ray itself would ask again for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise RecipeError(
            f"--address is {address!r}; it is HOST:PORT of a cluster that this machine is part of, or auto"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise RecipeError(f"no Ray cluster answers at {address}: {error}") from None


def _own(folder: Path, workers: int) -> dict[str, Any]:
    """What Ray starts a cluster on this machine by."""
    if len(str(folder)) > LONGEST_FOLDER:
        raise RecipeError(
            f"Ray's sockets do not fit under {folder.parent}; set TMPDIR to a folder whose path has at most "
            f"{LONGEST_FOLDER - len('/' + folder.name)} characters"
        )
    os.environ.update(OWN_SETTINGS)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return {
        "address": "local",
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": OBJECT_BYTES,
        "_temp_dir": str(folder),
    }


def _existing(address: str) -> dict[str, Any]:
    """What Ray joins a cluster by: its machines have this code where it is here, but not always on their path."""
    if address != "auto":
        _require_answer(address)
    os.environ.update(JOIN_SETTINGS)
    return {"address": address, "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(CODE)}}}


def _init(given: Mapping[str, Any]) -> None:
    import ray

    try:
        ray.init(**given, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        told = " ".join(str(error).split()).split(". ")[0]
        # One that answers and yet cannot be connected to most often demands a token, which Ray does not say.
        is_shut = isinstance(error, ray.exceptions.AuthenticationError) or told.startswith("Failed to connect")
        raise RecipeError(
            f"no Ray cluster can be used at {given['address']}: {told}{SHUT if is_shut else ''}"
        ) from None
