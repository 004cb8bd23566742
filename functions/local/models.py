"""Where the model is: the one that was named, or else the starter model that came with Moderato."""

from pathlib import Path

from moderato.artifact import MANIFEST
from moderato.errors import BrokenModel

_PACKAGED = Path(__file__).parent / "starter"
_CHECKOUT = Path(__file__).parents[2] / "models" / "starter"


def find_model(named: Path | None) -> Path:
    """Return the directory of the model to use. Raises BrokenModel if there is none."""
    if named is not None:
        return named
    for directory in (_CHECKOUT, _PACKAGED):
        if (directory / MANIFEST).is_file():
            return directory
    raise BrokenModel(f"no model at {_CHECKOUT}: clone the repository whole, or name a model directory by --model")
