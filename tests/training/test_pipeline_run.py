"""The pipeline on one machine, as a person starts it: the champion is kept, then a better challenger is promoted.

Most of a run's seconds are imports, so the two runs are made at the same time, and the tests look at what they left.
"""

import csv
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from local.models import champions_of
from moderato.artifact import Manifest, load_manifest, record_file, write_manifest
from moderato.review_queue import ReviewQueue
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from tests.queues import Time, add, settle
from tests.records import decision
from tests.training.launched import Launcher, evaluations, run_of
from tests.training.made import HARM, STARTER
from tests.training.tiny import WORDS, encoder
from training import dataset
from training.config import load_recipe
from training.data_folder import DataFolder
from training.export import export
from training.local_run import Plan
from training.package import package
from training.pipeline import main
from training.train import train

ROOT = Path(__file__).parents[2]

RECIPE = """
name = "tiny"
version = "{{date}}-{{dataset}}"
description = "Made for a test."
problem = "binary"
categories = ["insult"]
[encoder]
path = "{encoder}"
name = "tiny"
licence = "CC0"
[train]
epochs = 6
max_tokens = 16
batch_size = 8
learning_rate = 3e-3
bf16 = false
[serve]
window_tokens = 16
overlap_tokens = 4
[split]
test = 0.25
validation = 0.25
[[sources]]
name = "made"
file = "rows.csv"
text = "text"
natural = true
labels.insult = {{ column = "insult" }}
origin = "by hand"
licence = "CC0"
"""


@dataclass(frozen=True)
class Home:
    """A recipe, the dataset of a champion, and the champion."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe's file."""
        return self.folder / "tiny.toml"

    @property
    def dataset(self) -> Path:
        """The version that the champion was trained on."""
        return self.folder / "dataset"

    @property
    def champion(self) -> Path:
        """A model that knows every rude text from every kind one."""
        return self.folder / "champion"


def pipeline(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "COLUMNS": "200"}
    # A second thread only waits on tensors this small, and to make a store of runs takes longer than to train.
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": "file:left-out"}
    environment.pop("DATA_DIR", None)  # the server's, where `make test` runs this
    return subprocess.run(
        [sys.executable, "-m", "training.pipeline", *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def remarks(count: int, seed: int) -> list[tuple[str, bool]]:
    """Rude and kind remarks of the tiny encoder's words, no two of them alike."""
    draw, found = random.Random(seed), dict[str, bool]()
    while len(found) < count:
        is_rude = len(found) % 2 == 0
        named = ["rude", "fool"] if is_rude else ["kind", "friend"]
        found[" ".join(["you", "are", "a", *named, *draw.choices(WORDS[7:], k=6)])] = is_rude
    return list(found.items())


def write_labels(
    folder: Path, texts: Sequence[tuple[str, bool]], erased: Sequence[str] = (), first_review: str = "r_0"
) -> Path:
    """Write a batch of labels as it is exported."""
    folder.mkdir()
    lines: list[dict[str, Any]] = [
        {
            "review_id": f"r_{number}" if number else first_review, "decision_id": f"d_{number}", "feedback_ids": [],
            "text": text,
            "values": {"insult": is_rude}, "method": "agreement", "annotators": ["a", "b", "c"],
            "created": f"2026-11-21T10:00:00.{number:03d}+00:00", "reversed": ["insult"],
        }
        for number, (text, is_rude) in enumerate(texts)
    ]  # fmt: skip
    (folder / "accepted.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "erased.json").write_text(json.dumps(list(erased)))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Train the champion."""
    torch.set_num_threads(1)
    home = Home(tmp_path_factory.mktemp("pipeline"))
    encoder(home.folder / "encoder")
    home.recipe.write_text(RECIPE.format(encoder=home.folder / "encoder"))
    with (home.folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "insult"])
        writer.writerows((text, int(is_rude)) for text, is_rude in remarks(200, seed=1))
    recipe, run = load_recipe(str(home.recipe)), home.folder / "run"
    dataset.build(recipe, home.folder, home.dataset)
    trained, graph = train(recipe, home.dataset, run), run / "model.onnx"
    export(trained, graph, home.dataset / "train.jsonl", os.environ["EXPORT_PYTHON"])
    package(recipe, home.dataset, trained, graph, home.champion)
    return home


def turned(champion: Path, directory: Path) -> Path:
    """Copy a model so that its scores rank texts the wrong way round; it is whole, and its golden answers its own.

    It reads a text in several windows, and so takes longer for it than any challenger, however busy this machine is.
    """
    manifest = load_manifest(champion)
    directory.mkdir(parents=True)
    for name in manifest.files:
        (directory / name).write_bytes((champion / name).read_bytes())
    categories = tuple(
        msgspec.structs.replace(
            each, calibration=msgspec.structs.replace(each.calibration, scale=-each.calibration.scale)
        )
        for each in manifest.categories
    )
    made = msgspec.structs.replace(manifest, version="turned", categories=categories, window_tokens=6, overlap_tokens=1)
    _answer(directory, made)
    files = {name: record_file(directory / name) for name in manifest.files}
    write_manifest(directory, msgspec.structs.replace(made, files=files))
    return directory


def _answer(directory: Path, manifest: Manifest) -> None:
    path = directory / "golden.jsonl"
    scorer = Scorer.open(directory, manifest)
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({"text": text, "scores": scorer.score(text).scores}) + "\n" for text in texts))


