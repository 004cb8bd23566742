"""Asked to stop, a training saves a whole checkpoint at its step, and the next one ends exactly as an unbroken one."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainerState, TrainingArguments

from tests.training.tiny import encoder, tiny_recipe, uneven_rows, write_dataset
from training.checkpoints import is_whole
from training.config import Recipe
from training.stopping import Stopped, Stopping
from training.train import train

EPOCH_STEPS = 12


class Terminate(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Sends SIGTERM to its own process, as the machine's owner does: at a step, or in an evaluation."""

    def __init__(self, step: int, in_evaluation: bool = False) -> None:
        self.step = step
        self.in_evaluation = in_evaluation

    def on_step_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Send it in the midst of the step."""
        if state.global_step == self.step - 1 and not self.in_evaluation:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_prediction_step(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Send it while the step is evaluated."""
        if state.global_step == self.step and self.in_evaluation:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder, with dropout, and a dataset of twelve steps an epoch."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("stopping")
    encoder(made / "encoder", dropout=0.1)
    write_dataset(made / "dataset", {"train": uneven_rows(48), "validation": uneven_rows(24, "validation")})
    return made


def recipe_in(folder: Path, **knobs: Any) -> Recipe:
    """A recipe of two epochs, which writes no checkpoint of its own accord before its end."""
    return tiny_recipe(folder / "encoder", **({"batch_size": 4, "epochs": 2, "checkpoint_steps": 1000} | knobs))


def stopped(recipe: Recipe, folder: Path, output: Path, terminate: Terminate) -> list[str]:
    """Train until SIGTERM; return the names of the checkpoints."""
    with Stopping().listening() as stopping, pytest.raises(Stopped):
        train(recipe, folder / "dataset", output, [terminate, stopping])
    assert not (output / "phase-1" / "history.json").exists()
    checkpoints = sorted((output / "phase-1" / "checkpoints").iterdir())
    assert all(is_whole(checkpoint) for checkpoint in checkpoints)
    return [checkpoint.name for checkpoint in checkpoints]


def evaluated(output: Path) -> list[tuple[int, float, float]]:
    """Every evaluation of a finished run."""
    history = json.loads((output / "phase-1" / "history.json").read_text())
    return [
        (entry["step"], entry["eval_exact_loss"], entry["eval_mean_roc_auc"])
        for entry in history
        if "eval_loss" in entry
    ]


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> list[tuple[int, float, float]]:
    """What a run finds that nobody stops."""
    train(recipe_in(folder), folder / "dataset", folder / "unbroken")
    return evaluated(folder / "unbroken")


@pytest.mark.parametrize(
    ("terminate", "saved"),
    [
        (Terminate(7), "checkpoint-7"),
        (Terminate(1), "checkpoint-1"),
        (Terminate(EPOCH_STEPS), "checkpoint-12"),
        (Terminate(EPOCH_STEPS, in_evaluation=True), "checkpoint-12"),
        (Terminate(2 * EPOCH_STEPS), "checkpoint-24"),
    ],
    ids=["in mid-epoch", "at the first step", "at an epoch's end", "in an evaluation", "at the last step"],
)
def test_what_was_stopped_ends_as_an_unbroken_run(
    folder: Path, tmp_path: Path, unbroken: list[tuple[int, float, float]], terminate: Terminate, saved: str
) -> None:
    assert stopped(recipe_in(folder), folder, tmp_path, terminate) == [saved]
    train(recipe_in(folder), folder / "dataset", tmp_path)
    assert evaluated(tmp_path) == unbroken


def test_a_run_that_may_end_early_goes_on_after_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    # Callbacks are restored from the checkpoint then, and with them the wish to stop.
    recipe = recipe_in(folder, patience=5, evaluations_per_epoch=2)
    train(recipe, folder / "dataset", folder / "patient")
    assert stopped(recipe, folder, tmp_path, Terminate(7)) == ["checkpoint-6", "checkpoint-7"]
    train(recipe, folder / "dataset", tmp_path)
    assert [step for step, _, _ in evaluated(tmp_path)] == [6, 12, 18, 24]
    assert evaluated(tmp_path) == evaluated(folder / "patient")


def test_a_checkpoint_of_which_a_file_did_not_arrive_is_not_gone_on_from(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_in(folder, checkpoint_steps=5)
    saved = stopped(recipe, folder, tmp_path, Terminate(8))
    assert saved == ["checkpoint-5", "checkpoint-8"]
    checkpoints = tmp_path / "phase-1" / "checkpoints"
    with (checkpoints / "checkpoint-8" / "optimizer.pt").open("r+b") as file:
        file.truncate(100)
    assert not is_whole(checkpoints / "checkpoint-8")
    (checkpoints / "checkpoint-5" / "rng_state.pth").unlink()
    begun = Begun()
    train(recipe, folder / "dataset", tmp_path, [begun])
    assert begun.steps == [0]


def test_nobody_who_does_not_train_hears_the_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopping().listening() as stopping:
        assert not stopping.is_asked
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


class Begun(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Notes after which step a training began."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Note the step."""
        self.steps.append(state.global_step)
