"""SIGTERM in training: all processes agree on a step, save a whole checkpoint there, and the run ends to be resumed.

SageMaker sends it 120 seconds before it takes a machine away (spot, a stopped job). The Trainer's own
`enable_jit_checkpoint` does not ask the other processes, whose checkpoint is then empty, and lets the script go on.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell says of a process that SIGTERM ended: 143. Not zero, so nobody takes the run for finished."""


class Stopped(KeyboardInterrupt):
    """Training was asked to stop and did, with its checkpoint on disk; to MLflow it is a run that was interrupted."""


class Stopping(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Ends a training that was asked to stop at the next step, which all processes agree on.

    An evaluation is not cut short: what it finds is part of the run's history, and decides where training stops early.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._is_agreed = False

    @contextmanager
    def listening(self) -> Iterator["Stopping"]:
        """Take SIGTERM for the wish to stop, in place of an end at once. For the main thread."""
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield self
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_step_end(self, args: TrainingArguments, _: TrainerState, control: TrainerControl, **__: Any) -> None:
        """Save and stop, if any process was asked to."""
        self._agree(args, control)

    def on_evaluate(self, args: TrainingArguments, _: TrainerState, control: TrainerControl, **__: Any) -> None:
        """Save and stop: an evaluation takes long enough to be asked meanwhile."""
        self._agree(args, control)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the training, once every process has written its part of the checkpoint."""
        if self._is_agreed:
            if distributed.is_available() and distributed.is_initialized():
                distributed.barrier()
            raise Stopped

    def _ask(self, *_: object) -> None:
        self.is_asked = True

    def _agree(self, args: TrainingArguments, control: TrainerControl) -> None:
        if self._is_agreed or _any(self.is_asked, args.device):
            self._is_agreed = control.should_save = control.should_training_stop = True


def _any(mine: bool, device: torch.device) -> bool:
    """Whether it is so in any of the processes: a signal reaches them at different steps, or only some of them."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return mine
    flag = torch.tensor([mine], dtype=torch.int32, device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag.item())
