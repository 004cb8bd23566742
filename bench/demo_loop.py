"""The whole loop on one machine: a real server, corrections, annotators, a new dataset, training, promotion.

    make demo-loop                      needs the public files that `make train` needs (DATA_DIR=)

Moderators and annotators are scripts that know the labels of a public dataset and err as people do; everything else is
what runs in earnest: the API over HTTP, the store, consolidation, the trainer, the gate and the swap of the champion.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.people import Opinion, Person, Post, adjudicate, annotate, correct
from bench.posts import CATEGORY, FILE, read_posts
from bench.server import ROOT, ServerProcess

MODERATORS = ("mia", "noah", "olivia", "paul", "quinn")
ANNOTATORS = ("ana", "ben", "cho")
MISTAKES = 0.03
"""The share of the texts that each annotator answers wrongly."""
BATCH = 100
SWAP_SECONDS = 60

console = Console()


@dataclass(frozen=True)
class Slice:
    """How well a model finds the hate of the slice."""

    model: str
    precision: float
    recall: float
    f1: float


def main() -> int:
    """Run the loop as the command line says; exit status 1 if the challenger was not promoted."""
    options = _options()
    started = time.monotonic()
    parent, home = options.base / "dataset", options.output
    _prepare(options, parent)
    traffic, afterwards = read_posts(options.data, parent)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    server = ServerProcess(home)
    try:
        before = _measure(server, afterwards, "slice before")
        _collect(server, traffic)
        version = _grow(home, parent)
        _train(options, version)
        promoted = _promote(
            home, options.train_output / f"starter-next-{version.name}" / "model", version, options.data
        )
        after = _measure(server, afterwards, "slice after") if promoted and _swapped(server, before.model) else before
    finally:
        server.stop()
    _tell(before, after, time.monotonic() - started)
    return 0 if promoted else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the public files")
    parser.add_argument("--base", type=Path, default=Path("build/starter"), help="the run of the model in use")
    parser.add_argument(
        "--output", type=Path, default=Path("build/demo-loop"), help="the server's data folder, emptied"
    )
    parser.add_argument("--train-output", type=Path, default=Path("build/demo-loop-runs"), help="where the run goes")
    parser.add_argument("--train-python", default=".venv-train/bin/python", help="Python of the training environment")
    return parser.parse_args()


def _prepare(options: argparse.Namespace, parent: Path) -> None:
    """See that the files are there, and the dataset of the model in use, without whose texts the slice is chosen."""
    if not (options.data / FILE).is_file():
        sys.exit(f"{options.data / FILE} is not there: name the folder of the public files by DATA_DIR=")
    if not (parent / "dataset.json").is_file():
        _step("the dataset of the starter model (once)")
        _run(options.train_python, "-m", "training", "dataset", "starter", "--data", str(options.data))


def _collect(server: ServerProcess, traffic: Sequence[Post]) -> None:
    """Moderate the traffic, let moderators correct it, annotators answer and an adjudicator decide."""
    posts = {post.text: post for post in traffic}
    opinions = _moderate(server, traffic, "traffic")
    _step("moderators correct what was wrong")
    moderators = [Person(server, name) for name in MODERATORS]
    corrected = sum(
        correct(moderators[number % len(moderators)], post, opinions[post.text])
        for number, post in enumerate(track(traffic, "feedback", console=console))
    )
    console.print(f"  {corrected:,} of {len(traffic):,} decisions were wrong and corrected")
    _step("three annotators answer what waits, an adjudicator decides what they disagree about")
    for name in ANNOTATORS:
        answered = annotate(Person(server, name), posts, opinions, MISTAKES)
        console.print(f"  {name}: {answered:,} answers")
    decided = adjudicate(Person(server, "ada", is_adjudicator=True), posts, opinions)
    console.print(f"  ada: {decided:,} disputes decided")


def _moderate(server: ServerProcess, posts: Sequence[Post], what: str, store: bool = True) -> Mapping[str, Opinion]:
    opinions: dict[str, Opinion] = {}
    for start in track(range(0, len(posts), BATCH), what, console=console):
        batch = posts[start : start + BATCH]
        items = [{"id": str(number), "text": post.text} for number, post in enumerate(batch)]
        status, answer = server.request("POST", "/moderate", {"items": items, "store": store})
        if status != 200:
            raise RuntimeError(f"/moderate was answered with status {status}")
        for post, result in zip(batch, answer["results"], strict=True):
            flagged = frozenset(reason["category"] for reason in result["reasons"])
            opinions[post.text] = Opinion(result["decision_id"], flagged)
    return opinions


def _measure(server: ServerProcess, posts: Sequence[Post], what: str) -> Slice:
    # Not stored: what is measured must not come to the annotators.
    opinions = _moderate(server, posts, what, store=False)
    pairs = [(CATEGORY in opinions[post.text].flagged, post.truth[CATEGORY]) for post in posts]
    hits, flagged, harmful = sum(map(all, pairs)), sum(said for said, _ in pairs), sum(true for _, true in pairs)
    return Slice(_model(server), hits / max(1, flagged), hits / harmful, 2 * hits / (flagged + harmful))


def _model(server: ServerProcess) -> str:
    manifest = server.request("GET", "/model")[1]["manifest"]
    return f"{manifest['name']} {manifest['version']} ({manifest['sha256'][:8]})"


def _grow(home: Path, parent: Path) -> Path:
    _step("accepted labels become a new dataset version")
    _moderato("dataset", "grow", "--data-dir", str(home), "--parent", str(parent))
    (version,) = (home / "datasets").glob("*/*/dataset.json")
    return version.parent


def _train(options: argparse.Namespace, version: Path) -> None:
    _step("the champion is trained on with the new version")
    folders = ("--data", str(options.data), "--output", str(options.train_output))
    shutil.rmtree(options.train_output, ignore_errors=True)
    _run(options.train_python, "-m", "training", "run", "starter-next", "--dataset", str(version), *folders)


def _promote(home: Path, challenger: Path, version: Path, data: Path) -> bool:
    _step("challenger against champion")
    place = ("--data-dir", str(home), "--dataset", str(version))
    return _moderato("promote", str(challenger), *place, "--templates", str(data), may_refuse=True) == 0


def _swapped(server: ServerProcess, old: str) -> bool:
    """Wait until the running server answers with another model; it was never stopped."""
    deadline = time.monotonic() + SWAP_SECONDS
    while _model(server) == old:
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not take the new champion")
        time.sleep(0.2)
    return True


def _moderato(*arguments: str, may_refuse: bool = False) -> int:
    return _run(sys.executable, "-m", "local", *arguments, may_refuse=may_refuse)


def _run(*command: str, may_refuse: bool = False) -> int:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"}
    environment.pop("DATA_DIR", None)  # every command is told its folder
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status and not may_refuse:
        sys.exit(f"`{' '.join(command[1:4])}` ended with status {status}")
    return status


def _step(what: str) -> None:
    console.rule(f"[bold]{what}", align="left")


def _tell(before: Slice, after: Slice, seconds: float) -> None:
    table = Table("", "before", "after", title=f"{CATEGORY} on posts that nobody corrected")
    table.add_row("model", before.model, after.model)
    for figure in ("precision", "recall", "f1"):
        table.add_row(figure, f"{getattr(before, figure):.3f}", f"{getattr(after, figure):.3f}")
    console.print(table)
    console.print(f"The whole loop took {seconds / 60:.1f} minutes.")


if __name__ == "__main__":
    sys.exit(main())
