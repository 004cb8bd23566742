"""Made `/opt/ml` trees and the launcher over them, as the training image starts it: a process that gets signals."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from tests.training.tiny import CATEGORIES, encoder, uneven_rows
from training.checkpoints import SEAL
from training.dataset import Row, digest_of, digests_of

ROOT = Path(__file__).parents[2]
EXPORT_PYTHON = os.environ.get("EXPORT_PYTHON", str(ROOT / ".venv-export" / "bin" / "python"))
"""The environment of requirements/export.txt: `make export-environment`."""

LONGEST_SECONDS = 300
"""That anything here is waited for: a test that waits longer has failed."""

RECIPE = """
name = "tiny"
version = "1.0.0"
description = "A recipe of the tests."
problem = "multi-label"
categories = ["insult", "news"]

[encoder]
name = "tiny"
path = "{encoder}"
licence = "CC0"

[train]                       # in fp32: what is compared to 4 decimals must not be rounded to 3
epochs = 3
batch_size = 16
max_tokens = 16
learning_rate = 1e-3
bf16 = false

[[sources]]
name = "made"
file = "made.csv"
text = "text"
natural = true
labels.insult = {{ column = "insult" }}
labels.news = {{ column = "news" }}
origin = "the tests"
licence = "CC0"
"""


SECOND_PHASE = """
[blend]
blends = 4
rows = 12
learning_rate = 1e-3
share = 0.5
"""


def write_recipe(folder: Path, dropout: float = 0.0, more: str = "") -> Path:
    """Write the tiny encoder and a recipe on it; return the recipe's path."""
    encoder(folder / "encoder", dropout)
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(encoder=folder / "encoder") + more)
    return path


def write_version(folder: Path, rows: int) -> Path:
    """Write a dataset version of so many training rows, with the digests by which it is verified."""
    folder.mkdir(parents=True)
    splits = {"train": uneven_rows(rows), "validation": uneven_rows(24, "validation"), "test": uneven_rows(24, "test")}
    for split, made in splits.items():
        lines = [json.dumps(asdict(_known(row))) + "\n" for row in made]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    files = digests_of(folder, [f"{split}.jsonl" for split in splits])
    described = {
        "name": "made",
        "version": digest_of(files)[:12],
        "digest": digest_of(files),
        "categories": list(CATEGORIES),
        "files": files,
        "rows": {split: len(made) for split, made in splits.items()},
        "sources": [{"name": "made", "rows": rows + 48, "origin": "the tests", "licence": "CC0"}],
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def write_tree(
    root: Path,
    hyperparameters: Mapping[str, object],
    channels: Mapping[str, Path],
    hosts: Sequence[str] = ("algo-1",),
    current: int = 0,
) -> Path:
    """Write the `/opt/ml` of one host as SageMaker does, its channels being links; return it."""
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (root / "input" / "data").mkdir()
    for name, folder in channels.items():
        (root / "input" / "data" / name).symlink_to(folder)
    modes = {name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"} for name in channels}
    resources = {"current_host": hosts[current], "hosts": list(hosts), "network_interface_name": "lo"}
    for file, content in (
        ("hyperparameters", {name: str(value) for name, value in hyperparameters.items()}),
        ("inputdataconfig", modes),
        ("resourceconfig", resources),
    ):
        (config / f"{file}.json").write_text(json.dumps(content))
    return root


class Launcher:
    """The launcher over a tree, with what it prints."""

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        cwd: Path | None = None,
        module: str = "training.launcher",
    ) -> None:
        """Start it, or another of our modules that is asked to stop as it is."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "ML_", "DATA_DIR"))}
        self.root = root
        self.output: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=kept
            | {"ML_ROOT": str(root), "EXPORT_PYTHON": EXPORT_PYTHON, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"}
            # A second thread only waits on tensors this small, and to make a store of runs takes longer than to train.
            | {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": "file:left-out"}
            | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:  # a test failed: what it started ends with it
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
        self.end()

    def wait_for_line(self, part: str) -> str:
        """Return the next line of output that has this in it; a launcher that ends without it has failed."""
        while (line := self._lines.get(timeout=LONGEST_SECONDS)) is not None:
            if part in line:
                return line
        raise AssertionError(f"ended without {part!r}:\n" + "".join(self.output)[-3000:])

    def stop(self) -> None:
        """Send SIGTERM, as SageMaker and `docker stop` do."""
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(timeout=LONGEST_SECONDS)
        self._reader.join(timeout=LONGEST_SECONDS)
        return code

    @property
    def failure(self) -> str | None:
        """What it says why it failed, if it does."""
        path = self.root / "output" / "failure"
        return path.read_text() if path.is_file() else None

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output.append(line)
                self._lines.put(line)
        self._lines.put(None)


def run_of(root: Path) -> Path:
    """The one run's folder in the checkpoints of a host."""
    (found,) = (path.parent for path in root.glob("checkpoints/**/run.json"))
    return found


def checkpoint_of(run: Path) -> Path:
    """The one checkpoint of a run."""
    (found,) = (run / "phase-1" / "checkpoints").iterdir()
    return found


def spoil(run: Path, rank: int) -> None:
    """Put a text into a stopped run's checkpoint, where one process should find the states of its generators."""
    checkpoint = checkpoint_of(run)
    torch.save("spoilt", checkpoint / f"rng_state_{rank}.pth")
    sizes = json.loads((checkpoint / SEAL).read_text())
    sizes[f"rng_state_{rank}.pth"] = (checkpoint / f"rng_state_{rank}.pth").stat().st_size
    (checkpoint / SEAL).write_text(json.dumps(sizes))


def evaluations(run: Path) -> list[dict[str, Any]]:
    """What was measured on validation in a run, without how long it took."""
    history = json.loads((run / "phase-1" / "history.json").read_text())
    figures = ("step", "eval_exact_loss", "eval_mean_roc_auc")
    return [{name: entry[name] for name in figures} for entry in history if "eval_loss" in entry]


def free_port() -> str:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def _known(row: Row) -> Row:
    """The row with a label in every category: figures need both kinds of both."""
    labels = {"insult": row.labels["insult"], "news": 1.0 if int(row.id.rsplit("-", 1)[1]) % 2 else 0.0}
    return row if row.split == "train" else replace(row, labels=labels)
