"""The whole pipeline on one machine: prepare, train, evaluate; then register what is better, or keep the champion."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from moderato.acceptance import ACCEPTED, ERASED
from moderato.artifact import load_manifest, verify_files
from training import dataset
from training.additions import read_accepted
from training.claim import code_version
from training.config import load_recipe
from training.folders import emptied
from training.jobs import Refused
from training.local_steps import Ended, Steps, StepStopped
from training.model_archive import ARCHIVE
from training.processes import Supervisor
from training.promote import TEMPLATES
from training.registration import STATUS, Registration
from training.stage_evaluate import Evaluation
from training.stage_files import EVALUATION, REPORT, STATISTICS
from training.stage_prepare import read_erased

GENERATED_BY = "python -m training.pipeline run"
PACKAGE = "package.json"
LOCK = ".lock"


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """Where a package would go: what its request names besides what the run made."""

    bucket: str = "moderato"
    group: str = "moderato-models"
    image: str = "moderato-predict:local"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made from."""

    labels: Path
    """A folder with accepted.jsonl, erased.json or both."""
    dataset: Path
    """The version to grow."""
    champion: Path
    recipe: str
    hyperparameters: Mapping[str, str] = {}
    """Of the training job, besides the recipe."""
    sources: Path | None = None
    """The folder of public files, where the identity phrases may be."""
    reason: str = "hand"
    registry: Registry = Registry()

    @property
    def labels_digest(self) -> str:
        """SHA-256 of the batch of labels."""
        return _digest(self.labels)

    @property
    def is_smoke(self) -> bool:
        """Whether its model is good for nothing."""
        return self.hyperparameters.get("smoke") == "true"

    @property
    def key(self) -> str:
        """What tells this run from others: the same plan goes on where it was, another begins anew."""
        parts = [
            self.labels_digest,
            dataset.verify(self.dataset)["digest"],
            load_manifest(self.champion).sha256,
            repr(load_recipe(self.recipe)),
            sorted(self.hyperparameters.items()),
            self.templates is not None,
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    @property
    def templates(self) -> Path | None:
        """The file of identity phrases, where it is at hand."""
        path = None if self.sources is None else self.sources / TEMPLATES
        return path if path is not None and path.is_file() else None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    evaluation: Evaluation
    report: Path
    dataset: Path
    """The version that the challenger was trained on."""
    package: Path | None
    """The folder of what was registered; None where the champion stays."""


def run(plan: Plan, output: Path, console: Console) -> Outcome:
    """Run every step in its order in the folder `output/KEY`; a run that was cut off goes on where it was.

    Raises Refused, RecipeError or BrokenModel in one sentence, and StepStopped after SIGTERM or Ctrl-C.
    """
    _labels(plan.labels)
    _check_dataset(plan.dataset)
    verify_files(plan.champion, load_manifest(plan.champion))
    folder = output / plan.key
    _check_labels(plan)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder), Supervisor().listening() as supervisor:
        console.print(f"{'folder':9} {folder}", markup=False, highlight=False, soft_wrap=True)
        outcome = _run(plan, Steps(folder, console, supervisor))
        if supervisor.is_stopping:
            raise StepStopped("stopped when every step was done; the same command goes on from there")
    return outcome


def _run(plan: Plan, steps: Steps) -> Outcome:
    prepared = steps.root("prepare") / "processing" / "output" / "dataset"
    packed = steps.root("train") / "output" / ARCHIVE
    found = steps.root("evaluate") / "processing" / "output" / "evaluation"
    phrases = {} if plan.templates is None else {"sources": plan.templates}
    ended = {
        "prepare": steps.once(
            "prepare", lambda: steps.process("prepare", "prepare", {"labels": plan.labels, "dataset": plan.dataset})
        ),
        "train": steps.once("train", lambda: _train(steps, plan, prepared, phrases)),
        "evaluate": steps.once(
            "evaluate",
            lambda: steps.process(
                "evaluate",
                "evaluate",
                {"champion": plan.champion, "challenger": packed, "dataset": prepared, **phrases},
            ),
        ),
    }
    evaluation = msgspec.json.decode((found / EVALUATION).read_bytes(), type=Evaluation)
    package = None
    if evaluation.promoted:
        package = steps.root("register")
        ended["register"] = steps.once("register", lambda: _register(steps, plan, found, evaluation))
    steps.console.print(_table(ended))
    return Outcome(evaluation=evaluation, report=found / REPORT, dataset=prepared, package=package)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a run's folder for this process alone. However that ends, the kernel lets the lock go."""
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another run is at work in {folder}") from None
        yield


