"""The stages as a processing job runs them: folders in, folders out, one sentence, an exit status."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from moderato.artifact import load_manifest
from tests.made_datasets import held_out_rows, row, write_dataset
from tests.made_models import STARTER, change_starter, renamed
from training.gate import Figure
from training.model_archive import UnusableModel, find_model, pack, unpack
from training.stage_evaluate import metrics_of

ROOT = Path(__file__).parents[2]

WALNUT = "You absolute walnut, go and read the manual first"
COUNCIL = "The council will meet again on Tuesday evening"


def stage(root: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run a stage with `root` in the place of /opt/ml."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "ML_ROOT": str(root)}
    command = [sys.executable, "-m", "training.stages", name]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def given(root: Path, name: str) -> Path:
    """Return the folder of an input."""
    return root / "processing" / "input" / name


def made(root: Path, name: str) -> Path:
    """Return the folder of an output."""
    return root / "processing" / "output" / name


def message(root: Path) -> str:
    """Return what the job shows as its ExitMessage."""
    return (root / "output" / "message").read_text()


def label(number: int, text: str, **values: bool) -> dict[str, Any]:
    """Return a label as serving accepts it."""
    return {
        "review_id": f"r_{number}", "decision_id": f"d_{number}", "feedback_ids": [f"f_{number}"], "text": text,
        "values": values or {"insult": True}, "method": "agreement", "annotators": ["a", "b", "c"],
        "created": f"2026-11-21T10:00:00.{number:03d}+00:00",
    }  # fmt: skip


def write_labels(root: Path, *labels: Mapping[str, Any], erased: object = None) -> None:
    """Write a batch of labels as an input."""
    given(root, "labels").mkdir(parents=True)
    (given(root, "labels") / "accepted.jsonl").write_text("".join(json.dumps(each) + "\n" for each in labels))
    if erased is not None:
        (given(root, "labels") / "erased.json").write_text(json.dumps(erased))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an /opt/ml with a parent version of twenty-two rows."""
    rows = [row(COUNCIL, "train"), row("The ferry leaves at nine from the old harbour", "validation")]
    write_dataset(given(tmp_path, "dataset"), [*held_out_rows(), *rows])
    # SageMaker makes the folders of outputs before a job begins.
    for name in ("dataset", "summary", "evaluation"):
        made(tmp_path, name).mkdir(parents=True)
    return tmp_path


def test_labels_make_the_next_version(root: Path) -> None:
    write_labels(root, label(1, WALNUT), label(2, "You fool"), label(3, WALNUT.upper()), erased=["d_2"])
    done = stage(root, "prepare")
    assert done.returncode == 0, done.stderr
    summary = json.loads((made(root, "summary") / "summary.json").read_text())
    described = json.loads((made(root, "dataset") / "dataset.json").read_text())
    parent = json.loads((given(root, "dataset") / "dataset.json").read_text())
    assert summary == {
        "name": "made",
        "version": described["version"],
        "digest": described["digest"],
        "parent": {"name": "made", "version": parent["version"], "digest": parent["digest"]},
        "added": {"train": 1},
        "left_out": {"equals or nearly repeats an older addition": 1, "erased": 1},
        "rows": {"train": 2, "validation": 1, "test": 20},
    }
    assert {path.name for path in made(root, "dataset").iterdir()} == {*described["files"], "dataset.json"}
    frozen = [(folder(root, "dataset") / "test.jsonl").read_bytes() for folder in (given, made)]
    assert frozen[0] == frozen[1]
    assert message(root) == f"made {described['version']} grew from {parent['version']}: added 1 train; 2 left out."


@pytest.mark.parametrize("has_file", [True, False])
def test_where_nothing_is_new_the_parent_goes_on(root: Path, has_file: bool) -> None:
    given(root, "labels").mkdir()
    if has_file:
        (given(root, "labels") / "accepted.jsonl").touch()
    (given(root, "dataset") / "stray.txt").write_text("none of the version's files")
    done = stage(root, "prepare")
    assert done.returncode == 0, done.stderr
    summary = json.loads((made(root, "summary") / "summary.json").read_text())
    assert summary["digest"] == summary["parent"]["digest"]
    assert (summary["added"], summary["left_out"]) == ({}, {})
    assert digests(made(root, "dataset")) == {
        name: digest for name, digest in digests(given(root, "dataset")).items() if name != "stray.txt"
    }
    assert message(root) == f"Nothing is new: made {summary['version']} as it is."


