"""A run's folder is for one recipe, dataset and parent; how it is carried out may change."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moderato.artifact import load_manifest
from tests.conftest import STARTER
from training.claim import claim
from training.config import Recipe, RecipeError, load_recipe
from training.parent import model_of, parent_of


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """Return a dataset of which only the digest matters here."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"digest": "d1"}')
    return folder


def changed(recipe: Recipe, **knobs: Any) -> Recipe:
    """Return the recipe with other knobs of training."""
    return msgspec.structs.replace(recipe, train=msgspec.structs.replace(recipe.train, **knobs))


def going_on_from(model: str) -> Recipe:
    """Return the short retraining of a model."""
    recipe = load_recipe("starter-next")
    return msgspec.structs.replace(recipe, encoder=msgspec.structs.replace(recipe.encoder, model=model))


def test_the_same_run_may_go_on_also_as_it_is_carried_out_otherwise(dataset_folder: Path, tmp_path: Path) -> None:
    claim(tmp_path, load_recipe("starter"), dataset_folder)
    before = (tmp_path / "run.json").read_text()
    claim(tmp_path, changed(load_recipe("starter"), checkpoint_steps=1, bf16=False), dataset_folder)
    assert (tmp_path / "run.json").read_text() == before


def test_another_knob_dataset_or_parent_is_another_run(dataset_folder: Path, tmp_path: Path) -> None:
    claim(tmp_path, load_recipe("starter-next"), dataset_folder)
    for other in (changed(load_recipe("starter-next"), replay=7), load_recipe("starter")):
        with pytest.raises(RecipeError, match="holds a run of another recipe or dataset"):
            claim(tmp_path, other, dataset_folder)
    (dataset_folder / "dataset.json").write_text('{"digest": "d2"}')
    with pytest.raises(RecipeError, match="holds a run of another recipe or dataset"):
        claim(tmp_path, load_recipe("starter-next"), dataset_folder)


def test_a_run_that_an_older_release_began_goes_on(dataset_folder: Path, tmp_path: Path) -> None:
    claim(tmp_path, load_recipe("starter"), dataset_folder)
    told = json.loads((tmp_path / "run.json").read_text())
    for table, key in (
        ("train", "replay"),
        ("train", "repeat"),
        ("train", "share"),
        ("train", "bf16"),
        ("encoder", "model"),
    ):
        del told[table][key]
    del told["parent"], told["commit"]
    (tmp_path / "run.json").write_text(json.dumps(told))
    claim(tmp_path, load_recipe("starter"), dataset_folder)


def test_a_run_names_the_digest_of_its_dataset_and_of_its_parent(dataset_folder: Path, tmp_path: Path) -> None:
    claim(tmp_path, going_on_from(str(STARTER)), dataset_folder)
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["dataset"] == "d1"
    assert told["parent"] == load_manifest(STARTER).sha256


def test_the_same_parent_at_another_path_is_the_same_run(dataset_folder: Path, tmp_path: Path) -> None:
    claim(tmp_path, going_on_from(str(STARTER)), dataset_folder)
    (tmp_path / "copy").symlink_to(STARTER)
    claim(tmp_path, going_on_from(str(tmp_path / "copy")), dataset_folder)


def test_a_model_is_found_from_the_root_of_the_code() -> None:
    assert model_of(load_recipe("starter-next")).samefile(STARTER)
    assert parent_of(load_recipe("starter")) is None


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("champion", "goes on from the champion; name its directory with --parent"),
        ("models/nowhere", "no model directory at 'models/nowhere' to go on from; name one with --parent"),
    ],
)
def test_a_model_that_is_not_there_is_named_with_the_mend(model: str, why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        model_of(going_on_from(model))