def _check_dataset(folder: Path) -> None:
    if not folder.is_dir():
        raise Refused(f"--dataset {folder}: there is no such folder")
    if not (folder / "dataset.json").is_file():
        raise Refused(f"--dataset {folder} holds no dataset.json: name the folder of a dataset version")


def _check_labels(plan: Plan) -> None:
    """Raise RecipeError where the stage would, which sees only a copy and could not name the person's own file."""
    if (plan.labels / ACCEPTED).is_file():
        read_accepted(plan.labels / ACCEPTED, dataset.categories_of(dataset.describe(plan.dataset)))
    read_erased(plan.labels / ERASED)


def _digest(labels: Path) -> str:
    found = hashlib.sha256()
    for path in _labels(labels):
        content = path.read_bytes()
        found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _labels(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise Refused(f"--labels {folder}: there is no such folder")
    found = [path for path in (folder / ACCEPTED, folder / ERASED) if path.is_file()]
    if not found:
        raise Refused(f"{folder} holds neither {ACCEPTED} nor {ERASED}: name the folder of a batch of labels")
    return found


def _train(steps: Steps, plan: Plan, prepared: Path, phrases: Mapping[str, Path]) -> str:
    archive = steps.train(
        "train",
        {"dataset": prepared, "champion": plan.champion, **phrases},
        {"recipe": plan.recipe, **plan.hyperparameters},
    )
    made = load_manifest(archive.parents[1] / "model")
    return f"{made.name} {made.version}, {archive.stat().st_size / 1e6:.1f} MB"


def _register(steps: Steps, plan: Plan, found: Path, evaluation: Evaluation) -> str:
    """Lay down what a registry would be told, beside the model and its evidence."""
    # Of those that it was made from: a server's may have been written anew by a run that began meanwhile.
    digest = _digest(steps.root("prepare") / "processing" / "input" / "labels")
    folder = emptied(steps.root("register"))
    shutil.copytree(steps.root("train") / "model", folder / "model")
    shutil.copyfile(steps.root("train") / "output" / ARCHIVE, folder / ARCHIVE)
    summary = steps.root("prepare") / "processing" / "output" / "summary"
    for path in (*found.iterdir(), *summary.iterdir()):
        shutil.copyfile(path, folder / path.name)
    prefix = f"s3://{plan.registry.bucket}/retraining/{digest}"
    registration = Registration(
        group=plan.registry.group,
        image=plan.registry.image,
        model_uri=f"{prefix}/model/local/output/{ARCHIVE}",
        model_sha256=evaluation.challenger.sha256,
        statistics_uri=f"{prefix}/evaluation/{STATISTICS}",
        generated_by=GENERATED_BY,
        dataset_uri=f"{prefix}/dataset",
        labels_digest=digest,
        reason=plan.reason,
        recipe=plan.recipe,
        git_commit=code_version() or "unknown",
        is_smoke=plan.is_smoke,
    )
    (folder / PACKAGE).write_bytes(msgspec.json.format(msgspec.json.encode(registration.request()), indent=1) + b"\n")
    return f"{STATUS}: {folder}"


def _table(ended: Mapping[str, Ended]) -> Table:
    table = Table("step", "how it ended", "seconds", box=None, pad_edge=False)
    for step, each in ended.items():
        table.add_row(step, each.told, f"{each.seconds:,.1f}")
    return table
