"""Where the model is: the one that was named, the champion of the data folder, or the starter model."""

from pathlib import Path

from local.champion import Champions
from moderato.artifact import MANIFEST
from moderato.errors import BrokenModel

_PACKAGED = Path(__file__).parent / "starter"
CHECKOUT = Path(__file__).parents[2] / "models" / "starter"
"""Where the starter model is in a clone of the repository."""


def find_model(named: Path | None, data_directory: Path | None = None) -> Path:
    """Return the directory of the model to use. Raises BrokenModel if there is none."""
    if named is not None:
        return named
    return starter() if data_directory is None else champions_of(data_directory).current()


def champions_of(data_directory: Path) -> Champions:
    """Return the champion of a data folder, which is the starter model until another is promoted."""
    return Champions(data_directory, starter)


def starter() -> Path:
    """Return the directory of the model that came with Moderato. Raises BrokenModel if it is not there."""
    for directory in (CHECKOUT, _PACKAGED):
        if (directory / MANIFEST).is_file():
            return directory
    raise BrokenModel(f"no model at {CHECKOUT}: clone the repository whole, or name a model directory by --model")
