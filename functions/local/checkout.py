"""The way to the training code, which is in a checkout of the repository and in no installed package.

The only module of what is served that imports `training`, and only when a command asks for it.
"""

import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

from local.options import Refused
from local.promotion import Comparison

_ROOT = Path(__file__).parents[2]


def compare(
    champion: Path, challenger: Path, dataset: Path, sources: Path | None, quick: bool
) -> tuple[Comparison, str]:
    """Compare two models as `training.promote` does; return what was found, and the report in Markdown.

    Raises BrokenModel, or Refused with the sentence that says why they cannot be compared.
    """
    _require_checkout()
    from training.promote import FULL, QUICK, CannotCompare, report, verdict
    from training.promote import compare as measure

    try:
        found = measure(champion, challenger, dataset, sampling=QUICK if quick else FULL, sources=sources)
    except CannotCompare as error:
        raise Refused(str(error)) from None
    outcome = {"passed": found.passed, "reasons": verdict(found).reasons}
    return msgspec.convert(msgspec.to_builtins(found) | outcome, Comparison), report(found)


def grow(parent: Path, accepted: Path, output: Path, erased: Collection[str]) -> Path:
    """Grow a dataset by a file of accepted labels; return the folder of the new version. Raises Refused."""
    _require_checkout()
    from training.config import RecipeError
    from training.grow import grow as grow_version

    try:
        return grow_version(parent, accepted, output, erased)
    except RecipeError as error:
        # The file is ours and temporary: its path says nothing to a person.
        raise Refused(str(error).replace(str(accepted), "the store")) from None


def _require_checkout() -> None:
    if not (_ROOT / "training" / "promote.py").is_file():
        raise Refused("this command needs the training code: run it in a clone of the repository (`make serve` there)")
    if str(_ROOT) not in sys.path:
        sys.path.insert(0, str(_ROOT))
