"""The trace: from a model back to the decisions that made it, and from a correction on to the models."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.datasets import describe
from local.lineage import Lineage
from moderato.artifact import DatasetRecord
from moderato.reviews import review_id_of
from moderato.sqlite import SqliteStore
from tests.commands import run
from tests.loops import make_data, make_parent
from tests.made_models import make_model

TEXTS = ("What a wicked guitar solo.", "That goal was sick.", "This cake is to die for.", "You absolute legend, mate.")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with four labels in a grown dataset, and a model that was trained on it; nobody changes it."""
    whole = tmp_path_factory.mktemp("loop")
    data = make_data(whole / "data", TEXTS)
    done = run("dataset", "grow", "--parent", make_parent(whole / "parent"), "--data-dir", data)
    assert done.status == 0, done.refusal
    make_model(data / "models" / "made-1.0.0", dataset=record_of(version_in(data)), parent="f" * 64)
    return whole


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "home"))


def version_in(data: Path) -> Path:
    """Return the folder of the only grown version."""
    (path,) = (data / "datasets").glob("*/*/dataset.json")
    return path.parent


def record_of(folder: Path) -> DatasetRecord:
    """Return what a manifest says of a dataset."""
    description = describe(folder)
    return DatasetRecord(description.name, description.version, description.digest)


def trace(what: str | Path, home: Path) -> Any:
    """Return a trace as JSON."""
    done = run("trace", what, "--json", "--data-dir", home / "data")
    assert done.status == 0, done.refusal
    return json.loads(done.output)


def erase(home: Path, decision_id: str) -> None:
    """Erase a decision, as its author may ask."""
    with closing(SqliteStore(home / "data" / "moderato.sqlite3")) as store:
        store.delete_decision(decision_id)


def test_a_model_leads_back_to_labels_reviews_annotations_feedback_and_decisions(home: Path) -> None:
    found = trace(home / "data" / "models" / "made-1.0.0", home)
    assert (found["name"], found["parent"]) == ("made", "f" * 64)
    version, parent = found["datasets"]
    assert (parent["name"], "folder" in parent) == ("made", False)
    assert version["folder"] == str(version_in(home / "data"))
    label = next(each for each in version["labels"] if each["decision"]["decision_id"] == "d_2")
    assert label["review_id"] == review_id_of("d_2", TEXTS[1])
    assert (label["reason"], label["status"], label["method"]) == ("disagreement", "settled", "agreement")
    assert label["values"]["insult"] is False
    assert [(each["annotator"], each["labels"]) for each in label["answers"]] == [("ana", []), ("ben", []), ("cho", [])]
    assert [(each["feedback_id"], each["moderator"], each["labels"]) for each in label["feedback"]] == [
        ("f_2", "mia", {"insult": False})
    ]
    assert (label["decision"]["model"], label["decision"]["action"]) == ("starter 1.0.0", "review")
    assert len(version["labels"]) == 4


def test_the_versions_that_a_version_grew_from_follow_as_far_as_they_are_at_hand(home: Path) -> None:
    beside = make_model(home / "run" / "model", "2.0.0", dataset=record_of(version_in(home / "data")))
    folders = [each.get("folder") for each in trace(beside, home)["datasets"]]
    assert folders == [str(version_in(home / "data")), None]
    (home / "parent").rename(home / "run" / "dataset")
    folders = [each.get("folder") for each in trace(beside, home)["datasets"]]
    assert folders == [str(version_in(home / "data")), str(home / "run" / "dataset")]


@pytest.mark.parametrize("identifier", ["d_3", "f_3", review_id_of("d_3", TEXTS[2])])
def test_a_record_leads_on_to_datasets_and_models(identifier: str, home: Path) -> None:
    found = trace(identifier, home)
    assert found["label"]["decision"]["decision_id"] == "d_3"
    assert [each["version"] for each in found["datasets"]] == [describe(version_in(home / "data")).version]
    assert [(each["name"], each["version"]) for each in found["models"]] == [("made", "1.0.0")]


