"""The commands about labels: a dataset that grows, manifests out and in, and gold items."""

import json
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.datasets import describe
from moderato.acceptance import decode
from moderato.artifact import DatasetRecord, load_manifest
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_schema import table_definition
from moderato.reviews import Status, review_id_of
from moderato.sqlite import SqliteStore
from tests.commands import run
from tests.loops import correct, make_data, make_parent, report_wrong
from tests.made_datasets import CATEGORIES
from tests.made_models import STARTER, make_model
from tests.records import decision
from tests.stores import simulated_dynamo

TEXTS = ("What a wicked guitar solo.", "That goal was sick.", "This cake is to die for.", "You absolute legend, mate.")
MARKER = "zebrafish"


def open_store(data: Path) -> "closing[SqliteStore]":
    """Open the database of a data folder for a block."""
    return closing(SqliteStore(data / "moderato.sqlite3"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with four labels."""
    return make_data(tmp_path / "data", TEXTS)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A dataset to grow."""
    return make_parent(tmp_path / "parent")


def grown(data: Path) -> list[Path]:
    """Return the versions that grew in a data folder."""
    return sorted(path.parent for path in (data / "datasets").glob("*/*/dataset.json"))


def test_accepted_labels_become_a_version_and_are_marked_with_it(data: Path, parent: Path) -> None:
    done = run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (version,) = grown(data)
    assert done.status == 0, done.refusal
    assert "4 of 4 accepted labels taken" in done.output
    assert (version / "test.jsonl").read_bytes() == (parent / "test.jsonl").read_bytes()
    with open_store(data) as store:
        label = store.get_label(review_id_of("d_1", TEXTS[0]))
    assert label is not None
    assert label.dataset == f"made/{describe(version).version}"


def test_the_youngest_of_the_champions_line_is_the_parent_when_none_is_named(
    data: Path, parent: Path, tmp_path: Path
) -> None:
    run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (first,) = grown(data)
    description = describe(first)
    record = DatasetRecord(description.name, description.version, description.digest)
    model = make_model(tmp_path / "model", categories=load_manifest(STARTER).categories, dataset=record)
    with open_store(data) as store:
        correct(store, 5, "Break a leg tonight!", [])
    done = run("dataset", "grow", "--model", model, "--data-dir", data)
    assert "1 of 1 accepted labels taken" in done.output
    (second,) = set(grown(data)) - {first}
    assert json.loads((second / "dataset.json").read_text())["parent"]["digest"] == describe(first).digest


def test_a_version_of_the_same_parent_loses_no_label_that_an_older_one_has(data: Path, parent: Path) -> None:
    run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (first,) = grown(data)
    with open_store(data) as store:
        correct(store, 5, "Break a leg tonight!", [])
    assert "5 of 5" in run("dataset", "grow", "--parent", parent, "--data-dir", data).output
    (second,) = set(grown(data)) - {first}
    assert len((second / "additions.jsonl").read_text().splitlines()) == 5


def test_a_version_that_was_deleted_is_made_again(data: Path, parent: Path) -> None:
    run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (first,) = grown(data)
    digest = describe(first).digest
    shutil.rmtree(first)
    assert "4 of 4" in run("dataset", "grow", "--parent", parent, "--data-dir", data).output
    (again,) = grown(data)
    assert describe(again).digest == digest


def test_where_a_version_has_every_label_nothing_is_added(data: Path, parent: Path) -> None:
    run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (first,) = grown(data)
    done = run("dataset", "grow", "--parent", first, "--data-dir", data)
    assert (done.status, grown(data)) == (0, [first])
    assert "has every accepted label already" in done.output


def test_what_was_erased_since_leaves_the_next_version(data: Path, parent: Path) -> None:
    run("dataset", "grow", "--parent", parent, "--data-dir", data)
    (first,) = grown(data)
    with open_store(data) as store:
        store.delete_decision("d_2")
    assert run("dataset", "grow", "--parent", first, "--data-dir", data).status == 0
    (second,) = set(grown(data)) - {first}
    assert not any(TEXTS[1] in path.read_text() for path in second.iterdir())
    assert any(TEXTS[0] in path.read_text() for path in second.iterdir())


def test_nothing_to_add_is_one_sentence_without_a_path_of_ours(tmp_path: Path, parent: Path) -> None:
    data = make_data(tmp_path / "empty", [])
    said = run("dataset", "grow", "--parent", parent, "--data-dir", data).refusal
    assert said == "the store has no accepted labels, so there is nothing to add"


def test_a_parent_that_is_not_at_hand_has_to_be_named(data: Path, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", categories=load_manifest(STARTER).categories)
    assert "by --parent" in run("dataset", "grow", "--model", model, "--data-dir", data).refusal


def test_a_batch_has_every_settled_label_and_the_ids_of_what_was_erased(data: Path, tmp_path: Path) -> None:
    with open_store(data) as store:
        store.delete_decision("d_1")
    done = run("labels", "batch", tmp_path / "batch", "--data-dir", data)
    assert done.output == f"3 labels written to {tmp_path / 'batch'}.\n"
    lines = [json.loads(line) for line in (tmp_path / "batch" / "accepted.jsonl").read_text().splitlines()]
    assert sorted(line["text"] for line in lines) == sorted(TEXTS[1:])
    assert "d_1" in json.loads((tmp_path / "batch" / "erased.json").read_text())


def test_the_line_that_the_page_shows_is_one_of_a_batch() -> None:
    page = (Path(__file__).parents[1] / "docs" / "schedulers.md").read_text()
    [line] = re.findall(r"^```json\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    shown = decode(line.encode())
    assert json.loads(msgspec.json.encode(shown)) == json.loads(line)


def test_a_batch_of_a_deployed_table_is_read_there(tmp_path: Path) -> None:
    with simulated_dynamo() as client:
        any_client: Any = client
        any_client.create_table(**table_definition("stack-table"))
        correct(DynamoStore(any_client, "stack-table"), 1, TEXTS[0], [])
        place = ("--table", "stack-table", "--region", "eu-central-1", "--data-dir", tmp_path / "none")
        assert "by --model" in run("labels", "batch", tmp_path / "batch", *place).refusal
        assert run("labels", "batch", tmp_path / "batch", *place, "--model", STARTER).status == 0
    assert (tmp_path / "batch" / "accepted.jsonl").stat().st_mode & 0o077 == 0
    (line,) = (tmp_path / "batch" / "accepted.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == TEXTS[0]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["labels batch {folder}", "dataset grow --parent {parent}"])
def test_labels_are_never_settled_again_by_another_model_s_categories(
    command: str, data: Path, parent: Path, tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other")
    words = command.format(folder=tmp_path / "batch", parent=parent).split()
    with open_store(data) as store:
        before = store.list_labels(10, None).records
    said = run(*words, "--model", other, "--data-dir", data).refusal
    assert "the labels here are about toxicity, severe_toxicity" in said
    assert "name the directory of the model that serves here" in said
    with open_store(data) as store:
        assert store.list_labels(10, None).records == before
    assert not (tmp_path / "batch").exists()


@pytest.mark.parametrize("command", [("labels", "export"), ("labels", "batch"), ("labels", "import"), ("gold", "add")])
def test_a_folder_without_a_database_is_one_sentence_and_gets_none(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text('{"text": "hello", "labels": []}\n')
    assert "no database in" in run(*command, file, "--data-dir", tmp_path).refusal
    assert [path.name for path in tmp_path.iterdir()] == ["file.jsonl"]


def test_exported_labels_come_back_in_on_another_machine(data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "labels.manifest"
    assert "4 labels written" in run("labels", "export", manifest, "--data-dir", data).output
    other = tmp_path / "other"
    other.mkdir()
    with open_store(other) as store:
        for number, text in enumerate(TEXTS, start=1):
            made = decision(decision_id=f"d_{number}", text=text)
            store.record_decisions([made])
            report_wrong(store, made, number)
    done = run("labels", "import", manifest, "--data-dir", other)
    assert done.output.startswith("4 labels settled, 0 texts in dispute")
    with open_store(other) as store:
        label = store.get_label(review_id_of("d_1", TEXTS[0]))
    assert label is not None
    assert (label.method, label.values) == ("groundtruth", dict.fromkeys(CATEGORIES, False))
    assert "0 labels settled, 0 texts in dispute, 0 answered by one annotator only, 4 not open" in (
        run("labels", "import", manifest, "--data-dir", other).output
    )


def test_lines_that_cannot_be_trusted_are_listed_with_their_reason(data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "labels.manifest"
    run("labels", "export", manifest, "--data-dir", data)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    with open_store(data) as store:
        store.delete_decision("d_4")
    lines[0]["source"] = MARKER
    lines[1]["item-id"] = "r_unknown"
    lines[2]["moderation-metadata"]["job-name"] = "labeling-job/another"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines) + f'{{"source": "{MARKER}"\n')
    done = run("labels", "import", manifest, "--data-dir", data)
    assert done.status == 1
    assert "5 lines in quarantine" in done.output
    for reason in ("changed text", "unknown id", "foreign job", "gone", "not JSON"):
        assert reason in done.output
    assert MARKER not in done.output


def test_an_import_ends_well_when_some_of_its_lines_can_be_trusted(data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "labels.manifest"
    run("labels", "export", manifest, "--data-dir", data)
    manifest.write_text(manifest.read_text() + "{\n")
    done = run("labels", "import", manifest, "--data-dir", data)
    assert "4 not open, 1 lines in quarantine" in done.output
    assert done.status == 0


def test_what_one_annotator_says_is_no_label_and_what_they_dispute_goes_to_an_adjudicator(
    data: Path, tmp_path: Path
) -> None:
    manifest, other = tmp_path / "labels.manifest", tmp_path / "other"
    run("labels", "export", manifest, "--data-dir", data)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()][:2]
    for line, confidence in zip(lines, (0.0, 0.5), strict=True):
        line["moderation"] = [0]
        line["moderation-metadata"] |= {"class-map": {"0": "insult"}, "confidence-map": {"0": confidence}}
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    other.mkdir()
    with open_store(other) as store:
        for number, text in enumerate(TEXTS[:2], start=1):
            made = decision(decision_id=f"d_{number}", text=text)
            store.record_decisions([made])
            report_wrong(store, made, number)
    done = run("labels", "import", manifest, "--data-dir", other)
    assert done.output.startswith("0 labels settled, 1 texts in dispute, 1 answered by one annotator only")
    with open_store(other) as store:
        statuses = [store.get_review(review_id_of(f"d_{number}", None)).status for number in (1, 2)]
    assert statuses == [Status.WAITING, Status.DISPUTED]


def test_a_gold_item_is_no_review_to_label(data: Path, tmp_path: Path) -> None:
    gold, manifest = tmp_path / "gold.jsonl", tmp_path / "labels.manifest"
    gold.write_text('{"text": "You are a stupid fool.", "labels": ["insult"]}\n')
    run("gold", "add", gold, "--data-dir", data)
    run("labels", "export", manifest, "--data-dir", data)
    with open_store(data) as store:
        (item,) = store.list_reviews(Status.GOLD, 10).records
    line = json.loads(manifest.read_text().splitlines()[0]) | {"item-id": item.review_id, "source": item.text}
    manifest.write_text(json.dumps(line) + "\n")
    assert "unknown id" in run("labels", "import", manifest, "--data-dir", data).output


def test_gold_items_look_like_other_reviews_and_are_added_once(data: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"text": "You are a stupid fool.", "labels": ["insult"]}\n\n{"text": "Hello.", "labels": []}\n')
    assert "2 gold items added, 0 were there" in run("gold", "add", gold, "--data-dir", data).output
    assert "0 gold items added, 2 were there" in run("gold", "add", gold, "--data-dir", data).output
    with open_store(data) as store:
        items = {item.text: item for item in store.list_reviews(Status.GOLD, 10).records}
        insult = items["You are a stupid fool."]
        assert insult.gold == dict.fromkeys(CATEGORIES, False) | {"insult": True}
        assert insult.scores.keys() == set(CATEGORIES)
        assert insult.decision_id is not None
        assert store.get_decision(insult.decision_id).text == insult.text


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f'{{"text": "{MARKER}", "labels": ["{MARKER}"]}}', "has an unknown label; the categories are toxicity"),
        ('{"text": " ", "labels": []}', "the text is empty"),
        ('{"text": "", "labels": []}', "with a text of 1 to 20,000"),
        (f'{{"text": "{MARKER}"}}', "is not {"),
        (f'{{"text": "{MARKER}", "labels": [], "{MARKER}": 1}}', "is not {"),
        (f'{{"text": "{MARKER}"', "is not JSON in UTF-8"),
        ("[" * 5000, "is not"),
    ],
)
def test_a_bad_gold_line_is_named_by_its_number_and_nothing_is_added(
    line: str, why: str, data: Path, tmp_path: Path
) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text(f'{{"text": "fine", "labels": []}}\n{line}\n')
    said = run("gold", "add", gold, "--data-dir", data).refusal
    assert "gold.jsonl line 2" in said
    assert why in said
    assert MARKER not in said
    with open_store(data) as store:
        assert store.list_reviews(Status.GOLD, 10).records == []


def test_files_that_cannot_be_read_or_written_are_named(data: Path, tmp_path: Path) -> None:
    assert "cannot be read" in run("labels", "import", tmp_path / "none", "--data-dir", data).refusal
    assert "cannot be read" in run("gold", "add", tmp_path / "none", "--data-dir", data).refusal
    assert "cannot be written" in run("labels", "export", tmp_path / "none" / "x", "--data-dir", data).refusal
    (tmp_path / "empty").touch()
    assert "cannot be written" in run("labels", "batch", tmp_path / "empty", "--data-dir", data).refusal
    assert "has no items" in run("gold", "add", tmp_path / "empty", "--data-dir", data).refusal
