"""The model that training goes on from."""

from pathlib import Path

from moderato.artifact import load_manifest
from training.config import Recipe, RecipeError

CHAMPION = "champion"
"""What a recipe may say in place of a directory: only who starts the run knows which model is in use."""

_ROOT = Path(__file__).parents[1]


def model_of(recipe: Recipe) -> Path:
    """The model directory that the recipe goes on from. Raises RecipeError when it names none that is there."""
    name = recipe.encoder.model
    if name is None:
        raise RecipeError(f"{recipe.file}: goes on from no model; name one under [encoder] as model")
    if name == CHAMPION:
        raise RecipeError(f"{recipe.file}: goes on from the champion; name its directory with --parent")
    found = next((path for path in (Path(name), _ROOT / name) if path.is_dir()), None)
    if found is None:
        raise RecipeError(f"{recipe.file}: no model directory at {name!r} to go on from; name one with --parent")
    return found


def parent_of(recipe: Recipe) -> str | None:
    """The digest of the manifest of the model that the recipe goes on from, or None where it starts anew."""
    return None if recipe.encoder.model is None else load_manifest(model_of(recipe)).sha256
