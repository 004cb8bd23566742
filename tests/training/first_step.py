"""One optimizer step over sixteen rows through the real Trainer: `first_step.py ENCODER OUTPUT BATCH`.

Under torchrun each process runs it for two epochs, and writes what it found to OUTPUT/PROBLEM-PROCESS.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainingArguments

from moderato.artifact import Problem
from tests.training.tiny import tiny_recipe, uneven_rows
from training.dataset import Row
from training.sources import Labels
from training.train import Phase, make_loss, make_trainer


class Recording(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch is not where the types are checked
    """A dataset that notes which rows were asked for."""

    def __init__(self, rows: Dataset[dict[str, Any]]) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.asked.append(index)
        item: dict[str, Any] = self.rows[index]
        return item


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Keeps what is logged, and which rows this process reads in each epoch."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []
        self.epochs: list[list[int]] = []
        self.rows: Recording | None = None

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        """Keep the figures."""
        self.logs.append(dict(logs))

    def on_step_end(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        """Draw unevenly by process, as dropout does over batches of unlike length."""
        torch.rand(args.process_index + 1)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Forget what was read before the epoch, such as lengths."""
        if self.rows:
            self.rows.asked.clear()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Keep what was read."""
        if self.rows:
            self.epochs.append(list(self.rows.asked))


def first_step(
    encoder: Path,
    output: Path,
    batch_size: int,
    accumulation: int = 1,
    problem: Problem = Problem.MULTI_LABEL,
    epochs: int = 1,
) -> dict[str, Any]:
    """The loss and gradient norm of the first step, the validation loss after it, and which rows each epoch read."""
    recipe = tiny_recipe(encoder, problem, batch_size=batch_size, accumulation=accumulation, epochs=epochs)
    rows = _one_hot(uneven_rows(16)) if problem is Problem.SINGLE_LABEL else uneven_rows(16)
    watch = Watch()
    phase = Phase(str(encoder), rows, epochs, 1e-3, output)
    trainer = make_trainer(recipe, phase, rows[:11], make_loss(recipe, rows), [watch])
    torch.set_num_threads(1)  # a second thread only waits on tensors this small
    trainer.args.logging_steps = 1
    watch.rows = trainer.train_dataset = Recording(trainer.train_dataset)
    trainer.train()
    first = next(logs for logs in watch.logs if "grad_norm" in logs)
    evaluated = next(logs for logs in watch.logs if "eval_loss" in logs)
    return {
        "loss": first["loss"],
        "gradient_norm": first["grad_norm"],
        "validation_loss": evaluated["eval_exact_loss"],
        "epochs": watch.epochs,
        "process": trainer.args.process_index,
    }


def _one_hot(rows: list[Row]) -> list[Row]:
    chosen: list[Labels] = [
        {"insult": 1.0, "news": 0.0} if row.labels["insult"] else {"insult": 0.0, "news": 1.0} for row in rows
    ]
    return [
        Row(row.id, row.text, labels, row.source, row.split, row.natural)
        for row, labels in zip(rows, chosen, strict=True)
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    for each in (Problem.MULTI_LABEL, Problem.SINGLE_LABEL):
        found = first_step(Path(sys.argv[1]), folder / each, int(sys.argv[3]), problem=each, epochs=2)
        (folder / f"{each}-{found['process']}.json").write_text(json.dumps(found))
