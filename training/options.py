"""The options that the commands of training have in common, as typer reads them."""

from pathlib import Path
from typing import Annotated

import typer

from training.config import LARGEST_SEED

EXPORT_PYTHON = ".venv-export/bin/python"

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
Encoder = Annotated[
    Path | None, typer.Option("--encoder", help="The safetensors folder of an encoder, in place of the recipe's.")
]
Knobs = Annotated[
    Path | None,
    typer.Option("--knobs", help="A TOML file whose table `train` is laid over the recipe's, as `tune` writes it."),
]
ModelVersion = Annotated[
    str | None, typer.Option("--version", help="The version of the model, in place of the recipe's.")
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
