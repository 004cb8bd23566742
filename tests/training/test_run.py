"""The whole run as a person starts it: from files and a recipe to a model that the server loads."""

import csv
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moderato.artifact import load_manifest
from moderato.scorer import Scorer
from tests.training.made import STARTER
from tests.training.made_sources import remark, write_sources
from training.config import load_recipe
from training.grow import grow

ROOT = Path(__file__).parents[2]


def training(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as `make train` does."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "HF_HUB_OFFLINE": "1"}
    environment.pop("DATA_DIR", None)  # the server's, where `make test` runs this
    return subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """Write the recipe of the tutorial, word for word, and a file of messages for it."""
    block = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)
    assert block is not None
    recipe = tmp_path / "tickets.toml"
    recipe.write_text(block[1])
    draw = random.Random(3)
    with (tmp_path / "messages.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["message", "angry", "spam"])
        for number in range(400):
            is_spam = number % 3 == 0
            text = remark(number, number % 2 == 0, draw) + (" Reply YES to earn money!!!" if is_spam else "")
            writer.writerow([text, int(number % 2 == 0), int(is_spam)])
    return recipe


def test_the_tutorial_makes_a_model_that_is_served(tutorial: Path, tmp_path: Path) -> None:
    done = training("run", tutorial, "--data", tmp_path, "--output", tmp_path / "build")
    assert done.returncode == 0, done.stderr[-2000:]
    scorer = Scorer.load(tmp_path / "build" / "tickets" / "model")
    spam = scorer.score("Boris of the harbour: Reply YES to earn money!!!").scores["spam"]
    ham = scorer.score("Boris of the harbour: thank you for the help").scores["spam"]
    assert spam > 0.5 > ham
    page = (tmp_path / "build" / "tickets" / "report" / "report.html").read_text()
    assert "Reply YES" not in page
    assert "angry" in page


def test_the_starter_recipe_goes_through_every_stage(tmp_path: Path) -> None:
    write_sources(load_recipe("starter"), tmp_path / "data", rows=120)
    done = training("run", "starter", "--smoke", "--data", tmp_path / "data", "--output", tmp_path / "build")
    assert done.returncode == 0, done.stderr[-2000:]
    folder = tmp_path / "build" / "starter-smoke"
    assert list(Scorer.load(folder / "model").score("hello").scores) == list(load_recipe("starter").categories)
    assert {path.name for path in folder.iterdir()} >= {"dataset", "phase-1", "phase-2", "metrics.json", "report"}


def test_a_grown_dataset_makes_the_next_starter(tmp_path: Path) -> None:
    write_sources(load_recipe("starter"), tmp_path / "data", rows=120)
    training("dataset", "starter", "--smoke", "--data", tmp_path / "data", "--output", tmp_path / "build")
    remarks = [(f"You walnut of number {number}, spell {number * 7919}", number) for number in range(20)]
    labels = [
        {"review_id": f"r_{number}", "decision_id": None, "feedback_ids": [], "text": text, "values": {"insult": True},
         "method": "agreement", "annotators": ["a", "b", "c"], "created": f"2026-11-21T10:00:{number}"}
        for text, number in remarks
    ]  # fmt: skip
    (tmp_path / "accepted.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    version = grow(tmp_path / "build" / "starter-smoke" / "dataset", tmp_path / "accepted.jsonl", tmp_path / "datasets")
    done = training("run", "starter-next", "--smoke", "--dataset", version, "--output", tmp_path / "build")
    assert done.returncode == 0, done.stderr[-2000:]
    scorer = Scorer.load(tmp_path / "build" / f"starter-next-{version.name}-smoke" / "model")
    scorer.check_golden(tmp_path / "build" / f"starter-next-{version.name}-smoke" / "model" / "golden.jsonl")
    assert (scorer.manifest.name, scorer.manifest.parent) == ("starter", load_manifest(STARTER).sha256)
    assert scorer.manifest.dataset.version == version.name
    assert re.fullmatch(rf"\d{{4}}\.\d\d\.\d\d-{version.name}", scorer.manifest.version)


def test_without_files_and_without_a_dataset_a_run_does_not_begin(tmp_path: Path) -> None:
    done = training("run", "starter", "--output", tmp_path / "build")
    assert done.returncode == 1
    assert done.stderr == ("training: where are the files that the recipe's sources name? Give --data, or --dataset\n")


def test_a_label_that_is_none_stops_the_run_in_one_sentence(tutorial: Path, tmp_path: Path) -> None:
    with (tmp_path / "messages.csv").open("a") as file:
        file.write("marker,2,0\n")
    done = training("run", tutorial, "--data", tmp_path, "--output", tmp_path / "build")
    assert done.returncode == 1
    assert done.stderr == (
        f"training: {tmp_path / 'messages.csv'} line 402: column 'angry' is 2; a label is a probability from 0 to 1\n"
    )
