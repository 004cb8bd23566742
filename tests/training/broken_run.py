"""A training that is killed in the midst of its second epoch: `broken_run.py ENCODER DATASET OUTPUT`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerState, TrainingArguments

from tests.training.tiny import tiny_recipe
from training.config import Recipe
from training.train import train

ROWS = 48
EPOCH_STEPS = 12
KILLED_AFTER = 17
"""In the second epoch, and one step past a checkpoint."""


def long_recipe(encoder: Path) -> Recipe:
    """Three epochs of twelve steps, with a checkpoint every second step and two evaluations an epoch."""
    return tiny_recipe(encoder, batch_size=4, epochs=3, checkpoint_steps=2, evaluations_per_epoch=2)


class Kill(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Kills its own process as kill -9 does: nothing is flushed, closed or told."""

    def on_step_end(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Kill after the step."""
        if state.global_step == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(long_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), [Kill()])
