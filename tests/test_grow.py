"""Growth: a version and its labels make the next; what is held out stays held out, and what is erased is gone."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from local import datasets as served
from moderato.acceptance import AcceptedLabel
from moderato.reviews import review_id_of
from training import dataset
from training.additions import CORRECTIONS, read_additions, read_left_out, versions_with
from training.config import RecipeError
from training.dataset import Row
from training.grow import NEAR_ADDITION, NEAR_HELD_OUT, NO_LETTERS, NOTHING_DECIDED, grow

# By their letters the first three are trained on, the other three held out.
WALNUT = "You absolute walnut, go and read the manual first"
TURNIP = "Nobody asked for the opinion of a turnip"
CLOWNS = "What a lovely crowd of clowns you brought along"
ROOF = "I hope the rain finds a hole in your roof"
SPELL = "Learn to spell before you lecture the rest of us"
FOOL = "Only a fool would paint a boat in November"

COUNCIL = "The council will meet again on Tuesday evening"
TOMATOES = "My neighbour grows the best tomatoes of the village"
WINDOW = "Please close the window, it is cold in here"
FERRY = "The ferry leaves at nine from the old harbour"


def row(text: str, split: str, rude: float | None = 0.0) -> Row:
    """Return a row as a public source gives it."""
    return Row(dataset.content_hash(text)[:16], text, {"rude": rude, "loud": None}, "comments", split, natural=True)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Return a version that never grew, with two training texts and one each to validate and to test by."""
    folder = tmp_path / "parent"
    folder.mkdir()
    rows = [row(COUNCIL, "train"), row(TOMATOES, "train"), row(WINDOW, "validation"), row(FERRY, "test")]
    for split in dataset.SPLITS:
        lines = [json.dumps(asdict(each)) + "\n" for each in rows if each.split == split]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    files = dataset.digests_of(folder, [f"{split}.jsonl" for split in dataset.SPLITS])
    digest = dataset.digest_of(files)
    comments = {"name": "comments", "origin": "the tests", "licence": "none", "natural": True, "rows": 4}
    description = {
        "name": "own", "version": digest[:12], "digest": digest, "parent": None, "files": files,
        "categories": ["rude", "loud"], "sources": [comments],
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def label(text: str, number: int = 0, **values: bool | None) -> AcceptedLabel:
    """Return a label as the queue accepts it; a higher number is younger."""
    return AcceptedLabel(
        review_id=review_id_of(f"decision-{number}", text),
        decision_id=f"decision-{number}",
        feedback_ids=[f"feedback-{number}"],
        text=text,
        values=dict(values or {"rude": True}),
        method="agreement",
        annotators=["anna", "ben", "clara"],
        created=f"2026-11-21T10:00:00.{number:03d}+00:00",
    )


def accepted(folder: Path, labels: Sequence[AcceptedLabel]) -> Path:
    """Write the labels to a file as serving does."""
    path = folder / "accepted.jsonl"
    path.write_text("".join(line(each) for each in labels))
    return path


def line(each: AcceptedLabel) -> str:
    """Return a line of `accepted.jsonl`."""
    return msgspec.json.encode(each).decode() + "\n"


def grown(parent: Path, labels: Sequence[AcceptedLabel], erased: Sequence[str] = ()) -> Path:
    """Grow the parent by labels, beside it."""
    return grow(parent, accepted(parent.parent, labels), parent.parent / "datasets", erased)


def texts(folder: Path, split: str) -> list[str]:
    """Return the texts of a split."""
    return [each.text for each in dataset.load(folder, split)]


def test_a_label_becomes_a_row_whose_open_categories_are_unknown(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT, rude=True, loud=None), label(TURNIP, 1, rude=False, loud=True)])
    added = [each for each in dataset.load(folder, "train") if each.source == "feedback"]
    assert [(each.text, each.labels, each.natural) for each in added] == [
        (WALNUT, {"rude": 1.0, "loud": None}, False),
        (TURNIP, {"rude": 0.0, "loud": 1.0}, False),
    ]


