"""The `moderato` command, as a process: what it prints, where, and how it ends."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.server import ServerProcess
from local.models import find_model

ROOT = Path(__file__).parents[1]
MARKER = "zebrafish"


def moderato(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    settings = os.environ | {"PYTHONPATH": str(ROOT / "functions"), "NO_COLOR": "1", **environment}
    command = [sys.executable, "-m", "local", *map(str, arguments)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120, check=False)


def refusal(*arguments: str | Path, **environment: str) -> str:
    """Run a command that must fail, with one sentence for people; return it."""
    done = moderato(*arguments, **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("moderato: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def broken_model(tmp_path: Path) -> Path:
    """A copy of the model whose graph was cut short."""
    directory = tmp_path / "broken"
    shutil.copytree(_model(), directory)
    graph = directory / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    return directory


def _model() -> Path:
    named = os.environ.get("MODEL_DIR")
    return find_model(Path(named) if named else None)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["score", "--help"], ["model", "--help"]])
def test_help_is_everywhere(arguments: list[str]) -> None:
    done = moderato(*arguments)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_server_greets_serves_stops_on_ctrl_c_and_logs_no_text(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    bodies = [{"text": MARKER, "correct": False}, {"text": MARKER, "corect": MARKER}, [MARKER], MARKER]
    statuses = [server.request("POST", "/feedback", body)[0] for body in bodies]
    statuses.append(server.request("POST", f"/{MARKER}?q={MARKER}", {"text": MARKER}, {"idempotency-key": MARKER})[0])
    assert server.stop() == 0
    assert statuses == [400, 400, 400, 400, 404]
    log = "".join(server.lines)
    assert "curl" in log
    assert "refused" in log
    assert MARKER not in log


def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    body = {"text": "hello", "labels": {"insult": False}}
    server = ServerProcess(tmp_path)
    first = server.request("POST", "/feedback", body, {"idempotency-key": "k"})
    server.stop()
    server.start()
    assert server.request("POST", "/feedback", body, {"idempotency-key": "k"}) == first
    assert server.request("POST", "/feedback", body | {"labels": {"insult": True}}, {"idempotency-key": "k"})[0] == 409
    assert server.stop() == 0


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} of 127.0.0.1 is taken" in refusal("serve", "--data-dir", tmp_path, PORT=port)


@pytest.mark.parametrize("host", ["example.org", "[::1]", "0.0.0.0:80", ""])
def test_a_server_listens_on_an_address(host: str, tmp_path: Path) -> None:
    assert "--host takes an address of this machine" in refusal("serve", "--host", host, "--data-dir", tmp_path)


@pytest.mark.parametrize("command", [["serve"], ["score", "hello"], ["model"]])
def test_a_missing_model_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    assert "no model at" in refusal(*command, "--model", tmp_path / "none", DATA_DIR=str(tmp_path))


@pytest.mark.parametrize("command", [["serve"], ["score", "hello"], ["model"]])
def test_a_broken_model_is_one_sentence(command: list[str], broken_model: Path, tmp_path: Path) -> None:
    said = refusal(*command, "--model", broken_model, DATA_DIR=str(tmp_path))
    assert "model.onnx" in said
    assert said.count("bytes)") == 2


def test_an_unusable_data_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "data folder" in refusal("serve", "--port", "0", DATA_DIR=str(tmp_path / "file"))
    (tmp_path / "moderato.sqlite3").write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    assert "cannot be opened as a database" in refusal("serve", "--port", "0", DATA_DIR=str(tmp_path))


def test_a_text_is_scored_as_a_json_line_into_a_pipe() -> None:
    result = json.loads(moderato("score", "hello you").stdout)
    assert result["text"] == "hello you"
    assert result["action"] in ("allow", "review", "block")
    assert all(0 <= score <= 1 for score in result["scores"].values())


def test_a_file_is_scored_row_by_row_and_bad_rows_are_named(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(f'{{"id": "a", "text": "one"}}\n{{"text": "{MARKER}"\n{{"text": "two"}}\n')
    done = moderato("score", source)
    assert done.returncode == 0
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 3]
    assert done.stderr == "line 2: this is not JSON in UTF-8\n"


def test_results_are_written_whole_to_a_csv(tmp_path: Path) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('id,comment\n1,"a, b"\n2,\n')
    done = moderato("score", source, "--text-column", "comment", "--output", output)
    assert done.returncode == 0
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["line"], row["id"], row["text"]) for row in rows] == [("2", "1", "a, b")]
    assert 0 <= float(rows[0]["toxicity"]) <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_run_that_fails_leaves_the_old_results_alone(tmp_path: Path) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,comment\n1,x\n")
    output.write_text("old")
    assert "no column 'text'" in refusal("score", source, "--output", output)
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.jsonl"]


def test_another_kind_of_output_is_refused(tmp_path: Path) -> None:
    assert ".csv or .jsonl" in refusal("score", "hello", "--output", tmp_path / "out.xlsx")


def test_a_file_name_that_leads_nowhere_is_not_scored_as_a_text(tmp_path: Path) -> None:
    assert "No such file" in refusal("score", tmp_path / "none.csv")


def test_nothing_scored_is_a_failure() -> None:
    done = moderato("score", " ")
    assert (done.returncode, done.stdout) == (1, "")


def test_the_model_tells_its_name_thresholds_and_figures() -> None:
    done = moderato("model")
    assert done.returncode == 0
    for expected in ("toxicity", "review from", "ROC AUC", "positives", "model.onnx"):
        assert expected in done.stdout


def test_the_home_folder_stays_as_it_is(tmp_path: Path) -> None:
    assert moderato("score", "hello", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache")).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert "cannot be written" in refusal("score", "hello", "--output", tmp_path / "none" / "out.csv")
