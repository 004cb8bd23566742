"""Of all that processes leave when they fail, what came first is told; whom that only dragged along is not."""

import json
from pathlib import Path

import pytest

from training.failure import OUTCOMES, cause_of, recorded

TABLE = """
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_12:00:00
  host      : algo-1
  rank      : 0 (local_rank: 0)
  exitcode  : -{signal} (pid: 17)
  error_file: <N/A>
"""
MEMORY = "; a machine with more memory is what most often helps"


def cause(outcomes: Path, signal: int) -> str:
    """The cause where torchrun saw the first process ended by a signal."""
    return cause_of(outcomes, 1, TABLE.format(signal=signal).splitlines())


def test_an_exception_is_the_cause_of_the_abort_of_another_process(tmp_path: Path) -> None:
    (tmp_path / "1-1.json").write_text(json.dumps("ValueError: no such row"))
    assert cause(tmp_path, 6) == "ValueError: no such row"


def test_a_kill_is_the_cause_of_the_exceptions_of_others(tmp_path: Path) -> None:
    (tmp_path / "1-1.json").write_text(json.dumps("RuntimeError: connection closed by peer"))
    assert cause(tmp_path, 9) == f"ProcessKilled: the training process of rank 0 was ended by SIGKILL{MEMORY}"


@pytest.mark.parametrize(("signal", "name"), [(6, "SIGABRT"), (11, "SIGSEGV")])
def test_more_memory_is_advised_for_a_kill_alone(tmp_path: Path, signal: int, name: str) -> None:
    assert cause(tmp_path, signal) == f"ProcessKilled: the training process of rank 0 was ended by {name}"


def test_an_abort_among_several_hosts_points_to_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OUTCOMES, str(tmp_path))
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with recorded():  # as each process trains
        pass
    assert cause(tmp_path, 6) == (
        "ProcessKilled: the training process of rank 0 was ended by SIGABRT; NCCL does so where another host has "
        "failed, whose output/failure and log then say why"
    )
    assert cause(tmp_path, 11) == "ProcessKilled: the training process of rank 0 was ended by SIGSEGV"