@dataclass(frozen=True)
class Stopped:
    """A run of the pipeline that somebody stopped."""

    code: int
    output: str
    done: set[str]
    """The steps that it had done by then."""


@dataclass(frozen=True)
class Kept:
    """The run that keeps the champion: stopped twice, then let be, then asked for once more."""

    folder: Path
    interrupted: Stopped
    """By Ctrl-C, in its first step."""
    terminated: Stopped
    """By SIGTERM, in the training."""
    ended: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Promoted:
    """The run that promotes its challenger in a server's data folder."""

    folder: Path
    data: Path
    beaten: Path
    reviews: list[str]
    """The reviews in that folder: one whose label the run had, and another one."""
    ended: subprocess.CompletedProcess[str]


def stop(command: Sequence[object], runs: Path, at: str, by: signal.Signals) -> Stopped:
    """Start the command, and stop it once it has said this."""
    with Launcher(runs, arguments=list(map(str, command)), module="training.pipeline") as started:
        started.wait_for_line(at)
        started.process.send_signal(by)
        code = started.end()
    return Stopped(code, "".join(started.output), {path.parent.name for path in runs.glob("*/*/done.json")})


def keep(home: Home, folder: Path) -> Kept:
    """Run what makes no better model, with time to be stopped."""
    labels, runs = write_labels(folder / "labels", remarks(12, seed=2)), folder / "runs"
    command = (
        "run", "--labels", labels, "--dataset", home.dataset, "--champion", home.champion, "--recipe", home.recipe,
        "--output", runs, "--knob", "epochs=12", "--knob", "batch_size=2",
    )  # fmt: skip
    interrupted = stop(command, runs, "begins", signal.SIGINT)
    terminated = stop(command, runs, "'eval_loss'", signal.SIGTERM)
    ended, again = pipeline(*command), pipeline(*command)
    (made,) = runs.iterdir()
    return Kept(made, interrupted, terminated, ended, again)


def promote(home: Home, folder: Path) -> Promoted:
    """Run what makes a better model."""
    data, beaten = folder / "data", turned(home.champion, folder / "turned")
    champions_of(data).promote(beaten)
    with closing(SqliteStore(data / "moderato.sqlite3", Time())) as store:
        queue = ReviewQueue(store, HARM, Time())
        reviews = add(store, 1, 2)
        for review_id in reviews:
            settle(queue, review_id, "insult")
    labels = write_labels(folder / "labels", remarks(12, seed=2), erased=["d_3"], first_review=reviews[0])
    ended = pipeline(
        "run", "--labels", labels, "--dataset", home.dataset, "--data-dir", data, "--recipe", home.recipe,
        "--output", folder / "runs", "--promote",
    )  # fmt: skip
    (made,) = (folder / "runs").iterdir()
    return Promoted(made, data, beaten, reviews, ended)


