"""The champion in `moderato serve`: followed while it runs, refused in one sentence, ignored where one is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.server import ServerProcess
from local import promotion
from local.champion import Champions
from local.models_report import report_models
from local.promotion import Comparison, Contestant, Event, Figure
from moderato.artifact import DatasetRecord, load_manifest
from moderato.models_report import ChampionReport, ComparisonReport, DatasetReport, FigureReport
from tests.commands import run
from tests.loops import make_data, make_parent
from tests.made_models import STARTER, change_starter, make_model, renamed
from tests.test_local_cli import ROOT, refusal
from tests.test_trace import record_of


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter model under another version."""
    return change_starter(tmp_path_factory.mktemp("models") / "challenger", renamed("2.1.0"))


def champions_in(data: Path) -> Champions:
    """Return the champion of a data folder."""
    return Champions(data, lambda: STARTER)


def wait_for_version(server: ServerProcess, version: str) -> None:
    """Ask until the server answers by this version; each answer must be a good one."""
    for _ in range(100_000):
        status, answer = server.request("GET", "/model")
        assert status == 200
        if answer["manifest"]["version"] == version:
            return
    raise AssertionError("the server did not take the champion")


def test_a_running_server_takes_the_new_champion_and_the_old_one_again(tmp_path: Path, challenger: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        wait_for_version(server, "2.0.1")
        champions_in(tmp_path).promote(challenger)
        wait_for_version(server, "2.1.0")
        assert run("rollback", "--data-dir", tmp_path).status == 0
        wait_for_version(server, "2.0.1")
    finally:
        assert server.stop() == 0
    assert sum("champion_taken" in line for line in server.lines) == 2


def test_a_server_starts_with_the_champion(tmp_path: Path, challenger: Path) -> None:
    champions_in(tmp_path).promote(challenger)
    server = ServerProcess(tmp_path)
    try:
        assert server.request("GET", "/model")[1]["manifest"]["version"] == "2.1.0"
    finally:
        assert server.stop() == 0


def test_a_champion_that_is_gone_says_what_to_do_when_the_server_starts(tmp_path: Path, challenger: Path) -> None:
    champions_in(tmp_path).promote(challenger)
    shutil.rmtree(tmp_path / "models")
    said = refusal("serve", "--port", "0", "--data-dir", tmp_path)
    assert "no model at" in said
    assert "`moderato rollback` goes back" in said
    assert said.count("champion.json") == 1


def test_a_champion_that_was_damaged_says_what_to_do_when_the_server_starts(tmp_path: Path, challenger: Path) -> None:
    champions_in(tmp_path).promote(challenger)
    (champions_in(tmp_path).current() / "model.onnx").write_bytes(b"damaged")
    said = refusal("serve", "--port", "0", "--data-dir", tmp_path)
    assert "model.onnx is not the file" in said
    assert "`moderato rollback` goes back" in said


def test_a_pointer_that_is_none_is_one_sentence_for_every_command(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text("{")
    for command in (("model",), ("champion",), ("rollback",), ("score", "hello")):
        assert "is not the pointer to a model; remove it" in run(*command, "--data-dir", tmp_path).refusal


def test_a_named_model_is_used_whatever_the_champion_is(tmp_path: Path, challenger: Path) -> None:
    champions_in(tmp_path).promote(challenger)
    assert "starter 2.0.1" in run("model", "--model", STARTER, "--data-dir", tmp_path).output
    assert "starter 2.1.0" in run("model", "--data-dir", tmp_path).output


def test_the_champion_tells_of_a_rollback(tmp_path: Path, challenger: Path) -> None:
    assert "It came with Moderato; nothing was promoted." in run("champion", "--data-dir", tmp_path).output
    champions = champions_in(tmp_path)
    champions.promote(challenger)
    assert "In use since 20" in run("champion", "--data-dir", tmp_path).output
    champions.promote(STARTER)
    champions.rollback()
    said = run("champion", "--data-dir", tmp_path).output
    assert re.search(r"starter 2\.1\.0\nPromoted 20\S+; in use again since 20\S+, by a rollback\.", said)
    champions.rollback()
    said = run("champion", "--data-dir", tmp_path).output
    assert re.search(r"It came with Moderato; in use again since 20\S+, by a rollback\.", said)
    assert "nothing was promoted" not in said


def test_a_pointer_that_was_removed_is_no_rollback(tmp_path: Path, challenger: Path) -> None:
    champions_in(tmp_path).promote(challenger)
    (tmp_path / "champion.json").unlink()
    said = run("champion", "--data-dir", tmp_path).output
    assert "It came with Moderato; no promoted model is in use." in said


def test_without_a_checkout_promote_says_that_it_needs_one(tmp_path: Path, challenger: Path) -> None:
    installed = Path(shutil.copytree(ROOT / "functions", tmp_path / "installed"))
    shutil.copytree(STARTER, installed / "local" / "starter")
    parent = make_parent(tmp_path / "dataset")
    command = [sys.executable, "-m", "local", "promote", *map(str, (challenger, "--dataset", parent))]
    environment = os.environ | {"PYTHONPATH": str(installed), "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "moderato: this command needs the training code: run it in a clone of the repository (`make serve` there)\n"
    )


def test_the_models_report_tells_of_champion_comparisons_and_dataset_versions(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", ["That goal was sick.", "What a wicked guitar solo."])
    run("dataset", "grow", "--parent", make_parent(data / "datasets" / "made" / "first"), "--data-dir", data)
    (folder,) = [path.parent for path in (data / "datasets").glob("*/*/additions.jsonl")]
    model = make_model(tmp_path / "model", dataset=record_of(folder))
    champions = champions_in(data)
    note_comparison(data)
    champion = champions.promote(model)
    found = report_models(champions, data, load_manifest(model))
    assert found.champion == ChampionReport(name="made", version="1.0.0", since=champion.promoted)
    assert found.comparisons == [
        ComparisonReport(
            challenger="made 0.9.0",
            when="2026-11-21T12:00:00+00:00",
            outcome="not better",
            reasons=["macro-F1: 0.5 against the champion's 0.6."],
            figures=[FigureReport(name="macro-F1", champion=0.6, challenger=0.5, limit="not lower", passed=False)],
        )
    ]
    first, second = record_of(data / "datasets" / "made" / "first"), record_of(folder)
    assert found.datasets == [
        DatasetReport(
            name="made", version=second.version, parent=f"made {first.version}", rows=rows_in(folder), labels_added=2
        ),
        DatasetReport(name="made", version=first.version, parent=None, rows=24, labels_added=0),
    ]


def test_a_model_that_was_named_has_no_time_of_promotion(tmp_path: Path, challenger: Path) -> None:
    champions = champions_in(tmp_path)
    champions.promote(challenger)
    assert report_models(champions, tmp_path, load_manifest(STARTER)).champion.since is None


def test_the_models_report_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text("{")
    (tmp_path / "datasets" / "made" / "1").mkdir(parents=True)
    (tmp_path / "datasets" / "made" / "1" / "dataset.json").write_text("{")
    found = report_models(champions_in(tmp_path), tmp_path, load_manifest(STARTER))
    assert (found.champion.version, found.champion.since, found.comparisons) == ("2.0.1", None, [])


def rows_in(folder: Path) -> int:
    """Return how many rows the splits of a dataset have."""
    return sum(len((folder / f"{split}.jsonl").read_text().splitlines()) for split in ("train", "validation", "test"))


def note_comparison(data: Path) -> None:
    """Note that a challenger was not better."""
    dataset = DatasetRecord("made", "1", "0" * 64)
    champion, challenger = (
        Contestant(name="made", version=version, sha256="0" * 64, dataset=dataset) for version in ("0.8.0", "0.9.0")
    )
    figure = Figure(name="macro-F1", champion=0.6, challenger=0.5, limit="not lower", passed=False)
    comparison = Comparison(
        champion=champion,
        challenger=challenger,
        dataset=dataset,
        test_sha256="0" * 64,
        figures=[figure],
        passed=False,
        reasons=["macro-F1: 0.5 against the champion's 0.6."],
    )
    event = Event(kind="compared", created="2026-11-21T12:00:00+00:00", model="made 0.9.0", comparison=comparison)
    promotion.append(data, event)
