"""Checkpoints that are whole: files reach a disk, or S3, one by one, and a run may be cut off between any two."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import distributed
from transformers import PreTrainedModel, TrainerCallback, TrainerState, TrainingArguments

from training.claim import write_whole

SEAL = "files.json"
"""Written last into a checkpoint: the size of every other file, by name."""


class SealCheckpoints(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Seals each checkpoint when all processes have written what is theirs.

    `trainer_state.json` alone says little where a folder is synchronized file by file: it is small and arrives before
    the weights.
    """

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Write the seal."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.barrier()
        if args.should_save:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_whole(folder / SEAL, json.dumps(_sizes(folder)))


def saved_by_any_process(model: PreTrainedModel) -> PreTrainedModel:
    """Let whichever process saves this model do so, and return it.

    transformers 5.23 writes weights in the first process of all alone, even where `save_on_each_node` asks every host
    for them: the others' checkpoints would have all but the weights, and nothing would say so.
    """
    model.should_save_on_this_rank = lambda is_main_process: is_main_process
    return model


def processes() -> PartialState:
    """Return what each of the processes knows of all; the first call connects them."""
    return PartialState(cpu=not torch.cuda.is_available())


def newest_checkpoint(folder: Path, tidies: bool) -> str | None:
    """Return the newest whole checkpoint that every process has: all must go on from the same step.

    The process that `tidies` removes what a broken run left beyond it. The Trainer keeps the checkpoints with the
    highest numbers, so it would remove its own new ones in favour of a remnant.
    """
    found = list(folder.glob("checkpoint-*"))
    steps = known_to_all([_step(path) for path in found if is_whole(path)])
    newest = max(steps, default=0)
    for path in found if tidies else ():
        if _step(path) > newest or not is_whole(path):
            print(f"{path.name} is removed: not every file of it is there in every process", flush=True)
            shutil.rmtree(path)
    return str(folder / f"checkpoint-{newest}") if steps else None


def is_whole(checkpoint: Path) -> bool:
    """Return whether every file of a checkpoint is there in its full size."""
    try:
        sizes = json.loads((checkpoint / SEAL).read_text())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def known_to_all(mine: Collection[int]) -> set[int]:
    """Return which of these numbers every process has."""
    processes()
    everybody: list[Collection[int]] = gather_object([list(mine)])
    return set.intersection(*map(set, everybody))


def _sizes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
