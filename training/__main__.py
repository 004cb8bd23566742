"""`python -m training COMMAND RECIPE`: from public files to a model directory that a server can load."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from moderato.errors import BrokenModel
from training import dataset
from training.config import LARGEST_SEED, Recipe, RecipeError, load_recipe
from training.evaluation import Evaluation
from training.export import ExportError
from training.measures import figures_of, templates_of
from training.smoke import smoke as make_smoke

if TYPE_CHECKING:
    from training.train import Sharding

app = typer.Typer(help="Train a model by its recipe.", no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()

EXPORT_PYTHON = ".venv-export/bin/python"

COMPARED_TEXTS = 1000
"""Held-out texts that int8 and fp32 are compared on."""

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name in training/recipes, or a .toml file.")]
Data = Annotated[
    Path, typer.Option("--data", envvar="DATA_DIR", help="The folder of the files that the recipe's sources name.")
]
MaybeData = Annotated[
    Path | None,
    typer.Option("--data", envvar="DATA_DIR", help="The folder of the files that the recipe's sources name."),
]
Version = Annotated[
    Path | None, typer.Option("--dataset", help="A dataset version to train on as it is, in place of building one.")
]
Parent = Annotated[
    Path | None, typer.Option("--parent", help="The model directory to go on from, in place of the recipe's.")
]
Output = Annotated[Path, typer.Option("--output", help="Where runs go: OUTPUT/NAME.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="A few hundred rows and one short epoch, through every stage.")]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=LARGEST_SEED, help="Another seed than the recipe's; the run goes to OUTPUT/NAME-SEED."),
]
Processes = Annotated[int, typer.Option(min=1, help="Train with so many processes (DDP).")]
ExportPython = Annotated[
    str, typer.Option(envvar="EXPORT_PYTHON", help="Python of the environment of requirements/export.txt.")
]
Profile = Annotated[bool, typer.Option("--profile", help="Write a torch.profiler trace to OUTPUT/NAME/profile.")]


@app.command()
def run(
    name: RecipeName,
    data: MaybeData = None,
    output: Output = Path("build"),
    smoke: Smoke = False,
    seed: Seed = None,
    processes: Processes = 1,
    profile: Profile = False,
    export_python: ExportPython = EXPORT_PYTHON,
    version: Version = None,
    parent: Parent = None,
    model_version: Annotated[
        str | None, typer.Option("--version", help="The version of the model, in place of the recipe's.")
    ] = None,
) -> None:
    """Every stage in order: dataset, training, export, evaluation, model directory, report.

    A run that was cut off goes on where it was. With --dataset, the run goes to OUTPUT/NAME-VERSION, NAME being that
    of the recipe's file and VERSION the dataset's.
    """
    recipe = _recipe(name, smoke, seed, parent, model_version)
    if version is not None:
        recipe = _without_missing_templates(recipe, data)
    elif data is None:
        raise RecipeError("where are the files that the recipe's sources name? Give --data, or --dataset")
    sources = data or Path()
    _check(recipe, sources, export_python)
    folder = _folder(recipe, output, smoke, seed, version)
    _say("dataset", folder / "dataset")
    if version is None:
        dataset.build(recipe, sources, folder / "dataset", smoke)
    else:
        dataset.adopt(recipe, version, folder / "dataset")
    _say("train", folder / "encoder")
    if processes > 1:
        _fit_in_processes(processes, name, output, smoke, seed, profile, version, parent)
    else:
        _fit(recipe, folder, profile)
    _finish(recipe, folder, sources, export_python)


@app.command()
def seeds(
    name: RecipeName,
    data: Data,
    output: Output = Path("build"),
    smoke: Smoke = False,
    count: Annotated[int, typer.Option(min=2, help="How many seeds.")] = 3,
    processes: Processes = 1,
    profile: Profile = False,
    export_python: ExportPython = EXPORT_PYTHON,
) -> None:
    """Several runs that differ in their seed only, and the mean and range of each figure."""
    from training.evaluation import read_metrics
    from training.measures import mean_of

    first = _recipe(name, smoke, None)
    numbers = [first.train.seed + number for number in range(count)]
    for seed in numbers:
        run(name, data, output, smoke, seed, processes, profile, export_python)
    found = mean_of(
        [read_metrics(_folder(_recipe(name, smoke, seed), output, smoke, seed) / "metrics.json") for seed in numbers]
    )
    table = Table(*found.columns, title=f"{first.name}: {found.note}")
    for row in found.rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)


@app.command("dataset")
def make_dataset(name: RecipeName, data: Data, output: Output = Path("build"), smoke: Smoke = False) -> None:
    """The dataset alone. Look at it with `moderato dataset show`."""
    recipe = _recipe(name, smoke, None)
    folder = dataset.build(recipe, data, _folder(recipe, output, smoke, None) / "dataset", smoke)
    counts = ", ".join(f"{rows:,} {split}" for split, rows in dataset.describe(folder)["rows"].items())
    console.print(f"{folder}: {counts}")


@app.command()
def fit(
    name: RecipeName,
    output: Output = Path("build"),
    smoke: Smoke = False,
    seed: Seed = None,
    profile: Profile = False,
    fsdp: Annotated[Path | None, typer.Option(help="A JSON file for FSDP, on GPUs.")] = None,
    deepspeed: Annotated[Path | None, typer.Option(help="A JSON file for DeepSpeed, on GPUs.")] = None,
    version: Version = None,
    parent: Parent = None,
) -> None:
    """The fine-tuning alone, on a dataset that is there: what torchrun starts in each process."""
    from training.train import Sharding

    recipe = _recipe(name, smoke, seed, parent)
    _fit(recipe, _folder(recipe, output, smoke, seed, version), profile, Sharding(fsdp, deepspeed))


@app.command()
def finish(
    name: RecipeName,
    data: Data,
    output: Output = Path("build"),
    smoke: Smoke = False,
    seed: Seed = None,
    export_python: ExportPython = EXPORT_PYTHON,
) -> None:
    """Export, evaluate, package and report what was trained before."""
    recipe = _recipe(name, smoke, seed)
    _finish(recipe, _folder(recipe, output, smoke, seed), data, export_python)


@app.command()
def evaluate(
    name: RecipeName,
    data: Data,
    output: Output = Path("build"),
    model: Annotated[Path | None, typer.Option(help="A model directory (default: OUTPUT/NAME/model).")] = None,
) -> None:
    """Measure a model directory again with the thresholds that it ships with, and write its report."""
    from training.evaluate import evaluate_model
    from training.measures import measures
    from training.report import write_report

    recipe = _recipe(name, smoke=False, seed=None)
    folder = output / recipe.name
    complete = measures(recipe, folder / "dataset", data)
    evaluation = evaluate_model(recipe, folder / "dataset", model or folder / "model", complete)
    console.print(f"report: {write_report(evaluation, folder / 'report')}")


@app.command()
def tune(
    name: RecipeName,
    data: Data,
    output: Output = Path("build"),
    smoke: Smoke = False,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of an earlier search included.")] = 20,
) -> None:
    """Search for better knobs on validation: learning rate, batch size, tokens, weight decay, class weights.

    The best are in OUTPUT/NAME-tuning/tune.toml. A search that was cut off goes on where it was.
    """
    from training.tune import attempts_table
    from training.tune import tune as search

    recipe = _recipe(name, smoke, None)
    folder = _folder(recipe, output, smoke, None)
    folder = folder.with_name(f"{folder.name}-tuning")
    dataset.build(recipe, data, folder / "dataset", smoke)
    tuned = search(recipe, folder / "dataset", folder, trials)
    console.print(attempts_table(tuned))
    console.print(f"the best knobs: {folder / 'tune.toml'}")


def main() -> None:
    """Run a command; what a person can mend is one sentence on standard error."""
    try:
        app()
    except (RecipeError, ExportError, BrokenModel) as error:
        sys.exit(f"training: {error}")


def _recipe(name: str, smoke: bool, seed: int | None, parent: Path | None = None, version: str | None = None) -> Recipe:
    replace = msgspec.structs.replace
    recipe = load_recipe(name)
    if seed is not None:
        recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    if parent is not None:
        recipe = replace(recipe, encoder=replace(recipe.encoder, model=str(parent)))
    if version is not None:
        recipe = replace(recipe, version=version)
    return make_smoke(recipe) if smoke else recipe


def _without_missing_templates(recipe: Recipe, data: Path | None) -> Recipe:
    """A dataset version can be trained on where no public files are: what is measured on one of them is left out."""
    wanted = recipe.measure.identity_templates
    if wanted is None or (data is not None and (data / wanted).is_file()):
        return recipe
    print(f"warning: no {wanted} in --data, so bias by identity term is not measured", file=sys.stderr)
    measure = msgspec.structs.replace(recipe.measure, identity_templates=None)
    return msgspec.structs.replace(recipe, measure=measure)


def _check(recipe: Recipe, data: Path, export_python: str) -> None:
    """Stop before the training for what would stop after it."""
    templates_of(recipe, data)
    if not Path(export_python).is_file():
        raise ExportError(f"no Python at {export_python}; `make export-environment` makes the one that exports")


def _folder(recipe: Recipe, output: Path, smoke: bool, seed: int | None, version: Path | None = None) -> Path:
    """Where a run lives; one on a dataset version of its own has a folder of its own."""
    name = recipe.name
    if version is not None:
        name = f"{Path(recipe.file).stem}-{dataset.verify(version)['version']}"
    return output / (name + ("" if seed is None else f"-{seed}") + ("-smoke" if smoke else ""))


def _fit(recipe: Recipe, folder: Path, profile: bool, sharding: "Sharding | None" = None) -> None:
    from training.profiling import profiler
    from training.tracking import tracked
    from training.train import train

    with tracked(recipe, folder, os.environ.get("MLFLOW_TRACKING_URI")) as callbacks:
        profilers = [profiler(folder / "profile")] if profile else []
        encoder = train(recipe, folder / "dataset", folder, [*callbacks, *profilers], sharding)
    if int(os.environ.get("RANK", "0")) == 0:
        (folder / "trained.json").write_text(json.dumps({"encoder": str(encoder.relative_to(folder))}) + "\n")


def _fit_in_processes(
    processes: int,
    name: str,
    output: Path,
    smoke: bool,
    seed: int | None,
    profile: bool,
    version: Path | None,
    parent: Path | None,
) -> None:
    options = [*(["--smoke"] if smoke else []), *(["--profile"] if profile else [])]
    given = {"--seed": seed, "--dataset": version, "--parent": parent}
    options += [word for option, value in given.items() if value is not None for word in (option, str(value))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run([*launcher, "-m", "training", "fit", name, "--output", str(output), *options], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _finish(recipe: Recipe, folder: Path, data: Path, export_python: str) -> None:
    from training.evaluation import read_metrics, write_metrics
    from training.export import export, full_precision
    from training.measures import measures
    from training.package import package
    from training.quantization import compare, held_out
    from training.report import write_report
    from training.tracking import record

    encoder = folder / _trained(folder)
    graph = folder / "model.onnx"
    _say("export", graph)
    export(encoder, graph, folder / "dataset" / "train.jsonl", export_python)
    _say("package", folder / "model")
    package(recipe, folder / "dataset", encoder, graph, folder / "model", measures(recipe, folder / "dataset", data))
    comparison = compare(folder / "model", full_precision(graph), held_out(folder / "dataset", COMPARED_TEXTS))
    evaluation = read_metrics(folder / "metrics.json")
    evaluation = msgspec.structs.replace(evaluation, tables=(*evaluation.tables, comparison.table()))
    write_metrics(evaluation, folder / "metrics.json")
    _say("report", write_report(evaluation, folder / "report"))
    record(
        folder,
        dict(figures_of(evaluation)),
        [folder / "metrics.json", folder / "model" / "card.md", folder / "report"],
        os.environ.get("MLFLOW_TRACKING_URI"),
    )
    console.print(_figures_table(evaluation))
    console.print(f"serve it: moderato serve --model {folder / 'model'}")


def _figures_table(evaluation: Evaluation) -> Table:
    table = Table("category", "ROC AUC", "95 % interval", "F1", "precision", "recall", "positives")
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
    path = folder / "trained.json"
    if not path.is_file():
        raise RecipeError(f"{folder} holds no finished training; run `python -m training run` first")
    encoder: str = json.loads(path.read_text())["encoder"]
    return encoder


def _say(stage: str, path: Path) -> None:
    console.print(f"[bold]{stage:8}[/bold] {path}")


if __name__ == "__main__":
    main()
