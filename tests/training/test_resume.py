"""Resume: a run that was killed in mid-epoch ends where an unbroken one does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainerState, TrainingArguments

from tests.training.broken_run import KILLED_AFTER, ROWS, long_recipe
from tests.training.tiny import encoder, tiny_recipe, uneven_rows, write_dataset
from training.config import RecipeError
from training.train import train

ROOT = Path(__file__).parents[2]


class Begun(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Notes after which step a training began."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Note the step."""
        self.steps.append(state.global_step)


def final(output: Path) -> dict[str, float]:
    """The last evaluation of a run."""
    history = json.loads((output / "phase-1" / "history.json").read_text())
    found: dict[str, float] = next(entry for entry in reversed(history) if "eval_loss" in entry)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder, with dropout, and a dataset."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("resume")
    encoder(made / "encoder", dropout=0.1)
    write_dataset(made / "dataset", {"train": uneven_rows(ROWS), "validation": uneven_rows(24, "validation")})
    return made


def test_a_run_killed_in_mid_epoch_ends_like_an_unbroken_one(folder: Path) -> None:
    recipe, data = long_recipe(folder / "encoder"), folder / "dataset"
    killed = subprocess.run(
        [sys.executable, "-m", "tests.training.broken_run", str(recipe.encoder.path), str(data), str(folder / "a")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (folder / "a" / "phase-1" / "history.json").exists()
    checkpoints = folder / "a" / "phase-1" / "checkpoints"
    _cut_off(checkpoints / "checkpoint-18", '{"global_step": 1')
    _cut_off(checkpoints / "checkpoint-20", None)

    begun = Begun()
    train(recipe, data, folder / "a", [begun])
    train(recipe, data, folder / "b")

    assert begun.steps == [KILLED_AFTER - 1]
    resumed, unbroken = final(folder / "a"), final(folder / "b")
    assert resumed["step"] == unbroken["step"] == 36
    for figure in ("eval_loss", "eval_mean_roc_auc"):
        assert resumed[figure] == pytest.approx(unbroken[figure], abs=1e-4), figure
    mine, theirs = (load_file(folder / name / "phase-1" / "encoder" / "model.safetensors") for name in ("a", "b"))
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in theirs) < 1e-5


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(folder: Path) -> None:
    recipe, data, output = tiny_recipe(folder / "encoder"), folder / "dataset", folder / "c"
    begun = Begun()
    assert train(recipe, data, output, [begun]) == train(recipe, data, output, [begun])
    assert begun.steps == [0]
    # How often a checkpoint is written may change in mid-run; what is learned may not.
    train(tiny_recipe(folder / "encoder", checkpoint_steps=7), data, output, [begun])
    assert begun.steps == [0]
    with pytest.raises(RecipeError, match="another recipe or dataset; remove it, or name another --output"):
        train(tiny_recipe(folder / "encoder", learning_rate=2e-3), data, output)


def _cut_off(checkpoint: Path, state: str | None) -> None:
    checkpoint.mkdir()
    if state is not None:
        (checkpoint / "trainer_state.json").write_text(state)
