"""The predict image's server outside of Lambda as a process: its model, its settings, its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from predict.hosting.cpus import usable_cpus
from predict.hosting.server import listen
from tests.conftest import STARTER
from tests.function_processes import ALL_FUNCTIONS
from tests.hosted import SECONDS, post, refused, send_raw, started
from tests.images.containers import STORE_NOTHING
from tests.made_models import change_starter, renamed

LINES = "application/jsonlines"


def ask(port: int, method: str, path: str, body: bytes | None = None, kind: str = LINES) -> tuple[int, Any]:
    """Send a request; return the status and the decoded body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if body else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_built_in_model_serves_where_no_other_is_given(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with started({"ML_ROOT": str(tmp_path)}) as server:
        version = json.loads((STARTER / "manifest.json").read_text())["version"]
        assert (server.listening["model"], server.listening["version"]) == ("starter", version)
        assert ask(server.port, "GET", "/ping") == (200, {"status": "ok"})
        server.process.terminate()
        assert server.ended() == (0, "")


def test_without_any_model_it_says_how_to_name_one(tmp_path: Path) -> None:
    status, said = refused({"ML_ROOT": str(tmp_path), "MODEL_DIR": ""})
    assert status == 1
    assert said == f"no model is in {tmp_path / 'model'}, and MODEL_DIR names none: set it to a model directory\n"


def test_a_model_that_was_given_serves_instead(tmp_path: Path) -> None:
    change_starter(tmp_path / "model", renamed("9.9.9"))
    with started({"ML_ROOT": str(tmp_path)}) as server:
        assert ask(server.port, "POST", "/invocations", b'{"text": "a"}')[1]["model"]["version"] == "9.9.9"


def test_a_model_with_one_wrong_bit_does_not_start(tmp_path: Path) -> None:
    change_starter(tmp_path / "model", renamed("9.9.9"))
    graph = tmp_path / "model" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[1_000_000] ^= 1
    graph.write_bytes(content)
    status, words = refused({"ML_ROOT": str(tmp_path)})
    assert (status, words.count("\n")) == (1, 1)
    assert words.startswith(f"{graph} ")


def test_an_archive_that_is_no_model_does_not_give_way_to_the_built_in_one(tmp_path: Path) -> None:
    change_starter(tmp_path / "model" / "starter", renamed("9.9.9"))
    status, words = refused({"ML_ROOT": str(tmp_path)})
    assert status == 1
    assert words.startswith(f"{tmp_path / 'model'} holds files but no manifest.json: the archive must have a model ")
    assert words.endswith("files at its top (tar -czf model.tar.gz -C MODEL .)\n")


def test_a_folder_that_cannot_be_read_does_not_give_way_to_the_built_in_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with chdir(tmp_path / "model"):
        # A path longer than Linux takes: permissions would not stop a test that runs as root.
        for _ in range(17):
            Path("a" * 255).mkdir()
            os.chdir("a" * 255)
    assert refused({"ML_ROOT": str(tmp_path)}) == (1, f"{tmp_path / 'model'} cannot be read: File name too long\n")


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "http", 65_535),
        ("SAGEMAKER_BIND_TO_PORT", "65536", 65_535),
        ("SAGEMAKER_BIND_TO_PORT", "-1", 65_535),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "101", 100),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "", 100),
    ],
)
def test_a_setting_that_is_wrong_is_named_before_anything_starts(name: str, value: str, most: int) -> None:
    assert refused({name: value}) == (1, f"{name} must be a whole number from 0 to {most}\n")


def test_a_port_that_is_taken_is_named() -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        status, words = refused({"SAGEMAKER_BIND_TO_PORT": str(port)})
    assert (status, words) == (
        1,
        f"cannot listen on port {port}, as SAGEMAKER_BIND_TO_PORT says: Address already in use\n",
    )


def test_a_batch_job_may_send_what_it_said_it_would() -> None:
    # Forty megabytes in one line: too long for a text, and an error in its place where the whole may be as large.
    line = b'{"text": "' + b"a" * 40_000_000 + b'"}'
    with started({"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "50"}) as server:
        status, answer = ask(server.port, "POST", "/invocations", line)
    assert (status, answer["error"]["status"]) == (200, 413)
    with started({}) as server:
        status, problem = ask(server.port, "POST", "/invocations", line)
    assert (status, problem["detail"]) == (413, "a body may have at most 6291456 bytes here; send fewer texts at once")


def test_sigterm_ends_it_when_what_is_under_way_is_answered() -> None:
    texts = b'{"text": "Have a lovely day, and thank you for the pictures of your garden"}\n' * 100
    head, _, body = post(texts, LINES).partition(b"\r\n\r\n")
    with started({}) as server, send_raw(server.port, head + b"\r\nexpect: 100-continue\r\n\r\n") as connection:
        # It reads the body now, so the request is under way.
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        server.process.terminate()
        connection.sendall(body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b'"action":"allow"') == 100
        status, written = server.ended()
    assert status == 0
    assert [json.loads(line)["message"] for line in written.splitlines()] == ["moderated"]


def test_control_c_ends_it_as_sigterm_does() -> None:
    with started({}) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == (0, "")


def test_the_function_on_lambda_loads_nothing_of_it() -> None:
    source = "import json, sys, predict.main; print(json.dumps(list(sys.modules)))"
    environment = {**ALL_FUNCTIONS, **STORE_NOTHING, "MODEL_DIR": str(STARTER), "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=STARTER.parents[1] / "functions",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stdout)
    assert "predict.app" in loaded
    assert [name for name in loaded if name.split(".")[0] in ("uvicorn", "h11", "click") or "hosting" in name] == []


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_container_counts_the_cpus_that_it_was_given(tmp_path: Path, files: dict[str, str], most: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cpus(tmp_path) == (most or len(os.sched_getaffinity(0)))


def test_it_listens_on_both_families_where_there_are_two() -> None:
    hosts = ["127.0.0.1", "::1"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]
    with listen(0) as listener:
        for host in hosts:
            with socket.create_connection((host, listener.getsockname()[1]), timeout=SECONDS):
                accepted, _ = listener.accept()
                with accepted:
                    # Or each answer would come 40 ms late.
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
