"""The real cause of a failed training, out of all its processes: each leaves how it ended, the launcher reads it.

What torchrun says is that a process failed; and where one of several fails, the others fail for want of it. So each
writes its own exception down, and what came first is the cause. Hosts share no disk: they tell it to torchrun's store.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

OUTCOMES = "TRAINING_OUTCOMES"
"""The environment's name for the folder in which processes leave how they ended; without it, nothing is written."""

LONGEST = 1_024
"""Characters of `output/failure` that SageMaker shows."""

_STOPPED = "stopped"
_SPREAD = "spread"
"""What a process leaves that trains together with other hosts."""
_ELSEWHERE = "; NCCL does so where another host has failed, whose output/failure and log then say why"
_PATIENCE = timedelta(seconds=10)
"""For another host's store: it is gone where that host failed first."""
_CRASHES = {signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
_TORCHRUN = re.compile(r"time +: (?P<time>\S+)\n.*\n *rank +: (?P<rank>\d+) .*\n *exitcode +: (?P<code>-?\d+)")


@contextmanager
def recorded() -> Iterator[None]:
    """Write down the exception that ends this process, for a launcher that asked for it."""
    if OUTCOMES in os.environ and _is_spread(os.environ):
        (Path(os.environ[OUTCOMES]) / _SPREAD).touch()
    try:
        yield
    except Exception as error:
        if OUTCOMES in os.environ:
            _record(Path(os.environ[OUTCOMES]), f"{type(error).__name__}: {error}")
        raise


def note_stop() -> None:
    """Write down that this process ended because it was asked to, with its work saved."""
    if OUTCOMES in os.environ:
        (Path(os.environ[OUTCOMES]) / _STOPPED).touch()


def was_stopped(outcomes: Path) -> bool:
    """Return whether any process ended because it was asked to."""
    return (outcomes / _STOPPED).exists()


def has_failed(outcomes: Path) -> bool:
    """Return whether any process wrote down an exception."""
    return any(outcomes.glob("*.json"))


def cause_of(outcomes: Path, code: int, lines: Sequence[str]) -> str:
    """Return why the processes failed, as "Type: message".

    `code` is what the first of them ended with, and `lines` are the last that they wrote to standard error: a process
    that was killed leaves nothing else.
    """
    killed = _killed("\n".join(lines))
    if killed is None and code < 0 and -code != signal.SIGTERM:
        killed = _Killed("the training process", signal.Signals(-code))
    records = sorted(outcomes.glob("*.json"))
    # NCCL aborts a process that waits for one which failed; any other signal is what the others failed for.
    is_aborted = killed is not None and killed.by == signal.SIGABRT
    if killed is not None and not (is_aborted and records):
        return killed.told() + (_ELSEWHERE if is_aborted and (outcomes / _SPREAD).exists() else "")
    if records:
        told: str = json.loads(records[0].read_text())
        return told
    return _last_word(lines) or f"ExitCode: the training process ended with {code} and said nothing"


def write_failure(path: Path, cause: str) -> None:
    """Write a cause where SageMaker looks for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(cause[:LONGEST], encoding="utf-8")


def _record(folder: Path, cause: str) -> None:
    name = f"{time.time_ns()}-{os.environ.get('RANK', '0')}.json"
    part = folder / f"{name}.part"
    part.write_text(json.dumps(_first(cause, os.environ)))
    part.rename(folder / name)


def _first(cause: str, environment: Mapping[str, str]) -> str:
    """The first cause that any host told torchrun's store, ours included."""
    if not _is_spread(environment):
        return cause
    from torch.distributed import PrefixStore, TCPStore

    try:
        store = TCPStore(
            environment["MASTER_ADDR"], int(environment["MASTER_PORT"]), wait_for_workers=False, timeout=_PATIENCE
        )
        first: bytes = PrefixStore("moderato", store).compare_set("failure", "", cause)
    except RuntimeError:  # what torch's errors of the network are
        return cause
    return first.decode()


def _is_spread(environment: Mapping[str, str]) -> bool:
    """Whether torchrun started this process as one of several hosts'."""
    return int(environment.get("GROUP_WORLD_SIZE", "1")) > 1


@dataclass(frozen=True)
class _Killed:
    """A process that a signal ended."""

    process: str
    by: signal.Signals

    def told(self) -> str:
        """The cause, and for the signal that a machine out of memory sends what most often helps."""
        hint = "; a machine with more memory is what most often helps" if self.by == signal.SIGKILL else ""
        return f"ProcessKilled: {self.process} was ended by {self.by.name}{hint}"


def _killed(output: str) -> _Killed | None:
    """The process that a signal ended first, as torchrun tells it in its table of failures."""
    failures = [match.groupdict() for match in _TORCHRUN.finditer(output)]
    first = min((each["time"] for each in failures), default="")
    for each in failures:
        number = -int(each["code"])
        # torchrun kills the others itself, but later.
        if each["time"] == first and number in _CRASHES:
            return _Killed(f"the training process of rank {each['rank']}", signal.Signals(number))
    return None


def _last_word(lines: Sequence[str]) -> str | None:
    """The last line that says something of its own: an exception that came before anybody could write it down."""
    # Usage errors stand in a frame.
    said = [line.strip(" │") for line in lines if not line.startswith((" ", "=", "╭", "╰"))]
    return next((line for line in reversed(said) if line and "ChildFailedError" not in line), None)