def test_validation_and_test_stay_as_they_are_to_the_byte(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT), label(ROOF, 1)])
    for name in ("validation.jsonl", "test.jsonl"):
        assert (folder / name).read_bytes() == (parent / name).read_bytes()
    assert (folder / "train.jsonl").read_bytes().startswith((parent / "train.jsonl").read_bytes())


def test_some_labels_are_held_out_by_their_letters_and_never_trained_on(parent: Path) -> None:
    folder = grown(parent, [label(each, number) for number, each in enumerate((WALNUT, ROOF, SPELL))])
    assert texts(folder, "train") == [COUNCIL, TOMATOES, WALNUT]
    assert texts(folder, CORRECTIONS) == [ROOF, SPELL]
    shouted = grown(parent, [label(ROOF.upper() + "!")])
    assert texts(shouted, CORRECTIONS) == [ROOF.upper() + "!"]


def test_a_fifth_of_the_labels_is_held_out(parent: Path) -> None:
    draw = random.Random(4)
    folder = grown(parent, [label("".join(draw.choices("abcdefgh", k=30)), number) for number in range(500)])
    assert 75 <= len(texts(folder, CORRECTIONS)) <= 125


def test_the_version_tells_its_parent_and_every_file_has_its_digest(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT), label(ROOF, 1)])
    told = json.loads((folder / "dataset.json").read_text())
    before = json.loads((parent / "dataset.json").read_text())
    assert told["parent"] == {"name": "own", "version": before["version"], "digest": before["digest"]}
    assert folder == parent.parent / "datasets" / "own" / told["version"]
    assert told["digest"].startswith(told["version"])
    assert set(told["files"]) | {"dataset.json"} == {path.name for path in folder.iterdir()}
    assert told["rows"] == {"train": 3, "validation": 1, "test": 1}
    assert told["additions"] == {"train": 1, "corrections": 1}
    assert told["positives"]["rude"] == {"train": 1}
    assert [(each["name"], each["rows"]) for each in told["sources"]] == [("comments", 4), ("feedback", 1)]


def test_what_is_served_can_read_and_verify_the_version(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT), label(ROOF, 1)])
    described = served.describe(folder)
    served.verify(folder, described)
    assert described.additions == {"train": 1, "corrections": 1}
    assert [each.text for each in served.read_rows(folder, CORRECTIONS)] == [ROOF]


def test_every_row_leads_back_to_its_review_its_decision_and_its_feedback(parent: Path) -> None:
    (addition,) = read_additions(grown(parent, [label(WALNUT, 7)]))
    assert addition.row == dataset.content_hash(WALNUT)[:16]
    assert (addition.review_id, addition.decision_id) == (review_id_of("decision-7", WALNUT), "decision-7")
    assert addition.feedback_ids == ["feedback-7"]
    assert addition.annotators == ["anna", "ben", "clara"]


def test_the_same_labels_in_any_order_make_the_same_version(parent: Path) -> None:
    labels = [label(WALNUT), label(TURNIP, 1), label(ROOF, 2)]
    first = grown(parent, labels)
    written = (first / "dataset.json").stat().st_mtime_ns
    assert grown(parent, labels[::-1]) == first
    assert (first / "dataset.json").stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_a_parent_that_has_all_the_labels_is_the_version(parent: Path) -> None:
    labels = [label(WALNUT), label(FERRY, 1), label(ROOF, 2)]
    first = grown(parent, labels)
    assert grown(first, labels) == first


def test_a_version_grows_again(parent: Path) -> None:
    second = grown(grown(parent, [label(WALNUT), label(ROOF, 1)]), [label(TURNIP, 2), label(SPELL, 3)])
    assert texts(second, "train") == [COUNCIL, TOMATOES, WALNUT, TURNIP]
    assert texts(second, CORRECTIONS) == [ROOF, SPELL]
    assert [each.decision_id for each in read_additions(second)] == [f"decision-{n}" for n in (0, 1, 2, 3)]
    assert (second / "test.jsonl").read_bytes() == (parent / "test.jsonl").read_bytes()