def test_what_is_erased_is_shown_as_erased_and_its_text_nowhere(home: Path) -> None:
    erase(home, "d_1")
    found = trace("d_1", home)
    label = found["label"]
    assert (label["state"], label["decision"]["state"], label["feedback"][0]["state"]) == ("erased",) * 3
    assert "answers" not in label
    model = run("trace", home / "data" / "models" / "made-1.0.0", "--data-dir", home / "data").output
    assert "erased" in model
    assert not any(text in model for text in TEXTS)


def test_people_read_a_tree(home: Path) -> None:
    said = run("trace", home / "data" / "models" / "made-1.0.0", "--data-dir", home / "data").output
    for expected in (
        "model made 1.0.0",
        "4 labels added",
        "label: none",
        "annotation of ben: none",
        "mia: none",
        "d_4",
    ):
        assert expected in said
    few = run("trace", home / "data" / "models" / "made-1.0.0", "--labels", "1", "--data-dir", home / "data").output
    assert "... and 3 more labels" in few


def test_no_line_of_the_tree_is_cut(home: Path) -> None:
    model = home / "data" / "models" / "made-1.0.0"
    wide, narrow = (run("trace", model, "--data-dir", home / "data", columns=columns) for columns in (400, 40))
    assert "label: none" in wide.output
    assert narrow.output == wide.output


def test_feedback_that_nobody_annotated_yet_leads_to_its_review(tmp_path: Path) -> None:
    from moderato.reviews import ReviewReason, review_of
    from tests.records import decision, feedback

    made = decision(decision_id="d_9")
    review = review_of(made, ReviewReason.DISAGREEMENT, made.created)
    with closing(SqliteStore(tmp_path / "moderato.sqlite3")) as store:
        store.record_decisions([made])
        store.record_feedback(feedback(feedback_id="f_9", decision_id="d_9", review_id=review.review_id), "x", review)
    found = json.loads(run("trace", "f_9", "--json", "--data-dir", tmp_path).output)
    assert (found["label"]["status"], found["datasets"], found["models"]) == ("waiting", [], [])


@pytest.mark.parametrize("identifier", ["d_none", "f_none", "r_none"])
def test_an_unknown_id_is_one_sentence(identifier: str, tmp_path: Path) -> None:
    assert f"under the id {identifier}" in run("trace", identifier, "--data-dir", tmp_path).refusal


def test_what_is_no_id_is_told_what_would_be(tmp_path: Path) -> None:
    said = run("trace", "nonsense", "--data-dir", tmp_path / "none").refusal
    assert "neither a model directory nor the id of" in said
    assert not (tmp_path / "none").exists()


def test_a_model_can_be_traced_without_a_data_folder(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    said = run("trace", model, "--data-dir", tmp_path / "none").output
    assert "dataset made 1  not at hand" in said
    assert not (tmp_path / "none").exists()


def test_a_version_that_says_it_is_its_own_parent_ends_the_walk(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "data" / "datasets" / "made" / "1")
    description = json.loads((folder / "dataset.json").read_text())
    record = {key: description[key] for key in ("name", "version", "digest")}
    (folder / "dataset.json").write_text(json.dumps(description | {"parent": record}))
    lineage = Lineage.find(tmp_path / "data", builds=tmp_path)
    assert len(lineage.line_of(description["digest"])) == 1
    assert lineage.youngest(description["digest"]) is not None


def test_additions_that_cannot_be_read_are_one_sentence(home: Path) -> None:
    (version_in(home / "data") / "additions.jsonl").write_text('{"zebrafish": ')
    said = run("trace", "d_1", "--data-dir", home / "data").refusal
    assert "additions.jsonl cannot be read" in said
    assert "zebrafish" not in said


def test_json_and_tree_tell_of_the_same_labels(home: Path) -> None:
    model = home / "data" / "models" / "made-1.0.0"
    said = run("trace", model, "--data-dir", home / "data").output
    for label in trace(model, home)["datasets"][0]["labels"]:
        assert label["review_id"] in said
    assert msgspec.json.encode(trace("d_1", home)["label"])
