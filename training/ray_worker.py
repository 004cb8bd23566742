"""What one worker of Ray Train does: what torchrun's processes do."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.ray_train import ASKED, NOTES, TRAINS
from training.stopping import Stopped, Stopping
from training.tracking import tracked
from training.train import train

if TYPE_CHECKING:
    from training.ray_train import Work


def work(told: "Work") -> str | None:
    """Train, or go on training; every worker of a run calls this.

    Returns the path of the safetensors folder, or None where the workers were asked to stop and saved a checkpoint.
    """
    print(f"worker {ray.train.get_context().get_world_rank()} on {socket.gethostname()}", flush=True)
    notes = told.folder / NOTES
    try:
        with tracked(told.recipe, told.folder, told.tracking) as callbacks:
            own = (_Report(), *told.callbacks, _Asked(notes))
            return str(train(told.recipe, told.folder / "dataset", told.folder, [*callbacks, *own]))
    except Stopped:
        return None


class _Asked(Stopping):
    """Is asked to stop by a note of who started the workers, and tells in another that they train."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self.notes = notes

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Write the note."""
        if state.is_world_process_zero:
            (self.notes / TRAINS).touch()

    def on_step_end(self, args: TrainingArguments, _: TrainerState, control: TrainerControl, **__: Any) -> None:
        """Look for the note; what one process finds all agree on."""
        self._look(args)
        super().on_step_end(args, _, control)

    def on_evaluate(self, args: TrainingArguments, _: TrainerState, control: TrainerControl, **__: Any) -> None:
        """Look for it."""
        self._look(args)
        super().on_evaluate(args, _, control)

    def _look(self, args: TrainingArguments) -> None:
        if args.process_index == 0:
            # Whether a file is there, a network's file system tells from memory for up to a minute; a listing it asks.
            self.is_asked = self.is_asked or any(path.name == ASKED for path in self.notes.iterdir())


class _Report(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Tells Ray each validation figure."""

    def on_evaluate(self, _: TrainingArguments, *__: Any, metrics: Mapping[str, float], **___: Any) -> None:
        ray.train.report(dict(metrics))
