"""torch.profiler on demand: a few early steps as a trace for chrome://tracing or Perfetto, and a table of operators."""

from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from transformers import TrainerCallback, TrainingArguments

OPERATORS = 25
"""Rows of the table."""


def profiler(folder: Path) -> TrainerCallback:
    """A callback that records steps 3 to 5 of each phase into `folder`: `PHASE-PROCESS.trace.json` and `.txt`."""
    return _Profiler(folder)


class _Profiler(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: profile | None = None

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        """Begin: the first step allocates, the second warms the profiler up, and three are recorded."""
        name = f"{Path(args.output_dir).parent.name}-{args.process_index}"
        with_gpu = torch.cuda.is_available()
        self.running = profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if with_gpu else [])],
            schedule=schedule(wait=1, warmup=1, active=3, repeat=1),
            on_trace_ready=lambda done: self._write(done, name, "cuda" if with_gpu else "cpu"),
        )
        self.running.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Go on to the next step of the schedule."""
        if self.running:
            self.running.step()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop; what was recorded of a run that was shorter is written too."""
        if self.running:
            self.running.stop()
            self.running = None

    def _write(self, done: profile, name: str, device: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        done.export_chrome_trace(str(self.folder / f"{name}.trace.json"))
        table = done.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=OPERATORS)
        (self.folder / f"{name}.txt").write_text(table)
