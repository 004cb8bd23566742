"""What int8 costs: the served graph against the same in fp32, and against itself on another kind of CPU.

    python -m training.quantization compare MODEL FP32 DATASET --runner "qemu-x86_64 -cpu Haswell"

The runner starts the second reading: QEMU's user mode (Debian's qemu-user) shows onnxruntime a CPU with AVX2 and no
VNNI, as Lambda's are. Its scores are those of such a CPU; its speed is not.
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from moderato.artifact import Manifest, load_manifest
from moderato.policy import Action, decide, default_policy
from moderato.scorer import Scorer
from training import dataset
from training.dataset import Row
from training.evaluation import Table
from training.figures import Floats, roc_auc

HIGHEST_ROC_AUC_DROP = 0.002
HIGHEST_CHANGED_SHARE = 0.006
HIGHEST_MEAN_DIFFERENCE = 0.0005
HIGHEST_DIFFERENCE = 0.02


class QuantizationError(ValueError):
    """The comparison could not be made; the message says what would be right."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How calibrated scores differ between two readings of the same texts, and what that does to decisions."""

    mean: float
    p99: float
    largest: float
    changed: int
    """Texts whose action differs at the manifest's thresholds."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a graph takes: its file, and CPU milliseconds a text on one thread, tokenizing included."""

    bytes: int
    median_milliseconds: float
    p95_milliseconds: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """fp32 and int8 side by side in one run, and int8 under `runner` against int8 as it is."""

    model: str
    version: str
    texts: int
    roc_auc_fp32: float
    roc_auc_int8: float
    """Means over the categories that have texts of both kinds."""
    fp32: Cost
    int8: Cost
    precision: Difference
    """int8 against fp32."""
    runner: str | None = None
    kinds: Difference | None = None
    """int8 under `runner` against int8."""

    def missed(self) -> list[str]:
        """A sentence for each target that is missed."""
        drop, changed = self.roc_auc_fp32 - self.roc_auc_int8, self.precision.changed / self.texts
        limits = [
            ("mean ROC AUC falls by", drop, HIGHEST_ROC_AUC_DROP),
            ("share of decisions that change is", changed, HIGHEST_CHANGED_SHARE),
        ]
        if self.kinds is not None:
            limits.append((f"mean difference under {self.runner} is", self.kinds.mean, HIGHEST_MEAN_DIFFERENCE))
            limits.append((f"largest difference under {self.runner} is", self.kinds.largest, HIGHEST_DIFFERENCE))
        return [f"{what} {value:.5f}, at most {most} is wanted" for what, value, most in limits if value > most]

    def table(self) -> Table:
        """The comparison for a report."""
        rows = [("fp32", self.fp32, self.roc_auc_fp32, None), ("int8", self.int8, self.roc_auc_int8, self.precision)]
        cells = [
            (name, *_cost_cells(cost), area, *_difference_cells(gap, self.texts)) for name, cost, area, gap in rows
        ]
        if self.kinds is not None:
            gap_cells = _difference_cells(self.kinds, self.texts)
            cells.append((f"int8 under {self.runner}, against int8", None, None, None, None, *gap_cells))
        return Table(
            title="Quantization",
            note=f"{self.texts:,} held-out texts of the natural mix; int8 is compared with fp32. "
            "CPU milliseconds a text, one thread, both graphs in turn.",
            columns=(
                "graph", "MB", "median ms", "p95 ms", "mean ROC AUC",
                "mean difference", "p99 difference", "largest difference", "decisions that change",
            ),
            rows=tuple(cells),
        )  # fmt: skip


@dataclass(frozen=True)
class _Reading:
    logits: Sequence[Sequence[float]]  # (text, category), pooled
    seconds: Sequence[float]  # (text,)


def compare(model: Path, full: Path, rows: Sequence[Row], runner: str | None = None) -> Comparison:
    """Read the rows with the model directory's graph and with `full`, and again under `runner` if one is named.

    `runner` is a command that runs another, such as "qemu-x86_64 -cpu Haswell". Raises QuantizationError when it fails.
    """
    manifest = load_manifest(model)
    texts = [row.text for row in rows]
    int8, fp32 = _read_in_turn(model, full, manifest, texts)
    labels = np.array([[_bit(row.labels.get(name)) for name in manifest.category_names] for row in rows])
    under = None if runner is None else _read_under(runner, model, texts)
    scorer = Scorer.open(model, manifest)
    return Comparison(
        model=manifest.name,
        version=manifest.version,
        texts=len(texts),
        roc_auc_fp32=_mean_roc_auc(labels, fp32),
        roc_auc_int8=_mean_roc_auc(labels, int8),
        fp32=_cost(full, fp32),
        int8=_cost(model / "model.onnx", int8),
        precision=_difference(scorer, int8.logits, fp32.logits),
        runner=runner,
        kinds=None if under is None else _difference(scorer, under, int8.logits),
    )


