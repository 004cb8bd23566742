"""The stages of a run, which all ways to start one have in common: recipe, dataset, training, and what follows it."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Column, Table

from training import dataset
from training.claim import write_whole
from training.config import Recipe, RecipeError, load_knobs, load_recipe
from training.evaluation import Evaluation
from training.export import ExportError
from training.failure import note_stop
from training.measures import figures_of, templates_of
from training.processes import Supervisor
from training.smoke import smoke as make_smoke

if TYPE_CHECKING:
    from training.train import Sharding
    from training.tune import Tuned

console = Console(soft_wrap=True)  # a path in a log must not be broken at 80 characters

TRAINED = "trained.json"
"""The note in a run's folder that its training is finished."""

COMPARED_TEXTS = 1000
"""Held-out texts that int8 and fp32 are compared on."""


def recipe_of(
    name: str,
    smoke: bool,
    seed: int | None,
    parent: Path | None = None,
    encoder: Path | None = None,
    knobs: Path | None = None,
    version: str | None = None,
) -> Recipe:
    """Return the recipe with what the command's options change in it. Raises RecipeError."""
    replace = msgspec.structs.replace
    recipe = load_recipe(name)
    if knobs is not None:
        recipe = load_knobs(knobs, recipe)
    if seed is not None:
        recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    if encoder is not None:
        recipe = replace(recipe, encoder=replace(recipe.encoder, model=None, package=None, path=str(encoder)))
    if parent is not None:
        recipe = replace(recipe, encoder=replace(recipe.encoder, model=str(parent)))
    if version is not None:
        recipe = replace(recipe, version=version)
    return make_smoke(recipe) if smoke else recipe


def sources_of(recipe: Recipe, data: Path | None, version: Path | None) -> tuple[Recipe, Path]:
    """Return the recipe, without what its missing public files would be for, and the folder of those that are there.

    Raises RecipeError where a dataset has to be built and no folder is named.
    """
    if version is not None:
        return _without_missing_templates(recipe, data), data or Path()
    if data is None:
        raise RecipeError("where are the files that the recipe's sources name? Give --data, or --dataset")
    return recipe, data


def check(recipe: Recipe, data: Path, export_python: str) -> None:
    """Stop before the training for what would stop after it. Raises RecipeError or ExportError."""
    templates_of(recipe, data)
    if not Path(export_python).is_file():
        raise ExportError(f"no Python at {export_python}; `make export-environment` makes the one that exports")


def provide_dataset(recipe: Recipe, folder: Path, smoke: bool, sources: Path, version: Path | None) -> Path:
    """Return the folder of the run's dataset: the version that was named, or one built from the recipe's sources."""
    if version is not None:
        return dataset.adopt(recipe, version, folder / "dataset")
    return dataset.build(recipe, sources, folder / "dataset", smoke)


def fit_here(recipe: Recipe, folder: Path, profile: bool, sharding: "Sharding | None" = None) -> None:
    """Train; asked to stop by SIGTERM, end with 143 and all that is needed to go on."""
    from training.profiling import profiler
    from training.stopping import EXIT_CODE, Stopped, Stopping
    from training.tracking import tracked
    from training.train import train

    with Stopping().listening() as stopping:
        try:
            with tracked(recipe, folder, os.environ.get("MLFLOW_TRACKING_URI")) as callbacks:
                profilers = [profiler(folder / "profile")] if profile else []
                encoder = train(recipe, folder / "dataset", folder, [*callbacks, *profilers, stopping], sharding)
        except Stopped:
            note_stop()
            sys.exit(EXIT_CODE)
        if int(os.environ.get("RANK", "0")) == 0:
            note_trained(folder, encoder)
        if stopping.is_asked:  # after the last step
            sys.exit(EXIT_CODE)


