"""`run.json`: which recipe, dataset and parent a run's folder is for, so that none is taken for another."""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from moderato.artifact import Problem
from training import dataset
from training.config import Augmentation, BlendKnobs, Encoder, Recipe, RecipeError, TrainKnobs
from training.parent import parent_of


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made from."""

    dataset: str
    """The digest of the dataset version."""
    parent: str | None = None
    """The digest of the manifest of the model that training goes on from."""
    commit: str | None = None
    """The code that the run began with, where it is a git checkout; "-dirty" where files differ from the commit."""
    problem: Problem
    categories: tuple[str, ...]
    encoder: Encoder
    train: TrainKnobs
    augmentation: Augmentation
    blend: BlendKnobs | None


def claim(output: Path, recipe: Recipe, dataset_folder: Path) -> None:
    """Write down whose run the folder `output` holds. Raises RecipeError when it holds another one already."""
    path, ours = output / "run.json", _claim_of(recipe, dataset_folder)
    if not path.is_file():
        write_whole(path, msgspec.json.format(msgspec.json.encode(ours), indent=1).decode())
    elif not _is_same(path, ours):
        raise RecipeError(f"{output} holds a run of another recipe or dataset; remove it, or name another --output")


def write_whole(path: Path, content: str) -> None:
    """Write a file that is there as a whole or not at all: a kill, or another process, never sees a part of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(content)
    part.replace(path)


def _claim_of(recipe: Recipe, dataset_folder: Path) -> Claim:
    return Claim(
        dataset=dataset.describe(dataset_folder)["digest"],
        parent=parent_of(recipe),
        commit=code_version(),
        problem=recipe.problem,
        categories=recipe.categories,
        # The parent's digest says which model it is, however its path is spelled.
        encoder=msgspec.structs.replace(recipe.encoder, model=None),
        train=recipe.train,
        augmentation=recipe.augmentation,
        blend=recipe.blend,
    )


def _is_same(path: Path, ours: Claim) -> bool:
    try:
        # What an older release did not write down yet has its default.
        theirs = msgspec.json.decode(path.read_bytes(), type=Claim)
    except msgspec.DecodeError:
        return False
    return _without_machine(theirs) == _without_machine(ours)


def _without_machine(each: Claim) -> Claim:
    """Without how a run is carried out, and by which code: it may go on with others than it began with."""
    plain = TrainKnobs()
    knobs = msgspec.structs.replace(each.train, checkpoint_steps=plain.checkpoint_steps, bf16=plain.bf16)
    return msgspec.structs.replace(each, train=knobs, commit=None)


def code_version() -> str | None:
    """Return the commit of this code, with "-dirty" where files differ from it; None where it is no git checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--match=", "--always", "--abbrev=40", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