def test_what_nearly_repeats_a_text_to_judge_by_is_left_out_and_counted(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT), label(FERRY.upper(), 1), label(WINDOW + " now", 2)])
    assert texts(folder, "train") == [COUNCIL, TOMATOES, WALNUT]
    assert texts(folder, CORRECTIONS) == []
    assert dataset.describe(folder)["growth"]["left_out"] == {NEAR_HELD_OUT: 2}
    assert {each.review_id for each in read_left_out(folder)} == {
        review_id_of("decision-1", None), review_id_of("decision-2", None),
    }  # fmt: skip


def test_of_labels_alike_the_oldest_stands(parent: Path) -> None:
    young, old = label(WALNUT + "!", 5, rude=False), label(WALNUT, 4, rude=True)
    near = label(WALNUT + " ok", 6, rude=False)
    folder = grown(parent, [young, near, old])
    assert [(each.text, each.labels["rude"]) for each in dataset.load(folder, "train")][2:] == [(WALNUT, 1.0)]
    assert dataset.describe(folder)["growth"]["left_out"] == {NEAR_ADDITION: 2}


def test_what_nearly_repeats_a_label_of_an_older_version_is_left_out(parent: Path) -> None:
    first = grown(parent, [label(WALNUT), label(ROOF, 1)])
    second = grown(first, [label(WALNUT + " ok", 2), label(ROOF + " ok", 3), label(TURNIP, 4)])
    assert texts(second, "train") == [COUNCIL, TOMATOES, WALNUT, TURNIP]
    assert texts(second, CORRECTIONS) == [ROOF]


def test_a_correction_of_a_training_text_takes_the_place_of_its_row(parent: Path) -> None:
    folder = grown(parent, [label(COUNCIL.lower(), rude=True)])
    assert [(each.text, each.source, each.labels["rude"]) for each in dataset.load(folder, "train")] == [
        (TOMATOES, "comments", 0.0),
        (COUNCIL.lower(), "feedback", 1.0),
    ]
    assert dataset.describe(folder)["growth"]["rows_gone"] == {"corrected": 1}


def test_a_new_label_of_a_text_replaces_the_older_one(parent: Path) -> None:
    first = grown(parent, [label(WALNUT, 0, rude=True), label(ROOF, 1, rude=True)])
    second = grown(first, [label(WALNUT, 2, rude=False), label(ROOF, 3, rude=False)])
    assert [each.labels["rude"] for each in dataset.load(second, "train")] == [0.0, 0.0, 0.0]
    assert [each.labels["rude"] for each in dataset.load(second, CORRECTIONS)] == [0.0]
    assert [each.decision_id for each in read_additions(second)] == ["decision-2", "decision-3"]


def test_what_is_held_out_is_not_trained_on_in_another_form(parent: Path) -> None:
    """A public row that nearly repeats a held-out correction would teach it."""
    train = parent / "train.jsonl"
    train.write_text(train.read_text() + json.dumps(asdict(row(ROOF + " ok", "train"))) + "\n")
    seal(parent)
    folder = grown(parent, [label(ROOF)])
    assert texts(folder, "train") == [COUNCIL, TOMATOES]
    assert dataset.describe(folder)["growth"]["rows_gone"] == {"nearly repeats a held-out correction": 1}


def seal(folder: Path) -> None:
    """Give a changed dataset the digests of its files."""
    told = json.loads((folder / "dataset.json").read_text())
    files = dataset.digests_of(folder, told["files"])
    (folder / "dataset.json").write_text(json.dumps(told | {"files": files, "digest": dataset.digest_of(files)}))