def test_a_batch_that_the_parent_has_already_is_told(root: Path) -> None:
    write_labels(root, label(1, WALNUT))
    assert stage(root, "prepare").returncode == 0
    for path in given(root, "dataset").iterdir():
        path.unlink()
    for path in made(root, "dataset").iterdir():
        path.rename(given(root, "dataset") / path.name)
    done = stage(root, "prepare")
    assert done.returncode == 0, done.stderr
    summary = json.loads((made(root, "summary") / "summary.json").read_text())
    assert summary["left_out"] == {"already in the dataset": 1}
    assert summary["digest"] == summary["parent"]["digest"]


def poison_line(root: Path) -> None:
    """Let a line be cut off."""
    write_labels(root, label(1, WALNUT))
    with (given(root, "labels") / "accepted.jsonl").open("a") as file:
        file.write('{"review_id": "r_2", "text": "Secret')


def foreign_category(root: Path) -> None:
    """Let a label be about another model's category."""
    write_labels(root, label(1, "Secret", spam=True))


def foreign_ids(root: Path) -> None:
    """Let the erased be no list."""
    write_labels(root, label(1, "Secret"), erased={"Secret": 1})


def changed_parent(root: Path) -> None:
    """Let a row of the frozen test set be changed."""
    write_labels(root, label(1, WALNUT))
    with (given(root, "dataset") / "test.jsonl").open("a") as file:
        file.write(json.dumps(row("Secret", "test")) + "\n")


def no_parent(root: Path) -> None:
    """Let the parent be missing."""
    write_labels(root, label(1, WALNUT))
    (given(root, "dataset") / "dataset.json").unlink()


def leading_out(root: Path) -> None:
    """Let the parent name a file that is none of its own."""
    write_labels(root, label(1, WALNUT))
    path = given(root, "dataset") / "dataset.json"
    (given(root, "secret.txt")).write_text("Secret")
    described = json.loads(path.read_text())
    described["files"]["../secret.txt"] = hashlib.sha256(b"Secret").hexdigest()
    described["digest"] = hashlib.sha256(json.dumps(described["files"], sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("poison", "told"),
    [
        (poison_line, "accepted.jsonl line 2 is not an accepted label: "),
        (foreign_category, "accepted.jsonl line 1: the dataset has no category 'spam'; it has toxicity, "),
        (foreign_ids, "erased.json is no list of ids: it has to be a JSON list of strings"),
        (changed_parent, "test.jsonl is not the file that dataset.json describes; a version is never changed"),
        (no_parent, "is no dataset: "),
        (leading_out, "dataset.json names a file in another folder; a version's files lie beside it"),
    ],
)
def test_what_cannot_be_used_ends_the_job_with_its_reason(
    root: Path, poison: Callable[[Path], None], told: str
) -> None:
    poison(root)
    done = stage(root, "prepare")
    assert done.returncode == 1
    assert told in message(root)
    assert done.stderr == f"stages: {message(root)}\n"
    assert "Secret" not in message(root)
    assert list(made(root, "dataset").iterdir()) == []


def test_an_error_that_nobody_foresaw_is_told_by_its_kind_alone(root: Path) -> None:
    write_labels(root, label(1, WALNUT))
    path = given(root, "dataset") / "dataset.json"
    described = json.loads(path.read_text())
    del described["sources"]
    path.write_text(json.dumps(described))
    done = stage(root, "prepare")
    assert done.returncode == 1
    assert message(root) == "KeyError; the job's log has the trace"


def test_a_worse_challenger_is_a_finding(root: Path) -> None:
    given(root, "champion").mkdir()
    given(root, "challenger").mkdir()
    pack(STARTER, given(root, "champion") / "model.tar.gz")
    worse = change_starter(root / "worse", renamed("9.9.9"))
    pack(worse, given(root, "challenger") / "model.tar.gz")
    (made(root, "evaluation") / "earlier.json").write_text("left by an attempt that was cut off")
    done = stage(root, "evaluate")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in made(root, "evaluation").iterdir()} == {
        "evaluation.json", "comparison.json", "report.md", "model_statistics.json",
    }  # fmt: skip
    evaluation = json.loads((made(root, "evaluation") / "evaluation.json").read_text())
    assert evaluation["promoted"] is False
    assert "figures in which it is better: not at least 1 of 2." in evaluation["reason"]
    assert message(root) == evaluation["reason"]
    assert evaluation["metrics"]["mean_roc_auc"] == {"champion": 1.0, "challenger": 1.0, "passed": True}
    assert (evaluation["champion"]["version"], evaluation["challenger"]["version"]) == (
        load_manifest(STARTER).version,
        "9.9.9",
    )
    assert evaluation["dataset"]["name"] == "made"
    statistics = json.loads((made(root, "evaluation") / "model_statistics.json").read_text())
    assert statistics["multiclass_classification_metrics"]["mean_roc_auc"] == {
        "value": 1.0, "standard_deviation": "NaN",
    }  # fmt: skip
    assert "is not promoted" in (made(root, "evaluation") / "report.md").read_text()
    comparison = json.loads((made(root, "evaluation") / "comparison.json").read_text())
    assert comparison["promoted"] is False
    assert len(comparison["figures"]) == len(evaluation["metrics"])


