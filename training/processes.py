"""Commands run one after another under somebody who answers for them: signals are passed on, children are reaped."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

KEPT_LINES = 400
"""Of standard error: a traceback and torchrun's table of failures for every process of a large host."""

GRACE_SECONDS = 105
"""What torchrun gives its processes to save after SIGTERM. Its own 30 seconds are too few for a large checkpoint, and
SageMaker kills everything after 120."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative for a signal) and the last lines of its standard error."""

    code: int
    lines: Sequence[str]


_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


def end_with_parent() -> None:
    """Have this process killed when its parent ends, on Linux.

    torchrun gives each of its processes a session of its own. Where it is killed itself, they would go on writing into
    a run's folder while the next start goes on there.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


class Supervisor:
    """Runs commands, and passes the first SIGTERM or SIGINT on to the one that is running, as SIGTERM."""

    def __init__(self, reaps: bool = False) -> None:
        """Set up; whoever is process 1 of a container `reaps` the children that others left to it."""
        self._asked = threading.Event()
        self._reaps = reaps
        self._running: subprocess.Popen[bytes] | None = None
        self._is_passed_on = False

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked.is_set()

    @contextmanager
    def listening(self) -> Iterator["Supervisor"]:
        """Take SIGTERM and SIGINT for the wish to stop."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        keeps_lines: bool = False,
        output: int | None = None,
    ) -> Ended:
        """Run a command to its end; after a wish to stop none is begun. What it leaves in its session is killed.

        `output` is where its standard output goes, as subprocess has it.
        """
        if self._asked.is_set():
            return Ended(-signal.SIGTERM, ())
        child = self._running = subprocess.Popen(
            command,
            env={"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(GRACE_SECONDS), **environment},
            stdout=output,
            stderr=subprocess.PIPE if keeps_lines else None,
            start_new_session=True,
        )
        self._pass_on()  # what was asked since the question above
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        reader = threading.Thread(target=_copy, args=(child.stderr, lines), daemon=True) if child.stderr else None
        if reader is not None:
            reader.start()
        try:
            code = self._wait(child)
        finally:
            self._running = None
            _kill_group(child.pid)
        if reader is not None:
            reader.join(timeout=5)  # somebody who left the group may hold the pipe open
        return Ended(code, tuple(lines))

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        while self._reaps:
            pid, status = os.waitpid(-1, 0)
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                return child.returncode
        return child.wait()

    def _stop(self, *_: object) -> None:
        self._asked.set()
        self._pass_on()

    def _pass_on(self) -> None:
        # Once: torchrun takes a second one for impatience, and leaves its processes to themselves.
        if self._asked.is_set() and self._running is not None and not self._is_passed_on:
            self._is_passed_on = True
            # Not by Popen, which would first ask how the process is, and so might reap it where nobody expects that.
            with suppress(ProcessLookupError):
                os.kill(self._running.pid, signal.SIGTERM)


def _copy(source: IO[bytes], lines: deque[str]) -> None:
    with source:
        for line in source:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
            lines.append(line.decode(errors="replace").rstrip("\n"))


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
