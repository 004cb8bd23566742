"""Sources: files as they come, and what each says of the recipe's categories."""

import gzip
import json
from pathlib import Path

import pytest

from tests.recipes import RECIPE, as_dicts, write_comments, write_recipe
from training.config import RecipeError, load_recipe
from training.sources import Labelled, read


def texts(folder: Path, recipe: Path) -> list[Labelled]:
    """Return what the first source of a recipe holds."""
    loaded = load_recipe(recipe)
    return list(read(loaded, loaded.sources[0], folder))


def refusal(folder: Path, recipe: Path) -> str:
    """Return the sentence that a source is refused with."""
    with pytest.raises(RecipeError) as refused:
        texts(folder, recipe)
    return str(refused.value)


def test_a_cell_is_a_probability_and_an_empty_one_is_unknown(tmp_path: Path) -> None:
    write_comments(tmp_path, [["you fool", 1, ""], ["hello, you", "0.25", 0]])
    assert texts(tmp_path, write_recipe(tmp_path)) == [
        Labelled("you fool", {"rude": 1.0, "loud": None}),
        Labelled("hello, you", {"rude": 0.25, "loud": 0.0}),
    ]


def test_named_cells_mean_one_or_zero_and_others_are_unknown(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a", "OFF", 0], ["b", "NOT", 0], ["c", "?", 0]])
    recipe = write_recipe(
        tmp_path, labels__rude='labels.rude = { column = "rude", positive = ["OFF"], negative = ["NOT"] }'
    )
    assert [found.labels["rude"] for found in texts(tmp_path, recipe)] == [1.0, 0.0, None]


def test_votes_become_the_share_of_annotators_who_said_yes(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a", 2, 0, 4], ["b", 0, 0, 4], ["c", 0, 0, 0]], ["text", "rude", "loud", "n"])
    recipe = write_recipe(tmp_path, labels__rude='labels.rude = { votes = "rude", of = "n" }')
    assert [found.labels["rude"] for found in texts(tmp_path, recipe)] == [0.5, 0.0, None]


def test_votes_may_be_spread_over_columns(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a", "1, 1", 1, 0, 0]], ["text", "ann1.yes", "ann2.yes", "ann2.no", "loud"])
    recipe = write_recipe(tmp_path, labels__rude='labels.rude = { votes = "ann*.yes", of = "ann*.*" }')
    assert texts(tmp_path, recipe)[0].labels["rude"] == 1.0


def test_only_chosen_rows_are_read(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a", 1, 0], ["b", 0, 0]])
    recipe = write_recipe(tmp_path, natural="natural = true\nwhere = { rude = [1] }")
    assert [found.text for found in texts(tmp_path, recipe)] == ["a"]


def test_texts_with_words_that_are_kept_for_measuring_are_left_out(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a Taoist monk", 0, 0], ["taoists and monks", 0, 0]])
    recipe = write_recipe(tmp_path, natural='natural = true\nwithout = ["taoist"]')
    assert [found.text for found in texts(tmp_path, recipe)] == ["taoists and monks"]


@pytest.mark.parametrize("form", ["jsonl", "json", "jsonl.gz"])
def test_json_lines_and_a_json_array_are_read_like_a_table(form: str, tmp_path: Path) -> None:
    objects = as_dicts(["text", "rude", "loud"], [["you fool", True, None], ["hello", 0, 0.5]])
    content = json.dumps(objects) if form == "json" else "".join(json.dumps(one) + "\n" for one in objects)
    path = tmp_path / f"comments.{form}"
    path.write_bytes(gzip.compress(content.encode()) if form.endswith("gz") else content.encode())
    found = texts(tmp_path, write_recipe(tmp_path, file=f'file = "comments.{form}"'))
    assert found == [
        Labelled("you fool", {"rude": 1.0, "loud": None}),
        Labelled("hello", {"rude": 0.0, "loud": 0.5}),
    ]


def test_a_table_without_a_header_gets_its_names_from_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "comments.tsv").write_text('he said "no\t1\t0\n')
    recipe = write_recipe(tmp_path, file='file = "comments.tsv"\nquoted = false\ncolumns = ["text", "rude", "loud"]')
    assert [found.text for found in texts(tmp_path, recipe)] == ['he said "no']


def test_a_single_label_is_one_among_zeros(tmp_path: Path) -> None:
    write_comments(tmp_path, [["a", 0, "L"], ["b", 0, "R"], ["c", 0, "X"]])
    recipe = write_recipe(
        tmp_path,
        RECIPE.replace('labels.rude = { column = "rude" }\n', ""),
        problem='problem = "single-label"',
        labels__loud='label = "loud"\nnames = { L = "loud", R = "rude", X = "" }',
    )
    assert [found.labels for found in texts(tmp_path, recipe)] == [
        {"rude": 0.0, "loud": 1.0},
        {"rude": 1.0, "loud": 0.0},
    ]


def test_a_missing_file_is_named_with_the_mend(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    assert refusal(tmp_path, recipe) == (
        f"{recipe}: source 'comments' needs {tmp_path / 'comments.csv'}, which is not there; "
        "put it there or set DATA_DIR"
    )


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["a", 1, 0]], ["comment", "rude", "loud"])
    recipe = write_recipe(tmp_path)
    assert refusal(tmp_path, recipe) == (
        f"{path} line 2: no column 'text', there are comment, rude, loud; mend source 'comments' in {recipe}"
    )


def test_a_text_where_a_header_should_be_is_not_repeated(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["b", 1, 0]], ["marker of a text", "1", "0"])
    message = refusal(tmp_path, write_recipe(tmp_path))
    assert message.startswith(f"{path} line 2: no column 'text', there are 1, 0, 1 more (without a header, give `col")
    assert "marker" not in message


def test_more_votes_than_annotators_are_named_with_their_line(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["a", 2, 0, 4], ["b", 6, 0, 4]], ["text", "rude", "loud", "n"])
    message = refusal(tmp_path, write_recipe(tmp_path, labels__rude='labels.rude = { votes = "rude", of = "n" }'))
    assert message.startswith(f"{path} line 3: 'rude' is 1.5 of 'n', which is no share; name the columns")


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv.gz"
    path.write_bytes(gzip.compress(b"text,rude,loud\n" + b"a,1,0\n" * 50)[:-12])
    message = refusal(tmp_path, write_recipe(tmp_path, file='file = "comments.csv.gz"'))
    assert message == f"{path} is not a whole gzip file; fetch it again"


def test_a_label_outside_0_to_1_is_named_with_its_line(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["a", 1, 0], ["b", 3, 0]])
    message = refusal(tmp_path, write_recipe(tmp_path))
    assert message == f"{path} line 3: column 'rude' is 3; a label is a probability from 0 to 1"


def test_a_label_that_is_no_number_is_not_repeated(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["a", "marker of a text", 0]])
    message = refusal(tmp_path, write_recipe(tmp_path))
    assert message.startswith(f"{path} line 2: column 'rude' holds no number")
    assert "marker" not in message


def test_a_row_with_too_many_cells_is_named(tmp_path: Path) -> None:
    path = write_comments(tmp_path, [["a", 1, 0, 7]])
    assert refusal(tmp_path, write_recipe(tmp_path)).startswith(f"{path} line 2: 4 cells, but 3 columns; quote")


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "comments.jsonl"
    path.write_text('{"text": "a", "rude": 1, "loud": 0}\nmarker of a text\n')
    message = refusal(tmp_path, write_recipe(tmp_path, file='file = "comments.jsonl"'))
    assert message.startswith(f"{path} line 2: not JSON")
    assert "marker" not in message


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "comments.csv").write_bytes(b"text,rude,loud\ncaf\xe9,1,0\n")
    assert "comments.csv is not UTF-8" in refusal(tmp_path, write_recipe(tmp_path))