@pytest.fixture(scope="module")
def runs(home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, Promoted]:
    """Make both runs."""
    with ThreadPoolExecutor(2) as pool:
        kept = pool.submit(keep, home, tmp_path_factory.mktemp("kept"))
        promoted = pool.submit(promote, home, tmp_path_factory.mktemp("promoted"))
        return kept.result(), promoted.result()


@pytest.fixture(scope="module")
def kept(runs: tuple[Kept, Promoted]) -> Kept:
    """The run that keeps the champion."""
    return runs[0]


@pytest.fixture(scope="module")
def promoted(runs: tuple[Kept, Promoted]) -> Promoted:
    """The run that promotes its challenger."""
    return runs[1]


def test_a_challenger_that_is_not_better_leaves_the_champion_and_says_why(kept: Kept) -> None:
    assert kept.ended.returncode == 1, kept.ended.stderr[-3000:]
    evaluation = json.loads((kept.folder / "evaluate/processing/output/evaluation/evaluation.json").read_text())
    assert evaluation["promoted"] is False
    assert "figures in which it is better: not at least 1 of" in evaluation["reason"]
    report = kept.folder / "evaluate/processing/output/evaluation/report.md"
    sentence = f"pipeline: the champion stays: {evaluation['reason']} Report: {report}\n"
    assert kept.ended.stderr.endswith(sentence)
    assert "is not promoted" in report.read_text()
    assert not (kept.folder / "register").exists()

    assert kept.again.returncode == 1
    assert kept.again.stdout.count("(done before)") == 3
    assert kept.again.stderr.endswith(sentence)


@pytest.mark.parametrize(
    ("name", "step", "done"), [("interrupted", "prepare", set()), ("terminated", "train", {"prepare"})]
)
def test_who_is_asked_to_stop_says_so_and_keeps_what_is_done(kept: Kept, name: str, step: str, done: set[str]) -> None:
    stopped: Stopped = getattr(kept, name)
    assert stopped.code == 143
    assert stopped.output.endswith(f"pipeline: {step} was stopped; the same command goes on where it was\n")
    assert "Traceback" not in stopped.output
    assert stopped.done == done


def test_the_same_command_goes_on_where_it_was(kept: Kept) -> None:
    assert kept.ended.stdout.count("(done before)") == 1
    # A figure for each of the twelve epochs, of which the second start measured those that the first one had not.
    measured = evaluations(run_of(kept.folder / "train"))
    assert len(measured) == 12
    assert 1 <= kept.ended.stdout.count("'eval_loss'") < 12


def test_a_better_challenger_is_registered_with_its_evidence_and_becomes_the_champion(promoted: Promoted) -> None:
    assert promoted.ended.returncode == 0, promoted.ended.stderr[-3000:]
    registered = promoted.folder / "register"
    assert {path.name for path in registered.iterdir()} == {
        "model", "model.tar.gz", "package.json", "evaluation.json", "comparison.json", "report.md",
        "model_statistics.json", "summary.json", "done.json", "model-comparison.md",
    }  # fmt: skip
    assert "may take the champion's place" in (registered / "report.md").read_text()
    summary = json.loads((registered / "summary.json").read_text())
    assert summary["left_out"] == {"erased": 1}
    assert sum(summary["added"].values()) == 11

    request = json.loads((registered / "package.json").read_text())
    assert request["ModelApprovalStatus"] == "PendingManualApproval"
    with tarfile.open(registered / "model.tar.gz") as packed:
        assert "manifest.json" in packed.getnames()

    challenger, champion = load_manifest(registered / "model"), load_manifest(champions_of(promoted.data).current())
    assert champion.sha256 == challenger.sha256
    assert request["CustomerMetadataProperties"]["model_sha256"] == challenger.sha256
    assert challenger.dataset.digest == summary["digest"]
    assert challenger.parent == load_manifest(promoted.beaten).sha256
    assert (promoted.data / "datasets" / "tiny" / summary["version"] / "dataset.json").is_file()
    assert marks(promoted.data) == {promoted.reviews[0]: f"tiny/{summary['version']}", promoted.reviews[1]: None}


