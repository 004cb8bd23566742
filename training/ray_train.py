"""Ray Train: the fine-tuning of a run in several workers, which share the run's folder."""

import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import ray.train
from ray.train.torch import TorchTrainer

from training.config import Recipe, RecipeError
from training.ray_machines import require_shared, share
from training.run_stages import note_trained

if TYPE_CHECKING:
    from transformers import TrainerCallback

NOTES = "ray"
"""The folder in a run's folder where Ray keeps its own notes while it runs, and these two:"""

TRAINS = "trains"
"""The workers train: from now on they save a checkpoint when they are asked to stop."""

ASKED = "asked"
"""They are asked to: a signal reaches this machine alone."""


@dataclass(frozen=True)
class Work:
    """What each worker is told."""

    recipe: Recipe
    folder: Path
    """The run's folder, with its dataset: every worker sees it under this path."""
    tracking: str | None
    """The tracking server's address; a worker elsewhere does not have the environment of who started it."""
    callbacks: "tuple[TrainerCallback, ...]"


def fit(
    recipe: Recipe,
    folder: Path,
    workers: int,
    failures: int,
    tracking: str | None = None,
    callbacks: "Sequence[TrainerCallback]" = (),
) -> None:
    """Train on the run folder's dataset in so many workers (DDP), and note there what `finish` goes on with.

    When a worker is lost, all of them start again from the newest complete checkpoint, `failures` times at most. Asked
    to stop by SIGTERM, they save one, and this process ends with 143. Needs a cluster, and the main thread. Raises
    RecipeError when it is too small, a machine does not see the folder, or training ends for good.
    """
    each = share(workers)
    require_shared(folder)
    notes = folder / NOTES
    shutil.rmtree(notes, ignore_errors=True)  # of a run that was killed
    notes.mkdir()
    trainer = TorchTrainer(
        _work,
        train_loop_config={"work": Work(recipe, folder, tracking, tuple(callbacks))},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=each.gpus > 0,
            resources_per_worker={"CPU": each.cores, "GPU": each.gpus},
        ),
        run_config=ray.train.RunConfig(
            name=NOTES,
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=failures),
            callbacks=[_Restarts(notes)],
        ),
    )
    try:
        with _asking(notes):
            encoder = trainer.fit().return_value
            if encoder is not None:
                note_trained(folder, Path(encoder))
        if (notes / ASKED).exists():
            sys.exit(128 + signal.SIGTERM)
    except ray.train.TrainingFailedError as error:
        raise RecipeError(f"training on Ray ended: {cause_of(error)}") from None
    finally:
        shutil.rmtree(notes, ignore_errors=True)


def cause_of(error: BaseException) -> str:
    """What ended a training, in one line. Where a worker is lost or fails, the others fail for want of it."""
    failures: Mapping[int, BaseException] = getattr(error, "worker_failures", {})
    for rank, failure in sorted(failures.items(), key=lambda each: (_is_collateral(each[1]), each[0])):
        # Ray's own exceptions tell the state of an actor, in many lines.
        is_lost = type(failure).__module__.startswith("ray.")
        return f"worker {rank} was lost, as one killed for memory is" if is_lost else _told(failure)
    return _told(error)


class _Restarts(ray.train.UserCallback):  # type: ignore[misc]  # Ray is not where the types are checked
    """Takes back that the workers train, when one is lost: its replacement may be waited for without end."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def after_exception(self, *_: object, **__: object) -> None:
        (self.notes / TRAINS).unlink(missing_ok=True)


@contextmanager
def _asking(notes: Path) -> Iterator[None]:
    """Hand SIGTERM on to workers that train. Where they do not yet, or at the second one, all ends as it did before."""

    def ask(*given: object) -> None:
        if (notes / ASKED).exists() or not (notes / TRAINS).exists():
            end_at_once(*given)
        (notes / ASKED).touch()

    end_at_once = cast("Callable[..., None]", signal.getsignal(signal.SIGTERM))
    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, end_at_once)


def _is_collateral(failure: BaseException) -> bool:
    return bool(re.search("gloo|NCCL|Connection (closed|reset) by peer", str(failure)))


def _told(error: BaseException) -> str:
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _work(told: Mapping[str, Work]) -> str | None:
    # Ray's own processes read this module as well; what trains takes seconds to import.
    from training.ray_worker import work

    return work(told["work"])
