"""Datasets: every text once, in one split, with what its source does not say left unknown."""

import json
from pathlib import Path

import pytest

from tests.recipes import RECIPE, write_comments, write_recipe
from training import dataset
from training.config import RecipeError, load_recipe

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def remark(number: int) -> str:
    """Return one of many texts that are not alike."""
    digits = [NUMBERS[int(digit)] for digit in f"{number * 7919 % 100000:05d}"]
    return f"{digits[0]} {digits[1]} went to see {digits[2]} {digits[3]} about {digits[4]}"


SECOND = """
[[sources]]
name = "more"
file = "more.csv"
text = "text"
labels.rude = { value = 1 }
origin = "the tests"
licence = "none"
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a folder with two small sources; the second has copies of texts of the first."""
    folder = tmp_path / "sources"
    write_comments(folder, [[remark(number), number % 2, ""] for number in range(300)])
    (folder / "more.csv").write_text(f'text\n"{remark(7).upper()}!"\nAn entirely different thing\n...\n')
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return the recipe of the two sources."""
    return write_recipe(tmp_path, RECIPE + SECOND)


def rows_of(folder: Path) -> list[dataset.Row]:
    """Return the rows of all splits."""
    return [row for split in dataset.SPLITS for row in dataset.load(folder, split)]


def test_a_copy_with_other_case_and_punctuation_is_the_same_text(recipe: Path, sources: Path, tmp_path: Path) -> None:
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "dataset")
    assert [row.text for row in rows_of(folder) if row.source == "more"] == ["An entirely different thing"]
    assert dataset.describe(folder)["duplicates_removed"] == {"more": 1}


def test_texts_that_differ_in_their_emoji_are_two_texts(recipe: Path, sources: Path, tmp_path: Path) -> None:
    (sources / "more.csv").write_text("text\nI love my 🐀\nI love my 🦊\n")
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "dataset")
    assert len([row for row in rows_of(folder) if row.source == "more"]) == 2


def test_what_a_source_does_not_say_is_unknown(recipe: Path, sources: Path, tmp_path: Path) -> None:
    rows = rows_of(dataset.build(load_recipe(recipe), sources, tmp_path / "dataset"))
    assert next(row for row in rows if row.source == "more").labels == {"rude": 1.0, "loud": None}


def test_each_split_has_its_share(recipe: Path, sources: Path, tmp_path: Path) -> None:
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "dataset")
    for split in ("test", "validation"):
        assert 60 <= len(dataset.load(folder, split)) <= 120


def test_a_text_that_nearly_repeats_a_held_out_one_is_not_trained_on(
    recipe: Path, sources: Path, tmp_path: Path
) -> None:
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "dataset")
    held_out = next(row.text for row in dataset.load(folder, "test") if row.source == "comments")
    copies = [f"{held_out} number {letter}" for letter in "abcdefgh"]
    (sources / "more.csv").write_text("text\n" + "\n".join(copies) + "\n")
    again = dataset.build(load_recipe(recipe), sources, tmp_path / "again")
    assert not [row for row in dataset.load(again, "train") if row.source == "more"]
    assert dataset.describe(again)["near_duplicates_removed"]["more"] >= 1


def test_the_same_sources_make_the_same_version(recipe: Path, sources: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)
    first, second = (dataset.describe(dataset.build(loaded, sources, tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert first["digest"].startswith(first["version"])


def test_the_description_counts_rows_positives_and_sources(recipe: Path, sources: Path, tmp_path: Path) -> None:
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "dataset")
    described = json.loads((folder / "dataset.json").read_text())
    assert sum(described["rows"].values()) == 301
    assert sum(described["positives"]["rude"].values()) == 151
    assert [(source["name"], source["rows"]) for source in described["sources"]] == [("comments", 300), ("more", 1)]


def test_an_empty_split_is_named_with_the_mend(sources: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, RECIPE + SECOND, validation="validation = 0.0")
    with pytest.raises(RecipeError, match=r"own\.toml: split 'validation' has no natural rows; raise its share"):
        dataset.build(load_recipe(path), sources, tmp_path / "dataset")


def test_a_dataset_that_a_run_was_made_from_is_not_overwritten(recipe: Path, sources: Path, tmp_path: Path) -> None:
    folder = dataset.build(load_recipe(recipe), sources, tmp_path / "run" / "dataset")
    (tmp_path / "run" / "run.json").write_text("{}")
    before = dataset.describe(folder)
    (sources / "more.csv").write_text("text\nOne more\n")
    with pytest.raises(RecipeError, match="holds a run on dataset"):
        dataset.build(load_recipe(recipe), sources, folder)
    assert dataset.describe(folder) == before


def test_a_document_is_never_in_two_splits(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    articles = [
        [
            "\n".join([f"Title {n}.", *(f"In {remark(n * 10 + k)} they said so." for k in range(4))]),
            f"In {remark(n * 10)} they said so.",
        ]
        for n in range(40)
    ]
    write_comments(folder, articles, ["article", "summary"])
    path = write_recipe(
        tmp_path,
        RECIPE.replace('labels.rude = { column = "rude" }\n', ""),
        problem='problem = "binary"',
        categories='categories = ["summary"]',
        text='text = "article"',
        labels__loud='summary = "summary"',
    )
    rows = rows_of(dataset.build(load_recipe(path), folder, tmp_path / "dataset"))
    splits: dict[str | None, set[str]] = {}
    for row in rows:
        splits.setdefault(row.document, set()).add(row.split)
    assert len(splits) == 40
    assert all(len(found) == 1 for found in splits.values())
    assert sum(row.labels["summary"] == 1.0 for row in rows) == 40


def test_a_version_is_adopted_as_it_is_without_its_sources(recipe: Path, sources: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)
    version = dataset.build(loaded, sources, tmp_path / "version")
    folder = dataset.adopt(loaded, version, tmp_path / "run" / "dataset")
    assert dataset.describe(folder) == dataset.describe(version)
    assert rows_of(folder) == rows_of(version)


def test_a_version_that_was_changed_is_not_adopted(recipe: Path, sources: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)
    version = dataset.build(loaded, sources, tmp_path / "version")
    with (version / "test.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(RecipeError, match=r"test\.jsonl is not the file that dataset\.json describes"):
        dataset.adopt(loaded, version, tmp_path / "run" / "dataset")
    assert not (tmp_path / "run").exists()


def test_a_version_about_other_categories_is_not_adopted(recipe: Path, sources: Path, tmp_path: Path) -> None:
    version = dataset.build(load_recipe(recipe), sources, tmp_path / "version")
    other = load_recipe(write_recipe(tmp_path, RECIPE.replace("loud", "shrill")))
    with pytest.raises(
        RecipeError, match=r"is about rude, loud, but .* about rude, shrill; name a dataset of the same"
    ):
        dataset.adopt(other, version, tmp_path / "run" / "dataset")


def test_a_folder_without_a_dataset_is_not_adopted(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere is no dataset: .*dataset\.json no such file"):
        dataset.adopt(load_recipe(recipe), tmp_path / "nowhere", tmp_path / "run" / "dataset")