def fit_in_processes(
    processes: int, name: str, output: Path, smoke: bool, profile: bool, given: Mapping[str, object]
) -> None:
    """Train in several processes of this machine; ends this one with the exit code of what failed, or 143 if stopped.

    `given` are options of `fit` by their names; those that are None are left out.
    """
    options = [*(["--smoke"] if smoke else []), *(["--profile"] if profile else [])]
    options += [word for option, value in given.items() if value is not None for word in (option, str(value))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, "-m", "training", "fit", name, "--output", str(output), *options]
    with Supervisor().listening() as supervisor:
        code = supervisor.run(command, os.environ).code
    if supervisor.is_stopping:
        sys.exit(128 + signal.SIGTERM)
    if code:
        sys.exit(code)


def note_trained(folder: Path, encoder: Path) -> None:
    """Note in a run's folder where its encoder is: what `finish_run` goes on with."""
    write_whole(folder / TRAINED, json.dumps({"encoder": str(encoder.relative_to(folder))}) + "\n")


def finish_run(recipe: Recipe, folder: Path, data: Path, export_python: str) -> None:
    """Export, measure, package and report what was trained in a run's folder. Raises RecipeError or ExportError."""
    from training.evaluation import read_metrics, write_metrics
    from training.export import export, full_precision
    from training.measures import measures
    from training.package import package
    from training.quantization import compare, held_out
    from training.report import write_report
    from training.tracking import record

    encoder = folder / _trained(folder)
    graph = folder / "model.onnx"
    say("export", graph)
    export(encoder, graph, folder / "dataset" / "train.jsonl", export_python)
    say("package", folder / "model")
    package(recipe, folder / "dataset", encoder, graph, folder / "model", measures(recipe, folder / "dataset", data))
    comparison = compare(folder / "model", full_precision(graph), held_out(folder / "dataset", COMPARED_TEXTS))
    evaluation = read_metrics(folder / "metrics.json")
    evaluation = msgspec.structs.replace(evaluation, tables=(*evaluation.tables, comparison.table()))
    write_metrics(evaluation, folder / "metrics.json")
    say("report", write_report(evaluation, folder / "report"))
    record(
        folder,
        dict(figures_of(evaluation)),
        [folder / "metrics.json", folder / "model" / "card.md", folder / "report"],
        os.environ.get("MLFLOW_TRACKING_URI"),
    )
    console.print(_figures_table(evaluation))
    console.print(f"serve it: moderato serve --model {folder / 'model'}")


def _without_missing_templates(recipe: Recipe, data: Path | None) -> Recipe:
    """A dataset version can be trained on where no public files are: what is measured on one of them is left out."""
    wanted = recipe.measure.identity_templates
    if wanted is None or (data is not None and (data / wanted).is_file()):
        return recipe
    print(f"warning: no {wanted} in --data, so bias by identity term is not measured", file=sys.stderr)
    measure = msgspec.structs.replace(recipe.measure, identity_templates=None)
    return msgspec.structs.replace(recipe, measure=measure)


def _figures_table(evaluation: Evaluation) -> Table:
    name = Column("category", no_wrap=True)
    table = Table(name, "ROC AUC", "95 % interval", "F1", "precision", "recall", "positives")
    for each in evaluation.categories:
        interval = each.roc_auc.interval
        table.add_row(
            each.name,
            f"{each.roc_auc.value:.4f}",
            f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
            *(f"{figure.value:.3f}" for figure in (each.f1, each.precision, each.recall)),
            f"{each.test.positives:,}",
        )
    return table


def _trained(folder: Path) -> str:
    path = folder / TRAINED
    if not path.is_file():
        raise RecipeError(f"{folder} holds no finished training; run `python -m training run` first")
    encoder: str = json.loads(path.read_text())["encoder"]
    return encoder


def tell_search(tuned: "Tuned", folder: Path) -> None:
    """Show every trial of a search in its folder, and where the best knobs are."""
    from training.tune import attempts_table

    console.print(attempts_table(tuned))
    console.print(f"the best knobs: {folder / 'tune.toml'}")


def say(stage: str, path: Path) -> None:
    """Tell that a stage begins, and where what it makes will be."""
    console.print(f"[bold]{stage:8}[/bold] {path}")
