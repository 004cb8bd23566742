"""Baselines: the one that was kept last for a model counts, in a folder as in a bucket."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moderato import baselines
from moderato.artifact import Calibration, Category, Manifest, load_manifest
from moderato.baselines import Baseline, BrokenBaseline
from moderato.decisions import ModelName
from moderato.objects import FolderObjects
from tests.made_models import make_model
from tests.observations import half_and_half

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """The manifest of the model made 1.0.0, whose one category is insult."""
    return load_manifest(make_model(tmp_path / "model"))


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    """An empty folder of objects."""
    return FolderObjects(tmp_path / "objects")


def baseline(texts: int, hours: int = 0, model: ModelName | None = None) -> Baseline:
    """Return a baseline of so many texts, taken so many hours after noon."""
    created = (NOON + timedelta(hours=hours)).isoformat()
    name = model or ModelName("made", "1.0.0")
    return Baseline(model=name, created=created, days=7, reference=half_and_half(texts))


def texts_of(found: Baseline | None) -> int | None:
    """Return how many texts a baseline has, by which the tests know it."""
    return None if found is None else found.reference.texts


def test_without_any_there_is_none(objects: FolderObjects, manifest: Manifest) -> None:
    assert baselines.newest(objects, manifest) is None


def test_the_last_one_counts_and_removing_it_goes_back(
    objects: FolderObjects, manifest: Manifest, tmp_path: Path
) -> None:
    baselines.keep(objects, baseline(200, hours=0))
    last = baselines.keep(objects, baseline(300, hours=10))
    assert last == "drift/made-1_0_0/20261121T220000000000Z.json"
    assert texts_of(baselines.newest(objects, manifest)) == 300
    (tmp_path / "objects" / last).unlink()
    assert texts_of(baselines.newest(objects, manifest)) == 200


def test_one_that_was_changed_by_hand_is_named(objects: FolderObjects, manifest: Manifest, tmp_path: Path) -> None:
    key = baselines.keep(objects, baseline(200))
    (tmp_path / "objects" / key).write_text("{}")
    with pytest.raises(BrokenBaseline, match=rf"{key} is no baseline"):
        baselines.newest(objects, manifest)


def test_those_of_other_models_do_not_count(objects: FolderObjects, manifest: Manifest) -> None:
    baselines.keep(objects, baseline(200))
    baselines.keep(objects, baseline(300, 1, ModelName("made", "1.0.1")))
    baselines.keep(objects, baseline(400, 2, ModelName("made", "1_0_0")))  # which has the same folder
    assert texts_of(baselines.newest(objects, manifest)) == 200


def test_one_of_other_categories_does_not_count(objects: FolderObjects, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", categories=(Category("threat", 0.5, None, Calibration(1.0, 0.0)),))
    baselines.keep(objects, baseline(200))
    assert baselines.newest(objects, load_manifest(other)) is None
