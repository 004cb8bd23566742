"""`moderato dataset show`: what is in a dataset, for people and for programs, and what is wrong with a folder."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.dataset_report import read_report
from local.datasets import UnreadableDataset

ROOT = Path(__file__).parents[1]
MARKER = "zebrafish"
SPLITS = ("train", "validation", "test")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def show(*arguments: str | Path, folder: Path = ROOT, columns: int = 100) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, on a terminal of that width."""
    settings = os.environ | {"PYTHONPATH": str(ROOT / "functions"), "NO_COLOR": "1", "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "local", "dataset", "show", *map(str, arguments)]
    return subprocess.run(command, env=settings, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def refusal(folder: Path) -> str:
    """Return why a folder cannot be read: one sentence, and nothing of a text."""
    with pytest.raises(UnreadableDataset) as refused:
        read_report(folder)
    assert "\n" not in str(refused.value)
    assert MARKER not in str(refused.value)
    return str(refused.value)


def row(text: str, split: str = "train", source: str = "forum", **labels: float | None) -> dict[str, Any]:
    """A row of two categories, neither of which holds unless said."""
    named = {"insult": 0.0, "threat": 0.0} | labels
    return {"id": str(len(text)), "text": text, "labels": named, "source": source, "split": split, "natural": True}


def write(folder: Path, rows: list[dict[str, Any]], **described: object) -> Path:
    """Write a dataset as training does, and return its folder."""
    folder.mkdir(parents=True)
    for split in SPLITS:
        lines = [json.dumps(each) + "\n" for each in rows if each["split"] == split]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    files = {f"{split}.jsonl": hashlib.sha256((folder / f"{split}.jsonl").read_bytes()).hexdigest() for split in SPLITS}
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    description = {
        "name": "sample",
        "version": digest[:12],
        "digest": digest,
        "files": files,
        "rows": {split: sum(each["split"] == split for each in rows) for split in SPLITS},
        "sources": [{"name": "forum", "licence": "CC0"}, {"name": "chat", "licence": "MIT"}],
    }
    (folder / "dataset.json").write_text(json.dumps(description | described))
    return folder


def report(folder: Path) -> Any:
    """Return what is said of a dataset to a program."""
    return msgspec.to_builtins(read_report(folder))


def test_labels_are_counted_by_category_and_split(tmp_path: Path) -> None:
    rows = [
        row("a one", insult=1.0),
        row("a two", insult=0.5),
        row("a three", insult=0.25),
        row("a four", insult=None),
        row("a five", "test", threat=1.0),
    ]
    insult = report(write(tmp_path / "d", rows))["categories"]["insult"]
    assert insult["train"] == {"positives": 2, "negatives": 1, "unknown": 1, "soft": 2}
    assert insult["validation"] == {"positives": 0, "negatives": 0, "unknown": 0, "soft": 0}
    assert insult["test"] == {"positives": 0, "negatives": 1, "unknown": 0, "soft": 0}


def test_co_occurrence_is_a_share_of_the_positives_whose_other_label_is_known(tmp_path: Path) -> None:
    rows = [
        row("a one", insult=1.0, threat=1.0),
        row("a two", insult=1.0),
        row("a three", insult=1.0),
        row("a four", insult=1.0, threat=None),
    ]
    shares = report(write(tmp_path / "d", rows))["co_occurrence"]
    assert shares["insult"] == {"insult": 1.0, "threat": 0.3333}
    assert shares["threat"] == {"insult": 1.0, "threat": 1.0}


def test_lengths_are_those_of_texts_that_there_are(tmp_path: Path) -> None:
    rows = [row(" ".join(WORDS[:count])) for count in range(1, 11)]
    train = report(write(tmp_path / "d", rows))["splits"]["train"]
    assert train["rows"] == 10
    assert train["words"] == {"median": 5, "p95": 10, "longest": 10}
    assert train["characters"] == {"median": 23, "p95": 48, "longest": 48}


def test_a_split_without_rows_has_no_lengths(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [row("a one")])
    assert report(folder)["splits"]["test"] == {"rows": 0, "characters": None, "words": None}


def test_a_source_says_what_it_gave_and_what_was_left_out(tmp_path: Path) -> None:
    rows = [row("a one", insult=1.0), row("a two", "test"), row("a three") | {"natural": False}]
    folder = write(tmp_path / "d", rows, duplicates_removed={"chat": 5}, near_duplicates_removed={"forum": 2})
    sources = report(folder)["sources"]
    assert sources["forum"] == {
        "rows": 3,
        "natural": 2,
        "licence": "CC0",
        "positives": {"insult": 1, "threat": 0},
        "duplicates_removed": 0,
        "near_duplicates_removed": 2,
    }
    assert (sources["chat"]["rows"], sources["chat"]["duplicates_removed"]) == (0, 5)


def test_what_nobody_counted_is_not_shown_as_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [row("a one")])
    assert report(folder)["sources"]["forum"]["duplicates_removed"] is None
    assert report(folder)["sources"]["chat"]["near_duplicates_removed"] is None


def test_copies_in_two_splits_are_counted_whatever_their_case_and_punctuation(tmp_path: Path) -> None:
    rows = [row("So it is."), row("SO - it\u200b is!", "test"), row("So it was.", "test"), row("So it was", "test")]
    assert report(write(tmp_path / "d", rows))["texts_in_several_splits"] == 1


def test_documents_are_counted_by_split(tmp_path: Path) -> None:
    rows = [row(text) | {"document": document} for text, document in (("a b", "x"), ("c d", "x"), ("e f", "y"))]
    folder = write(tmp_path / "d", rows)
    assert report(folder)["documents"] == {"train": 2, "validation": 0, "test": 0}


def test_people_read_tables_that_fit_their_terminal(tmp_path: Path) -> None:
    rows = [row(f"{MARKER} {word}", insult=1.0, threat=number % 2) for number, word in enumerate(WORDS)]
    done = show(write(tmp_path / "d", rows))
    assert done.returncode == 0
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 100
    for word in ("sample", "verified", "insult", "threat", "0.500", "forum", "CC0", "Texts in more than one split: 0"):
        assert word in done.stdout
    assert MARKER not in done.stdout


def test_many_categories_fit_too(tmp_path: Path) -> None:
    names = [f"a_category_with_a_long_name_{number}" for number in range(40)]
    rows = [
        row(word) | {"labels": {name: float(index % 7 == number % 7) for index, name in enumerate(names)}}
        for number, word in enumerate(WORDS)
    ]
    done = show(write(tmp_path / "d", rows))
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_without_a_folder_the_datasets_built_here_are_listed(tmp_path: Path) -> None:
    assert "make train" in show(folder=tmp_path).stdout
    write(tmp_path / "build" / "mine" / "dataset", [row("a one")])
    listed = show(folder=tmp_path).stdout
    assert "build/mine/dataset" in listed
    assert "sample" in listed
    [found] = json.loads(show("--json", folder=tmp_path).stdout)
    assert found["folder"] == "build/mine/dataset"


def test_a_name_out_of_a_file_neither_drives_the_terminal_nor_is_markup(tmp_path: Path) -> None:
    folder = write(tmp_path / "build" / "mine" / "dataset", [row("a one")], name="na\x1b[2Jme[/bold]")
    for said in (show(folder).stdout, show(folder=tmp_path).stdout):
        assert "na [2Jme[/bold]" in said


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert f"no folder {tmp_path / 'none'}" in refusal(tmp_path / "none")
    assert "cannot be read: File name too long" in refusal(tmp_path / ("n" * 300))


def test_what_cannot_be_shown_is_one_sentence_on_standard_error(tmp_path: Path) -> None:
    done = show(tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("moderato: no folder")
    assert done.stderr.count("\n") == 1


def test_a_program_reads_json(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [row("a one", insult=1.0)])
    assert json.loads(show(folder, "--json").stdout) == report(folder)


def test_a_folder_without_a_description_is_one_sentence(tmp_path: Path) -> None:
    assert "no dataset.json" in refusal(tmp_path)


@pytest.mark.parametrize("content", [MARKER, "[]", '{"name": "sample"}', '{"name": "\\ud800"}', ""])
def test_a_description_that_is_none_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(content)
    assert f"{tmp_path / 'dataset.json'} cannot be read: " in refusal(tmp_path)


def test_a_file_that_was_changed_is_named_with_both_digests(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [row("a one", "test")])
    (folder / "test.jsonl").write_text(json.dumps(row(MARKER, "test")) + "\n")
    said = refusal(folder)
    assert "test.jsonl is not the file that dataset.json describes" in said
    assert hashlib.sha256((folder / "test.jsonl").read_bytes()).hexdigest()[:12] in said


def test_a_digest_that_is_not_that_of_the_files_is_named(tmp_path: Path) -> None:
    assert "dataset.json: digest starts with 000000000000" in refusal(write(tmp_path / "d", [], digest="0" * 64))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [])
    (folder / "validation.jsonl").unlink()
    assert "validation.jsonl cannot be read: No such file" in refusal(folder)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f'{{"text": "{MARKER}', "malformed"),
        (json.dumps({"text": MARKER}), "missing required field `id`"),
        (json.dumps(row(MARKER, insult=1.5)), "<= 1"),
        (json.dumps(row(MARKER) | {"labels": {MARKER: MARKER}}), "Expected `float | null`"),
        (json.dumps(row(MARKER, "test")), "another split"),
        ("", "truncated"),
    ],
)
def test_a_line_that_is_no_row_is_named_by_file_and_number(line: str, why: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [], files={})
    (folder / "validation.jsonl").write_text(json.dumps(row("fine", "validation")) + "\n" + line + "\n")
    said = refusal(folder)
    assert "validation.jsonl line 2 is" in said
    assert why in said


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [], files={})
    (folder / "train.jsonl").write_bytes(json.dumps(row("fine")).replace("fine", "fi\xefne").encode("latin-1"))
    assert "train.jsonl line 1 is not a row: not UTF-8" in refusal(folder)


def test_a_dataset_without_digests_is_read_and_called_unverified(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", [row("a one")], files={})
    assert report(folder)["verified"] is False
    said = show(folder).stdout
    assert "not verified" in said
    assert "copies unknown, near copies of held-out texts unknown" in said