def test_one_model_twice_cannot_be_compared(root: Path) -> None:
    for name in ("champion", "challenger"):
        given(root, name).mkdir()
        pack(STARTER, given(root, name) / "model.tar.gz")
    done = stage(root, "evaluate")
    assert done.returncode == 1
    assert "is the champion itself: its manifest has the same digest" in message(root)
    assert list(made(root, "evaluation").iterdir()) == []


def test_without_a_challenger_there_is_nothing_to_evaluate(root: Path) -> None:
    for name in ("champion", "challenger"):
        given(root, name).mkdir()
    pack(STARTER, given(root, "champion") / "model.tar.gz")
    assert stage(root, "evaluate").returncode == 1
    assert message(root) == (
        f"{given(root, 'challenger')} holds no model: put a model directory's files there, or one model.tar.gz"
    )


def test_an_archive_is_the_model_directory_again(tmp_path: Path) -> None:
    archives = [pack(STARTER, tmp_path / name) for name in ("1.tar.gz", "2.tar.gz")]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert digests(unpack(archives[0], tmp_path / "model")) == digests(STARTER)
    assert find_model(STARTER, tmp_path / "space") == STARTER


def archive(path: Path, *entries: tarfile.TarInfo, whole: bool = True) -> Path:
    """Write an archive with these entries after a manifest; each has as many zeros as its size says."""
    with tarfile.open(path, "w:gz") as files:
        for entry in ([plain("manifest.json")] if whole else []) + list(entries):
            files.addfile(entry, io.BytesIO(bytes(entry.size)) if entry.isreg() else None)
    return path


def plain(name: str, size: int = 2) -> tarfile.TarInfo:
    """Return the entry of a plain file."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return an entry that is no plain file."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        plain("../card.md"),
        plain("/etc/passwd"),
        plain("model/card.md"),
        plain("code.py"),
        plain("manifest.json"),
        special("card.md", tarfile.SYMTYPE, "/etc/passwd"),
        special("card.md", tarfile.LNKTYPE, "manifest.json"),
        special("card.md", tarfile.FIFOTYPE),
        special("golden.jsonl", tarfile.CHRTYPE),
        special("model", tarfile.DIRTYPE),
    ],
    ids=lambda entry: f"{entry.name}-{entry.type.decode()}",
)
def test_an_archive_with_anything_else_in_it_is_refused(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    packed = archive(tmp_path / "model.tar.gz", entry)
    with pytest.raises(UnusableModel, match="is no file of a model"):
        unpack(packed, tmp_path / "space" / "model")
    assert {path.name for path in (tmp_path / "space").rglob("*")} <= {"model", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"model.tar.gz", "space"}


def test_a_file_that_is_too_large_is_not_unpacked(tmp_path: Path) -> None:
    packed = archive(tmp_path / "model.tar.gz", plain("card.md", 64 * 1024**2 + 1))
    with pytest.raises(UnusableModel, match=r"card.md has 67,108,865 bytes; at most 67,108,864 are read"):
        unpack(packed, tmp_path / "model")
    assert not (tmp_path / "model" / "card.md").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "foreign", "cut off"])
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    packed = archive(tmp_path / "model.tar.gz", plain("card.md", 100_000))
    packed.write_bytes(packed.read_bytes()[:60] if content is None else content)
    with pytest.raises(UnusableModel, match=r"cannot be unpacked: it is no complete tar\.gz"):
        unpack(packed, tmp_path / "model")


def test_an_archive_without_a_manifest_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "model.tar.gz", plain("./card.md"), whole=False)
    with pytest.raises(UnusableModel, match=r"has no manifest.json at its top"):
        unpack(packed, tmp_path / "model")


def test_figures_whose_names_are_spelled_alike_are_kept_apart() -> None:
    figures = [
        Figure(name=name, champion=0.5, challenger=number, limit="", passed=True)
        for number, name in enumerate(("ROC AUC, a b", "ROC AUC, a-b", "size, MB"))
    ]
    found = {name: each.challenger for name, each in metrics_of(figures).items()}
    assert found == {"roc_auc_a_b": 0, "roc_auc_a_b_2": 1, "size_mb": 2}


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
