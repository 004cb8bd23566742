"""The commands of one host in a job: those that a laptop runs, under torchrun where several processes train."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.container import Job
from training.runs import run_folder


@dataclass(frozen=True)
class Commands:
    """One host's part of a job: `output` holds its run's folder, and so many `processes` train."""

    job: Job
    output: Path
    processes: int
    parent: Path | None = None
    """The model directory to go on from."""
    knobs: Path | None = None
    """What is laid over the recipe's [train]."""
    port: int = 29500
    """Where the first host's torchrun listens for those of the others."""

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return run_folder(self.job.recipe, self.output, self.job.smoke, None, self.job.channels.get("dataset"))

    def dataset(self) -> list[str]:
        """Build the run's dataset, or take the version that was given."""
        return self._training([], "dataset", self._inputs("dataset", "sources"))

    def fit(self) -> list[str]:
        """Train."""
        options = {**self._inputs("dataset", "encoder"), "--parent": self.parent, "--knobs": self.knobs}
        own_disks = ["--own-disks"] if self._is_spread() else []
        return [*self._training(self._torchrun(), "fit", options), *own_disks]

    def finish(self) -> list[str]:
        """Export, measure and package."""
        options = {
            **self._inputs("dataset", "sources", "encoder"),
            "--parent": self.parent,
            "--knobs": self.knobs,
            "--version": self.job.model_version,
        }
        return self._training([], "finish", options)

    def _training(self, launcher: list[str], stage: str, options: Mapping[str, object]) -> list[str]:
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        smoke = ["--smoke"] if self.job.smoke else []
        python = [sys.executable, *launcher, "-m", "training"]
        return [*python, stage, self.job.recipe.file, "--output", str(self.output), *smoke, *given]

    def _inputs(self, *channels: str) -> dict[str, object]:
        options = {"dataset": "--dataset", "sources": "--data", "encoder": "--encoder"}
        return {options[name]: self.job.channels.get(name) for name in channels}

    def _torchrun(self) -> list[str]:
        """What starts all processes of this host and lets them find the others; nothing where there is only one."""
        hosts, torchrun = self.job.hosts, ["-m", "torch.distributed.run", f"--nproc-per-node={self.processes}"]
        if self._is_spread():
            return [
                *torchrun,
                f"--nnodes={len(hosts.names)}",
                f"--node-rank={hosts.number}",
                f"--master-addr={hosts.names[0]}",
                f"--master-port={self.port}",
            ]
        # Whatever this host is called need not be known to itself.
        return [*torchrun, "--standalone", "--local-addr=127.0.0.1"] if self.processes > 1 else []

    def _is_spread(self) -> bool:
        return len(self.job.hosts.names) > 1
