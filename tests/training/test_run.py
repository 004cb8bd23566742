"""The whole run as a person starts it: from files and a recipe to a model that the server loads."""

import csv
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moderato.scorer import Scorer
from tests.training.made_sources import remark, write_sources
from training.config import load_recipe

ROOT = Path(__file__).parents[2]


def training(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as `make train` does."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "HF_HUB_OFFLINE": "1"}
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


def test_a_label_that_is_none_stops_the_run_in_one_sentence(tutorial: Path, tmp_path: Path) -> None:
    with (tmp_path / "messages.csv").open("a") as file:
        file.write("marker,2,0\n")
    done = training("run", tutorial, "--data", tmp_path, "--output", tmp_path / "build")
    assert done.returncode == 1
    assert done.stderr == (
        f"training: {tmp_path / 'messages.csv'} line 402: column 'angry' is 2; a label is a probability from 0 to 1\n"
    )
