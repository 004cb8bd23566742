"""`python -m training.on_ray train|tune RECIPE`: the same runs and searches, by the workers of a Ray cluster."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moderato.errors import BrokenModel
from training import dataset
from training.claim import claim
from training.config import Recipe, RecipeError
from training.export import ExportError
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
    RecipeName,
    Seed,
    Smoke,
    Version,
)
from training.ray_cluster import cluster
from training.ray_machines import room
from training.run_stages import (
    TRAINED,
    check,
    finish_run,
    provide_dataset,
    recipe_of,
    sources_of,
    tell_search,
)
from training.runs import run_folder, search_folder

if TYPE_CHECKING:
    from transformers import TrainerCallback

app = typer.Typer(
    help="Train, or search for better knobs, on a Ray cluster: the one at --address, or one of this machine's own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Workers = Annotated[
    int | None, typer.Option(min=1, help="How many; without it one for each GPU, or for each machine without any.")
]
Failures = Annotated[int, typer.Option(min=0, help="How often a lost worker is replaced before it is given up.")]
Address = Annotated[
    str | None, typer.Option(envvar="RAY_ADDRESS", help="The cluster to join: HOST:6379, or auto for this machine's.")
]


@app.command()
def train(
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
    workers: Workers = None,
    failures: Failures = 3,
    address: Address = None,
) -> None:
    """Every stage in order, as `python -m training run` does, with the fine-tuning in several workers (DDP).

    OUTPUT must be on storage that all machines of the cluster see. A run that was cut off goes on where it was.
    """
    recipe, sources = sources_of(recipe_of(name, smoke, seed, parent, encoder, knobs, model_version), data, version)
    check(recipe, sources, export_python)
    folder = run_folder(recipe, output, smoke, seed, version)
    provide_dataset(recipe, folder, smoke, sources, version)
    fit(recipe, folder, workers, failures, address)
    finish_run(recipe, folder, sources, export_python)


@app.command()
def tune(
    name: RecipeName,
    data: Data,
    output: Output = Path("build"),
    smoke: Smoke = False,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of an earlier search included.")] = 20,
    workers: Workers = None,
    failures: Failures = 3,
    address: Address = None,
) -> None:
    """Search for better knobs as `python -m training tune` does, with as many trials at a time as there are workers.

    The best are in OUTPUT/NAME-tuning/tune.toml. A search that was cut off goes on where it was, here or on a laptop.
    """
    recipe = recipe_of(name, smoke, None)
    folder = search_folder(recipe, output, smoke).resolve()
    dataset.build(recipe, data, folder / "dataset", smoke)
    _check_start(recipe)
    with cluster(address, workers):
        from training import ray_tune

        tuned = ray_tune.tune(recipe, folder / "dataset", folder, trials, workers or room(), failures)
    tell_search(tuned, folder)


def fit(
    recipe: Recipe,
    folder: Path,
    workers: int | None,
    failures: int,
    address: str | None,
    callbacks: "Sequence[TrainerCallback]" = (),
) -> None:
    """Train on the dataset of a run's folder, and note there what `finish` goes on with; what is trained stays.

    Asked to stop by SIGTERM, end with 143 and all that is needed to go on.
    """
    folder = folder.resolve()  # a worker may be started elsewhere
    claim(folder, recipe, folder / "dataset")
    if (folder / TRAINED).is_file():
        return
    _check_start(recipe)
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    with cluster(address, workers):
        from training import ray_train

        ray_train.fit(recipe, folder, workers or room(), failures, tracking, callbacks)


def _check_start(recipe: Recipe) -> None:
    """Stop here for what every worker would stop for, and be replaced for in vain."""
    from training.parent import model_of
    from training.train import encoder_of

    if recipe.encoder.model is None:
        encoder_of(recipe)
    else:
        model_of(recipe)


def main() -> None:
    """Run a command; what a person can mend is one sentence on standard error."""
    if importlib.util.find_spec("ray") is None:
        sys.exit("training: Ray is not installed; `pip install -r requirements/ray.txt` adds it to this environment")
    try:
        app()
    except (RecipeError, ExportError, BrokenModel) as error:
        sys.exit(f"training: {error}")


if __name__ == "__main__":
    main()
