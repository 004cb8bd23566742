"""A run on Ray that loses a worker: `broken_ray.py RECIPE VERSION OUTPUT`, with two workers that share each step.

The second worker kills itself once, after the first step; then the command itself finishes the run.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from training import dataset, on_ray
from training.config import load_recipe
from training.runs import run_folder


class KillOnce(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Kills the second worker as kill -9 does, after the first step, and notes after which step each worker begins."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Add the step to the notes of this worker."""
        with (self.notes / f"began-{args.process_index}").open("a") as file:
            file.write(f"{state.global_step} ")

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Kill when the first step's checkpoint is written, the first time."""
        killed = self.notes / "killed"
        if args.process_index == 1 and state.global_step == 1 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    recipe, version, output = load_recipe(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    folder = run_folder(recipe, output, smoke=False, seed=None, version=version)
    dataset.adopt(recipe, version, folder / "dataset")
    on_ray.fit(recipe, folder, workers=2, failures=1, address=None, callbacks=[KillOnce(output)])
    on_ray.app(["train", sys.argv[1], "--dataset", sys.argv[2], "--output", sys.argv[3]])
