"""Commands under a supervisor: what they leave behind is reaped or killed, and a wish to stop reaches them once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.training.launched import LONGEST_SECONDS
from training.failure import cause_of
from training.processes import Supervisor

ROOT = Path(__file__).parents[2]

AS_PROCESS_ONE = """
import ctypes, os, sys
from training.processes import Supervisor
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to this process, as they do to process 1
with Supervisor(reaps=True).listening() as supervisor:
    sys.exit(supervisor.run([sys.executable, "-c", sys.argv[1]], os.environ).code)
"""

ORPHAN = """
import os, sys, time
read, write = os.pipe()
if (child := os.fork()) == 0:
    if (orphan := os.fork()) == 0:
        os._exit(0)
    os.write(write, str(orphan).encode())
    os._exit(0)
orphan = int(os.read(read, 20))
os.waitpid(child, 0)
end = time.monotonic() + 60
while os.path.exists(f"/proc/{orphan}"):  # also where it has ended, as long as nobody has asked how
    if time.monotonic() > end:
        sys.exit(f"{orphan} is a zombie")
    time.sleep(0.01)
sys.exit(7)
"""

LEFT_BEHIND = """
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(left.pid, flush=True)
"""

KILLED = """
import os, signal, subprocess, sys
lives = "end_with_parent(); print(flush=True); time.sleep(600)"
imports = "import time; from training.processes import end_with_parent"
left = subprocess.Popen([sys.executable, "-c", f"{imports}; {lives}"], stdout=subprocess.PIPE, start_new_session=True)
left.stdout.readline()
print(left.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_orphans_are_reaped_and_the_command_is_still_told_from_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_PROCESS_ONE, ORPHAN],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_what_a_command_leaves_running_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor().listening() as supervisor:
        assert supervisor.run([sys.executable, "-c", LEFT_BEHIND], os.environ).code == 0
    left = int(capfd.readouterr().out)
    try:
        psutil.Process(left).wait(LONGEST_SECONDS)
    except psutil.NoSuchProcess:
        return


def test_a_process_of_torchrun_ends_with_it(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor().listening() as supervisor:
        assert supervisor.run([sys.executable, "-c", KILLED], os.environ).code == -signal.SIGKILL
    left = int(capfd.readouterr().out)
    try:
        psutil.Process(left).wait(LONGEST_SECONDS)
    except psutil.NoSuchProcess:
        return


def test_after_a_wish_to_stop_no_command_is_begun(tmp_path: Path) -> None:
    with Supervisor().listening() as supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
        ended = supervisor.run(["touch", str(tmp_path / "begun")], os.environ)
    assert (ended.code, supervisor.is_stopping) == (-signal.SIGTERM, True)
    assert list(tmp_path.iterdir()) == []


def test_standard_error_is_shown_and_its_last_lines_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor().listening() as supervisor:
        ended = supervisor.run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], os.environ, keeps_lines=True)
    assert (ended.code, ended.lines) == (3, ("one", "two"))
    assert capfd.readouterr().err == "one\ntwo\n"


def test_a_cause_that_nobody_wrote_down_is_the_last_word(tmp_path: Path) -> None:
    lines = ("Traceback (most recent call last):", '  File "x.py", line 1', "ModuleNotFoundError: No module named 'x'")
    assert cause_of(tmp_path, 1, lines) == "ModuleNotFoundError: No module named 'x'"
    framed = ("Usage: python -m training fit", "╭─ Error ─────╮", "│ No such option: --x │", "╰─────────────╯")
    assert cause_of(tmp_path, 2, framed) == "No such option: --x"
    assert cause_of(tmp_path, 1, ()) == "ExitCode: the training process ended with 1 and said nothing"
    assert cause_of(tmp_path, -9, lines).startswith(
        "ProcessKilled: the training process was ended by SIGKILL; a machine"
    )
    assert cause_of(tmp_path, -11, ()).startswith("ProcessKilled: the training process was ended by SIGSEGV")


def test_what_came_first_is_the_cause(tmp_path: Path) -> None:
    (tmp_path / "2000000000000000001-0.json").write_text('"RuntimeError: Connection closed by peer"')
    (tmp_path / "2000000000000000000-1.json").write_text('"ValueError: this is why"')
    assert cause_of(tmp_path, 1, ("RuntimeError: Connection closed by peer",)) == "ValueError: this is why"
