"""Where a run lives, so that whoever starts its stages one by one finds it."""

from pathlib import Path

from training import dataset
from training.config import Recipe


def run_folder(recipe: Recipe, output: Path, smoke: bool, seed: int | None, version: Path | None = None) -> Path:
    """Return the run's folder in `output`; one on a dataset version of its own has a folder of its own."""
    name = recipe.name
    if version is not None:
        name = f"{Path(recipe.file).stem}-{dataset.verify(version)['version']}"
    return output / (name + ("" if seed is None else f"-{seed}") + ("-smoke" if smoke else ""))


def search_folder(recipe: Recipe, output: Path, smoke: bool) -> Path:
    """Return the folder in `output` of a search for better knobs, wherever its trials run."""
    folder = run_folder(recipe, output, smoke, None)
    return folder.with_name(f"{folder.name}-tuning")