def marks(data: Path) -> dict[str, str | None]:
    """Return the dataset version that each label of a server is marked with."""
    with closing(SqliteStore(data / "moderato.sqlite3", Time())) as store:
        return {label.review_id: label.dataset for label in store.list_labels(10).records}


def test_a_challenger_that_is_not_promoted_takes_no_labels(
    home: Home, promoted: Promoted, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'functions'}:{ROOT}")
    data = tmp_path / "data"
    champions_of(data).promote(home.champion)
    with closing(SqliteStore(data / "moderato.sqlite3", Time())) as store:
        (review_id,) = add(store, 1)
        settle(ReviewQueue(store, HARM, Time()), review_id, "insult")
    version = promoted.folder / "prepare/processing/output/dataset"
    assert DataFolder(data).promote(promoted.beaten, version, None) != 0
    assert "figures in which it is better: not at least 1 of 3" in capfd.readouterr().out
    assert marks(data) == {review_id: None}
    assert list((data / "datasets").glob("*/*")) == []


def test_a_promotion_that_was_cut_off_leaves_labels_that_the_next_batch_marks(
    promoted: Promoted, tmp_path: Path
) -> None:
    (kept,) = (promoted.data / "datasets" / "tiny").iterdir()
    shutil.copytree(kept, tmp_path / "datasets" / "tiny" / kept.name)
    with closing(SqliteStore(tmp_path / "moderato.sqlite3", Time())) as store:
        reviews = add(store, 1, 2)
        for each in reviews:
            settle(ReviewQueue(store, HARM, Time()), each, "insult")
    for _ in range(2):
        DataFolder(tmp_path).write_labels(STARTER, tmp_path / "labels")
        assert marks(tmp_path) == {reviews[0]: f"tiny/{kept.name}", reviews[1]: None}


