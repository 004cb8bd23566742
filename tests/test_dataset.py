"""Datasets: every text once, in one split, with what its source does not say left unknown."""

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from training import dataset
from training.config import Recipe, SourceChoice, load_recipe

JIGSAW = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]


def write_table(path: Path, columns: list[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a public file as it is distributed."""
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a folder with small files in the format of two public datasets."""
    folder = tmp_path / "sources"
    folder.mkdir()
    natural = [[f"An ordinary remark number {n}", 0, 0, 0, 0, 0, 0, "raw", "contiguous20k"] for n in range(400)]
    more = [["An ordinary remark, number 7!", 1, 0, 0, 0, 1, 0, "raw", "other"]]
    write_table(folder / "jigsaw_train.csv.gz", ["comment_text", *JIGSAW, "text_form", "source"], natural + more)
    paradetox = [["this is damn nonsense", "this is not right", "", ""]]
    write_table(folder / "paradetox.csv.gz", ["toxic", "neutral1", "neutral2", "neutral3"], paradetox)
    return folder


@pytest.fixture
def recipe() -> Recipe:
    """Return the starter recipe with the sources of these tests."""
    chosen = (SourceChoice("jigsaw-natural", natural=True), SourceChoice("jigsaw-more"), SourceChoice("paradetox"))
    return replace(load_recipe("starter"), sources=chosen)


def rows_of(folder: Path) -> list[dataset.Row]:
    """Return the rows of all splits."""
    return [row for split in dataset.SPLITS for row in dataset.load(folder, split)]


def test_a_copy_with_other_punctuation_is_the_same_text(recipe: Recipe, sources: Path, tmp_path: Path) -> None:
    rows = rows_of(dataset.build(recipe, sources, tmp_path / "dataset"))
    assert [row.source for row in rows if row.text.rstrip("!").endswith("number 7")] == ["jigsaw-natural"]


def test_what_a_source_does_not_say_is_unknown(recipe: Recipe, sources: Path, tmp_path: Path) -> None:
    rows = rows_of(dataset.build(recipe, sources, tmp_path / "dataset"))
    toxic = next(row for row in rows if row.text == "this is damn nonsense")
    assert toxic.labels == {
        "toxicity": 1,
        "severe_toxicity": None,
        "identity_attack": None,
        "insult": None,
        "profanity": None,
        "threat": None,
    }


def test_a_quarter_of_the_natural_mix_is_held_out(recipe: Recipe, sources: Path, tmp_path: Path) -> None:
    folder = dataset.build(recipe, sources, tmp_path / "dataset")
    natural = [row for row in dataset.load(folder, "test") if row.natural]
    assert 70 <= len(natural) <= 130


def test_the_same_sources_make_the_same_version(recipe: Recipe, sources: Path, tmp_path: Path) -> None:
    first, second = (dataset.describe(dataset.build(recipe, sources, tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert first["digest"].startswith(first["version"])


def test_the_description_counts_rows_positives_and_sources(recipe: Recipe, sources: Path, tmp_path: Path) -> None:
    described = json.loads((dataset.build(recipe, sources, tmp_path / "dataset") / "dataset.json").read_text())
    assert sum(described["rows"].values()) == 402
    assert sum(described["positives"]["toxicity"].values()) == 1
    assert [source["rows"] for source in described["sources"]] == [400, 0, 2]


def test_a_missing_public_file_is_named(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"jigsaw_train\.csv\.gz"):
        dataset.build(recipe, tmp_path, tmp_path / "dataset")


def test_an_unknown_recipe_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="starter"):
        load_recipe("nonsense")