def main() -> None:
    """Compare and print, or answer for the comparison that runs this under a runner."""
    parser = argparse.ArgumentParser(prog="python -m training.quantization", description="What int8 costs.")
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("compare", help="int8 against fp32, and against itself on another kind of CPU")
    comparing.add_argument("model", type=Path, help="a model directory")
    comparing.add_argument("full", type=Path, help="its graph in fp32, as the export wrote it")
    comparing.add_argument("dataset", type=Path, help="the dataset that it was trained on")
    comparing.add_argument("--runner", help='reads a second time by it, such as "qemu-x86_64 -cpu Haswell"')
    comparing.add_argument("--texts", type=int, default=1000, help="held-out texts to read (default: 1000)")
    answering = commands.add_parser("answer", help="logits of the texts on standard input, a JSON list")
    answering.add_argument("model", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "answer":
        _answer(arguments.model)
        return
    try:
        rows = held_out(arguments.dataset, arguments.texts)
        comparison = compare(arguments.model, arguments.full, rows, arguments.runner)
    except QuantizationError as error:
        sys.exit(f"quantization: {error}")
    print(msgspec.json.format(msgspec.json.encode(comparison), indent=1).decode())
    for sentence in comparison.missed():
        print(f"missed: {sentence}", file=sys.stderr)


def held_out(folder: Path, texts: int) -> list[Row]:
    """Some of the dataset's test rows that have the class mix of real traffic, always the same."""
    natural = [row for row in dataset.load(folder, "test") if row.natural]
    return random.Random(0).sample(natural, min(texts, len(natural)))


def _bit(label: float | None) -> float:
    return float("nan") if label is None else float(label >= 0.5)


def _read_in_turn(model: Path, full: Path, manifest: Manifest, texts: Sequence[str]) -> tuple[_Reading, _Reading]:
    """Both graphs on each text, so that what else the machine does slows both alike."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").symlink_to(full.resolve())
        (Path(folder) / "tokenizer.json").symlink_to((model / "tokenizer.json").resolve())
        scorers = Scorer.open(model, manifest), Scorer.open(Path(folder), manifest)
    found: tuple[list[tuple[list[float], float]], ...] = ([], [])
    for number, text in enumerate(texts):
        for place in (0, 1) if number % 2 else (1, 0):
            start = time.thread_time()
            logits = scorers[place].pooled(text)
            found[place].append((logits, time.thread_time() - start))
    int8, fp32 = (_Reading([each[0] for each in readings], [each[1] for each in readings]) for readings in found)
    return int8, fp32


def _read_under(runner: str, model: Path, texts: Sequence[str]) -> list[list[float]]:
    command = [*shlex.split(runner), sys.executable, "-m", "training.quantization", "answer", str(model)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, input=json.dumps(list(texts)), stdout=subprocess.PIPE, text=True, check=True, env=environment
        )
    except FileNotFoundError:
        raise QuantizationError(f"no command {command[0]!r}; Debian has QEMU as qemu-user") from None
    except subprocess.CalledProcessError as error:
        raise QuantizationError(f"{runner!r} could not run the scorer: it ended with {error.returncode}") from None
    logits: list[list[float]] = json.loads(done.stdout)
    return logits


def _answer(model: Path) -> None:
    scorer = Scorer.open(model, load_manifest(model))
    json.dump([scorer.pooled(text) for text in json.load(sys.stdin)], sys.stdout)


def _mean_roc_auc(labels: Floats, reading: _Reading) -> float:
    logits = np.array(reading.logits)
    areas = [roc_auc(labels[:, place], logits[:, place]) for place in range(labels.shape[1])]
    known = [area for area in areas if area is not None]
    return round(sum(known) / len(known), 5) if known else float("nan")


def _cost(graph: Path, reading: _Reading) -> Cost:
    median, p95 = np.percentile(reading.seconds, (50, 95)) * 1000
    return Cost(
        bytes=graph.stat().st_size, median_milliseconds=round(float(median), 2), p95_milliseconds=round(float(p95), 2)
    )


def _difference(scorer: Scorer, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Difference:
    scores = [[scorer.calibrate(logits) for logits in reading] for reading in (ours, theirs)]
    values = [np.array([list(each.values()) for each in reading]) for reading in scores]
    gaps = np.abs(values[0] - values[1])
    policy = default_policy(scorer.manifest)
    actions: list[list[Action]] = [[decide(each, policy).action for each in reading] for reading in scores]
    return Difference(
        mean=round(float(gaps.mean()), 6),
        p99=round(float(np.percentile(gaps, 99)), 6),
        largest=round(float(gaps.max()), 6),
        changed=sum(one is not other for one, other in zip(*actions, strict=True)),
    )


def _cost_cells(cost: Cost) -> tuple[float, float, float]:
    return round(cost.bytes / 1e6, 2), cost.median_milliseconds, cost.p95_milliseconds


def _difference_cells(gap: Difference | None, texts: int) -> tuple[float | str | None, ...]:
    if gap is None:
        return None, None, None, None
    return gap.mean, gap.p99, gap.largest, f"{gap.changed} ({gap.changed / texts:.2%})"


if __name__ == "__main__":
    main()
