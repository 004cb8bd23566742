"""The model's runtime reports to nobody, whatever the environment says: no process of ours leaves a trace of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def talkative(tmp_path: Path) -> dict[str, str]:
    """An environment that allows the runtime to report, with a home and a temporary folder of its own."""
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "home"),
        "ORT_DISABLE_TELEMETRY": "0",
        "PYTHONPATH": str(ROOT / "functions"),
    }


def test_the_local_server_leaves_no_trace_of_a_report(talkative: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    server = subprocess.Popen(command, env=talkative, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with server.stdout:
            assert "listens on" in server.stdout.readline()
            # Not SIGINT: a process that was started in the background may ignore it.
            server.terminate()
            server.stdout.read()
        server.wait(timeout=30)
    finally:
        server.kill()
        server.wait()
    assert files_of(tmp_path / "home") == []


def test_the_command_line_leaves_no_trace_of_a_report(talkative: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "score", "Have a lovely day"]
    subprocess.run(command, env=talkative, cwd=ROOT, check=True, capture_output=True)
    assert files_of(tmp_path / "home") == []


def test_these_tests_report_to_nobody() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def files_of(directory: Path) -> list[str]:
    """Return every file below a directory."""
    return [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]
