"""The pipeline's steps on one machine: the same commands as in SageMaker's jobs, each with an /opt/ml of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from moderato.artifact import MANIFEST
from training.claim import write_whole
from training.folders import emptied
from training.jobs import Refused
from training.model_archive import ARCHIVE, pack
from training.processes import Supervisor

DONE = "done.json"

EXPORT_PYTHON = Path(__file__).parents[1] / ".venv-export" / "bin" / "python"

STOPPED = 143
"""Exit status of a training that SIGTERM ended: its checkpoint is complete."""


class StepFailed(Refused):
    """A step did not end well; the message is the sentence that it left."""


class StepStopped(StepFailed):
    """A step was asked to stop, and did: what it has done is kept."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """`done.json`: how a step ended. A step that has it is not run again."""

    told: str
    seconds: float


@dataclass(frozen=True)
class Steps:
    """The folder of a run, one folder a step in it."""

    folder: Path
    console: Console
    supervisor: Supervisor
    """Who hears the wish to stop, also between two steps."""

    def root(self, step: str) -> Path:
        """Return the /opt/ml of a step."""
        return self.folder / step

    def once(self, step: str, work: Callable[[], str]) -> Ended:
        """Do a step, unless an earlier run has done it; `work` tells in a sentence how it ended."""
        path = self.root(step) / DONE
        if path.is_file():
            ended = msgspec.json.decode(path.read_bytes(), type=Ended)
            self._say(step, f"{ended.told} (done before)")
            return ended
        if self.supervisor.is_stopping:
            raise StepStopped(f"stopped before {step}; the same command goes on where it was")
        self._say(step, "begins")
        started = time.monotonic()
        ended = Ended(told=work(), seconds=round(time.monotonic() - started, 1))
        write_whole(path, msgspec.json.encode(ended).decode() + "\n")
        self._say(step, ended.told)
        return ended

    def process(self, step: str, stage: str, inputs: Mapping[str, Path]) -> str:
        """Run a stage as a processing job does, on copies of its inputs; return the sentence that it left."""
        root = self.root(step)
        for name, source in inputs.items():
            copied(source, root / "processing" / "input" / name)
        # All that it prints is that sentence, which is said when the step is done.
        self._run(step, ["-m", "training.stages", stage], root / "output" / "message", subprocess.DEVNULL)
        return (root / "output" / "message").read_text(encoding="utf-8")

    def train(self, step: str, inputs: Mapping[str, Path], hyperparameters: Mapping[str, str]) -> Path:
        """Run the launcher as a training job does, and return the model.tar.gz that SageMaker would make of it.

        Its checkpoints stay, so that a run that was cut off goes on where it was.
        """
        root = self.root(step)
        for name, source in inputs.items():
            copied(source, root / "input" / "data" / name)
        config = root / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
        contents = {
            "hyperparameters": dict(hyperparameters),
            "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
            "inputdataconfig": dict.fromkeys(inputs, channel),
        }
        for name, content in contents.items():
            (config / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        self._run(step, ["-m", "training.launcher"], root / "output" / "failure")
        if not (root / "model" / MANIFEST).is_file():
            raise StepFailed(f"{step}: the training ended well, but left no model in {root / 'model'}")
        return pack(root / "model", root / "output" / ARCHIVE)

    def _run(self, step: str, command: list[str], message: Path, output: int | None = None) -> None:
        message.unlink(missing_ok=True)
        # The server's DATA_DIR is none of training's.
        environment = {name: value for name, value in os.environ.items() if name != "DATA_DIR"}
        environment["ML_ROOT"] = str(self.root(step).resolve())
        environment.setdefault("EXPORT_PYTHON", str(EXPORT_PYTHON))
        code = self.supervisor.run([sys.executable, *command], environment, output=output).code
        if self.supervisor.is_stopping or code in (STOPPED, -signal.SIGTERM):
            raise StepStopped(f"{step} was stopped; the same command goes on where it was")
        if code:
            told = message.read_text(encoding="utf-8").strip() if message.is_file() else ""
            raise StepFailed(f"{step}: {told or f'exit status {code}, and no reason was left'}")

    def _say(self, step: str, told: str) -> None:
        self.console.print(f"[bold]{step:9}[/bold] ", end="")
        self.console.print(told, markup=False, highlight=False, soft_wrap=True)


def copied(source: Path, folder: Path) -> Path:
    """Copy what an input is, a folder or a file, into a folder of its own, and nothing that a link leads to."""
    emptied(folder)
    if source.is_file():
        shutil.copyfile(source, folder / source.name)
        return folder
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    return folder