@pytest.mark.parametrize("erased", ["decision-0", "feedback-0", review_id_of("decision-0", None)])
def test_what_is_erased_is_in_no_file_of_the_new_version(erased: str, parent: Path) -> None:
    first = grown(parent, [label(WALNUT, 0), label(ROOF, 1)])
    second = grown(first, [label(TURNIP, 2)], [erased])
    assert texts(second, "train") == [COUNCIL, TOMATOES, TURNIP]
    assert texts(second, CORRECTIONS) == [ROOF]
    assert all(WALNUT.encode() not in path.read_bytes() for path in second.iterdir())
    assert [each.decision_id for each in read_additions(second)] == ["decision-1", "decision-2"]
    assert dataset.describe(second)["growth"]["rows_gone"] == {"erased": 1}


def test_an_erased_label_does_not_get_in(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT, 0), label(TURNIP, 1)], ["decision-0"])
    assert texts(folder, "train") == [COUNCIL, TOMATOES, TURNIP]


def test_a_held_out_correction_can_be_erased_without_anything_to_add(parent: Path) -> None:
    first = grown(parent, [label(WALNUT, 0), label(ROOF, 1)])
    second = grown(first, [], ["decision-1"])
    assert texts(second, CORRECTIONS) == []
    assert dataset.describe(second)["additions"] == {"train": 1, "corrections": 0}


def test_the_versions_that_still_hold_an_erased_text_can_be_found(parent: Path) -> None:
    first = grown(parent, [label(WALNUT, 0)])
    second = grown(first, [label(TURNIP, 1)], ["decision-0"])
    assert versions_with([parent, first, second], ["decision-0"]) == [first]


def test_a_label_that_decides_nothing_or_has_no_letters_is_left_out(parent: Path) -> None:
    folder = grown(parent, [label(WALNUT, 0), label(CLOWNS, 1, rude=None), label("?!", 2), label("🐀", 3)])
    assert texts(folder, "train")[2:] + texts(folder, CORRECTIONS) == [WALNUT, "🐀"]
    assert dataset.describe(folder)["growth"]["left_out"] == {NO_LETTERS: 1, NOTHING_DECIDED: 1}


def refusal(parent: Path, content: str) -> str:
    """Return the sentence with which a file of labels is refused, without the file's name."""
    path = parent.parent / "accepted.jsonl"
    path.write_text(content)
    with pytest.raises(RecipeError) as refused:
        grow(parent, path, parent.parent / "datasets")
    assert not (parent.parent / "datasets").exists()
    return str(refused.value).replace(str(path), "FILE")


def test_a_category_that_the_dataset_does_not_have_is_named(parent: Path) -> None:
    content = line(label(WALNUT)) + line(label(TURNIP, 1, shrill=True))
    assert refusal(parent, content) == "FILE line 2: the dataset has no category 'shrill'; it has rude, loud"


def test_a_line_that_is_no_label_is_named_without_its_text(parent: Path) -> None:
    assert refusal(parent, "\n{broken").startswith("FILE line 2 is not an accepted label: ")
    message = refusal(parent, line(label(WALNUT)).replace("true", '"yes"'))
    assert message.startswith("FILE line 1 is not an accepted label: Expected `bool | null`, got `str`")
    assert "walnut" not in message


def test_a_review_that_comes_twice_is_refused(parent: Path) -> None:
    content = line(label(WALNUT)) + line(label(WALNUT, 0, rude=False))
    assert "more than once; a review has one label" in refusal(parent, content)


def test_nothing_to_add_is_said_with_the_reasons(parent: Path) -> None:
    assert refusal(parent, "") == "FILE has no accepted labels, so there is nothing to add"
    content = line(label(FERRY))
    assert refusal(parent, content) == f"FILE: nothing to add, for all 1 labels are left out: 1 {NEAR_HELD_OUT}"


def test_a_parent_that_was_changed_is_refused(parent: Path) -> None:
    with (parent / "train.jsonl").open("a") as file:
        file.write("\n")
    assert refusal(parent, line(label(WALNUT))) == (
        f"{parent / 'train.jsonl'} is not the file that dataset.json describes; a version is never changed"
    )


def test_a_folder_that_is_no_dataset_is_refused(parent: Path) -> None:
    (parent / "dataset.json").unlink()
    assert "is no dataset: " in refusal(parent, line(label(WALNUT)))