def test_without_labels_nothing_begins(home: Home, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    done = pipeline(
        "run", "--labels", tmp_path / "labels", "--dataset", home.dataset, "--champion", home.champion,
        "--recipe", home.recipe, "--output", tmp_path / "runs",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"pipeline: {tmp_path / 'labels'} holds neither accepted.jsonl nor erased.json: name the folder of a batch of "
        "labels\n"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--smoke", "--promote", "--data-dir", "data"], (
            "the model of a --smoke is good for nothing: leave out one of --smoke and --promote"
        )),
        (["--labels", "X"], "--labels needs --dataset, the version to grow, or the --data-dir of a server"),
        (["--dataset", "X"], "--dataset needs --labels, what it grows by, or the --data-dir of a server"),
        ([], "what to train on? Give --labels and --dataset, or the --data-dir of a server"),
        (["--labels", "nowhere", "--dataset", "X"], "--labels nowhere: there is no such folder"),
        (["--labels", "LABELS", "--dataset", "nowhere"], "--dataset nowhere: there is no such folder"),
        (["--labels", "LABELS", "--dataset", "LABELS"], (
            "--dataset LABELS holds no dataset.json: name the folder of a dataset version"
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_and_not_the_status_of_a_champion_that_stays(
    words: Sequence[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = str(write_labels(tmp_path / "labels", remarks(2, seed=2)))
    with pytest.raises(SystemExit) as ended:
        main(["run", *(labels if word == "LABELS" else word for word in words), "--output", str(tmp_path / "runs")])
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"pipeline: {sentence.replace('LABELS', labels)}\n")
    assert not (tmp_path / "runs").exists()


def test_a_line_that_is_no_label_is_named_where_the_person_has_it(home: Home, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels", remarks(2, seed=2))
    with (labels / "accepted.jsonl").open("a") as file:
        file.write("{}\n")
    done = pipeline(
        "run", "--labels", labels, "--dataset", home.dataset, "--champion", home.champion, "--recipe", home.recipe,
        "--output", tmp_path / "runs",
    )  # fmt: skip
    assert done.returncode == 2
    told = "is not an accepted label: Object missing required field `review_id`"
    assert done.stderr == f"pipeline: {labels / 'accepted.jsonl'} line 3 {told}\n"
    assert not (tmp_path / "runs").exists()


def done_before(home: Home, promoted: Promoted, runs: Path, champion: Path, smoke: bool = False) -> tuple[Path, Path]:
    """Lay down a run in which all is done but the last step, and return its folder and its labels."""
    labels = promoted.folder.parent.parent / "labels"
    hyperparameters = {"smoke": "true"} if smoke else {}
    plan = Plan(
        labels=labels, dataset=home.dataset, champion=champion, recipe=str(home.recipe), hyperparameters=hyperparameters
    )
    shutil.copytree(promoted.folder, runs / plan.key, ignore=shutil.ignore_patterns("register"))
    return runs / plan.key, labels


def test_a_smoke_says_that_its_model_is_good_for_nothing_and_two_runs_are_not_at_work_at_once(
    home: Home, promoted: Promoted, tmp_path: Path
) -> None:
    folder, labels = done_before(home, promoted, tmp_path, promoted.beaten, smoke=True)
    command = (
        "run", "--labels", labels, "--dataset", home.dataset, "--champion", promoted.beaten, "--recipe", home.recipe,
        "--output", tmp_path, "--smoke",
    )  # fmt: skip
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = pipeline(*command)
    assert (refused.returncode, refused.stderr) == (2, f"pipeline: another run is at work in {folder}\n")
    assert not (folder / "register").exists()

    ended = pipeline(*command)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.endswith(f"registered: {folder / 'register'} (a smoke: its model is good for nothing)\n")
    metadata = json.loads((folder / "register/package.json").read_text())["CustomerMetadataProperties"]
    assert metadata["smoke"] == "good for nothing"


def test_where_the_last_word_is_that_the_champion_stays_the_status_is_too(
    home: Home, promoted: Promoted, tmp_path: Path
) -> None:
    champions_of(tmp_path / "data").promote(home.champion)
    _, labels = done_before(home, promoted, tmp_path / "runs", champions_of(tmp_path / "data").current())
    ended = pipeline(
        "run", "--labels", labels, "--dataset", home.dataset, "--data-dir", tmp_path / "data", "--recipe", home.recipe,
        "--output", tmp_path / "runs", "--promote",
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr[-3000:]
    assert "figures in which it is better: not at least 1 of" in ended.stdout


def test_a_server_s_labels_are_a_batch(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "moderato.sqlite3", Time())) as store:
        queue = ReviewQueue(store, HARM, Time())
        settled, _ = add(store, 1, 2, scores=dict.fromkeys(HARM, 0.4))
        settle(queue, settled, "insult")
        store.record_decisions([decision(decision_id="d_gone")])
        store.delete_decision("d_gone")
    folder = DataFolder(tmp_path)
    labels = folder.write_labels(STARTER, tmp_path / "labels")
    (line,) = [json.loads(line) for line in (labels / "accepted.jsonl").read_text().splitlines()]
    assert line["review_id"] == settled
    assert {name for name, value in line["values"].items() if value} == {"insult"}
    assert "d_gone" in json.loads((labels / "erased.json").read_text())


def test_a_folder_without_a_server_s_records_has_no_labels(tmp_path: Path) -> None:
    done = pipeline("run", "--data-dir", tmp_path, "--dataset", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"pipeline: no database in {tmp_path}: name the data folder of the server by --data-dir\n"
