"""`python -m training COMMAND RECIPE`: from public files to a model directory that a server can load."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from moderato.errors import BrokenModel
from training import dataset
from training.config import RecipeError
from training.export import ExportError
from training.failure import recorded
from training.options import (
    EXPORT_PYTHON,
    Data,
    Encoder,
    ExportPython,
    Knobs,
    MaybeData,
    ModelVersion,
    Output,
    Parent,
    Processes,
    Profile,
    RecipeName,
    Seed,
    Smoke,
    Version,
)
from training.processes import end_with_parent
from training.run_stages import (
    check,
    console,
    finish_run,
    fit_here,
    fit_in_processes,
    provide_dataset,
    recipe_of,
    say,
    sources_of,
    tell_search,
)
from training.runs import run_folder, search_folder

app = typer.Typer(help="Train a model by its recipe.", no_args_is_help=True, pretty_exceptions_enable=False)


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
    encoder: Encoder = None,
    knobs: Knobs = None,
    model_version: ModelVersion = None,
) -> None:
    """Every stage in order: dataset, training, export, evaluation, model directory, report.

    A run that was cut off goes on where it was. With --dataset, the run goes to OUTPUT/NAME-VERSION, NAME being that
    of the recipe's file and VERSION the dataset's.
    """
    recipe = recipe_of(name, smoke, seed, parent, encoder, knobs, model_version)
    recipe, sources = sources_of(recipe, data, version)
    check(recipe, sources, export_python)
    folder = run_folder(recipe, output, smoke, seed, version)
    say("dataset", folder / "dataset")
    provide_dataset(recipe, folder, smoke, sources, version)
    say("train", folder / "encoder")
    if processes > 1:
        given = {"--seed": seed, "--dataset": version, "--parent": parent, "--encoder": encoder, "--knobs": knobs}
        fit_in_processes(processes, name, output, smoke, profile, given)
    else:
        fit_here(recipe, folder, profile)
    finish_run(recipe, folder, sources, export_python)


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

    first = recipe_of(name, smoke, None)
    numbers = [first.train.seed + number for number in range(count)]
    for seed in numbers:
        run(name, data, output, smoke, seed, processes, profile, export_python)
    found = mean_of(
        [
            read_metrics(run_folder(recipe_of(name, smoke, seed), output, smoke, seed) / "metrics.json")
            for seed in numbers
        ]
    )
    table = Table(*found.columns, title=f"{first.name}: {found.note}")
    for row in found.rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)


@app.command("dataset")
def make_dataset(
    name: RecipeName,
    data: MaybeData = None,
    output: Output = Path("build"),
    smoke: Smoke = False,
    version: Version = None,
) -> None:
    """The dataset alone. Look at it with `moderato dataset show`."""
    recipe, sources = sources_of(recipe_of(name, smoke, None), data, version)
    folder = provide_dataset(recipe, run_folder(recipe, output, smoke, None, version), smoke, sources, version)
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
    shared_disk: Annotated[
        bool, typer.Option("--shared-disk/--own-disks", help="Whether all hosts see the same OUTPUT.")
    ] = True,
    version: Version = None,
    parent: Parent = None,
    encoder: Encoder = None,
    knobs: Knobs = None,
) -> None:
    """The fine-tuning alone, on a dataset that is there: what torchrun starts in each process.

    SIGTERM ends it with a whole checkpoint and exit code 143; the same command goes on from there.
    """
    from training.train import Sharding

    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent()
    recipe = recipe_of(name, smoke, seed, parent, encoder, knobs)
    fit_here(recipe, run_folder(recipe, output, smoke, seed, version), profile, Sharding(fsdp, deepspeed, shared_disk))


@app.command()
def finish(
    name: RecipeName,
    data: MaybeData = None,
    output: Output = Path("build"),
    smoke: Smoke = False,
    seed: Seed = None,
    export_python: ExportPython = EXPORT_PYTHON,
    version: Version = None,
    parent: Parent = None,
    encoder: Encoder = None,
    knobs: Knobs = None,
    model_version: ModelVersion = None,
) -> None:
    """Export, evaluate, package and report what was trained before, with the options that it was trained with."""
    recipe = recipe_of(name, smoke, seed, parent, encoder, knobs, model_version)
    recipe, sources = sources_of(recipe, data, version)
    check(recipe, sources, export_python)
    finish_run(recipe, run_folder(recipe, output, smoke, seed, version), sources, export_python)


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

    recipe = recipe_of(name, smoke=False, seed=None)
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
    from training.tune import tune as search

    recipe = recipe_of(name, smoke, None)
    folder = search_folder(recipe, output, smoke)
    dataset.build(recipe, data, folder / "dataset", smoke)
    tell_search(search(recipe, folder / "dataset", folder, trials), folder)


def main() -> None:
    """Run a command; what a person can mend is one sentence on standard error."""
    try:
        with recorded():
            app()
    except (RecipeError, ExportError, BrokenModel) as error:
        sys.exit(f"training: {error}")


if __name__ == "__main__":
    main()
