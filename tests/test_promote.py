"""Promotion: champion against challenger on the same texts, what comes of it, and the command that does it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moderato.artifact import Manifest, load_manifest
from moderato.errors import BrokenModel
from tests.made_datasets import FRIENDLY, HARMFUL, held_out_rows, row, write_dataset
from tests.made_models import STARTER, change_starter, make_model, renamed
from tests.test_local_cli import moderato, refusal
from training.gate import Comparison, Figure
from training.gate_behaviour import latency_figure
from training.gate_pair import Pair
from training.promote import CannotCompare, Gate, Sampling, compare, report, verdict

FEW = Sampling(test=None, corrections=None, identity=1, templates=1, disguised=1, timed=3)
PATIENT = Gate(latency=1000.0)
"""Which of two equal models is slower on three texts is the machine's doing; the time has a test of its own."""


def blind(_directory: Path, manifest: Manifest) -> Manifest:
    """Make a model that hardly ever flags: its scores are what they were, its thresholds out of reach."""
    categories = tuple(msgspec.structs.replace(each, review=0.9999, block=None) for each in manifest.categories)
    return msgspec.structs.replace(manifest, version="2.0.2", categories=categories)


def keen(_directory: Path, manifest: Manifest) -> Manifest:
    """Make a model that calls fewer texts an insult: the starter model is wrong about one of the made texts.

    Its windows overlap less, so a long text takes it half the time: a gate that times it is not a matter of chance.
    """
    categories = tuple(
        msgspec.structs.replace(each, review=0.5) if each.name == "insult" else each for each in manifest.categories
    )
    return msgspec.structs.replace(manifest, version="2.0.6", categories=categories, overlap_tokens=8)


def jumpy(_directory: Path, manifest: Manifest) -> Manifest:
    """Make a model that flags nearly everything."""
    categories = tuple(msgspec.structs.replace(each, review=0.0001, block=None) for each in manifest.categories)
    return msgspec.structs.replace(manifest, version="2.0.3", categories=categories)


def turned(directory: Path, manifest: Manifest) -> Manifest:
    """Make a model whose scores rank texts the wrong way round; its golden answers are its own."""
    categories = []
    for each in manifest.categories:
        calibration = msgspec.structs.replace(each.calibration, scale=-each.calibration.scale)
        categories.append(msgspec.structs.replace(each, calibration=calibration))
    _write_golden(directory, msgspec.structs.replace(manifest, categories=tuple(categories)))
    return msgspec.structs.replace(manifest, version="2.0.4", categories=tuple(categories))


def forgetful(directory: Path, manifest: Manifest) -> Manifest:
    """Make a model whose second golden answer is not what it answers: the first alone is checked when it loads."""
    path = directory / "golden.jsonl"
    lines = path.read_text().splitlines()
    golden = json.loads(lines[1])
    lines[1] = json.dumps(golden | {"scores": {name: 1 - score for name, score in golden["scores"].items()}})
    path.write_text("\n".join(lines) + "\n")
    return msgspec.structs.replace(manifest, version="2.0.5")


def _write_golden(directory: Path, manifest: Manifest) -> None:
    from moderato.scorer import Scorer

    scorer, path = Scorer.open(directory, manifest), directory / "golden.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({"text": text, "scores": scorer.score(text).scores}) + "\n" for text in texts))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and challengers of every kind."""
    home = tmp_path_factory.mktemp("promotion")
    write_dataset(home / "dataset", held_out_rows())
    rude = row("You people never learn.", "test", ("toxicity",))
    write_dataset(home / "harder", [*held_out_rows(), rude])
    write_dataset(home / "longer", [*held_out_rows(), rude, *long_rows()])
    changes = {"same": renamed("2.1.0"), "blind": blind, "keen": keen}
    changes |= {"jumpy": jumpy, "turned": turned, "forgetful": forgetful}
    for name, change in changes.items():
        change_starter(home / name, change)
    return home


def long_rows() -> list[dict[str, Any]]:
    """Return harmless texts of some 400 tokens, more than there are others: the median time is that of one of them."""
    return [row(" ".join([f"Page {page}.", *FRIENDLY * 4]), "test") for page in range(22)]


def compared(home: Path, name: str, dataset: Path | None = None) -> Comparison:
    """Compare a challenger with the starter model."""
    return compare(STARTER, home / name, dataset or home / "dataset", sampling=FEW, gate=PATIENT)


def figure(comparison: Comparison, name: str) -> Figure:
    """Return a figure by its name."""
    return next(each for each in comparison.figures if each.name == name)


def failed(comparison: Comparison) -> set[str]:
    """Return the figures that are not good enough."""
    return {each.name for each in comparison.figures if not each.passed}


def with_corrections(
    folder: Path, corrections: Sequence[dict[str, Any]], reversals: Mapping[str, Sequence[str]] | None = None
) -> Path:
    """Write a dataset that has held-out corrections, with the categories of each text that a label overturned."""
    additions = [_addition(each["id"], (reversals or {}).get(each["text"], ())) for each in corrections]
    return write_dataset(folder, held_out_rows(), {"corrections.jsonl": corrections, "additions.jsonl": additions})


def _addition(row_id: str, reversed_categories: Sequence[str]) -> dict[str, Any]:
    return {
        "row": row_id, "split": "corrections", "review_id": f"r_{row_id}", "decision_id": None, "feedback_ids": [],
        "annotators": ["ann", "ben", "cem"], "method": "agreement", "values": {},
        "created": "2026-11-21T12:00:00+00:00", "reversed": list(reversed_categories),
    }  # fmt: skip


def test_a_model_that_is_better_in_one_figure_and_worse_in_none_may_take_the_place(home: Path) -> None:
    found = compared(home, "keen", home / "harder")
    assert failed(found) == set()
    better = figure(found, "figures in which it is better")
    assert (better.challenger, better.limit) == (1.0, "at least 1 of 2")


def test_a_model_that_is_only_as_good_may_not(home: Path) -> None:
    found = compared(home, "same")
    assert failed(found) == {"figures in which it is better"}
    assert verdict(found).reasons == ("figures in which it is better: not at least 1 of 2.",)
    mean = figure(found, "mean ROC AUC")
    assert (mean.champion, mean.interval, mean.rows) == (mean.challenger, (0.0, 0.0), 20)
    assert {each.name for each in found.figures} >= {
        "macro-F1",
        "ROC AUC, toxicity",
        "ROC AUC, threat",
        "friendly identity sentences flagged",
        "disguised texts still flagged",
        "golden answers",
        "latency, ms for a text",
        "size, MB",
    }


def test_a_model_that_flags_nothing_loses_by_its_f1(home: Path) -> None:
    found = compared(home, "blind")
    assert failed(found) == {"macro-F1", "figures in which it is better"}
    assert figure(found, "macro-F1").challenger == 0.0
    assert verdict(found).promoted is False
    assert verdict(found).reasons[0].startswith("macro-F1: 0 against the champion's ")
    assert "tricks were not compared" in " ".join(found.notes)


def test_a_model_that_flags_friendly_phrases_loses_by_them(home: Path) -> None:
    found = compared(home, "jumpy")
    assert "friendly identity sentences flagged" in failed(found)
    assert figure(found, "friendly identity sentences flagged").challenger == 1.0


def test_a_model_that_ranks_wrongly_loses_by_its_areas(home: Path) -> None:
    lost = failed(compared(home, "turned"))
    assert {"mean ROC AUC", "ROC AUC, toxicity"} <= lost


def test_a_model_that_does_not_give_its_golden_answers_loses(home: Path) -> None:
    assert failed(compared(home, "forgetful")) == {"golden answers", "figures in which it is better"}


def test_held_out_corrections_count_by_action_and_by_labels(home: Path, tmp_path: Path) -> None:
    unseen = ("You are a stupid, useless fool.", "Nobody likes you, loser.")
    corrections = [row(text, "corrections", ("toxicity", "insult"), natural=False) for text in unseen]
    found = compared(home, "blind", with_corrections(tmp_path / "dataset", corrections))
    action = figure(found, "held-out corrections, action right")
    assert (action.champion, action.challenger, action.rows, action.passed) == (1.0, 0.0, 2, False)
    labels = figure(found, "held-out corrections, labels right")
    assert labels.challenger == pytest.approx(4 / 6, abs=1e-4)
    assert "past reversals right" not in {each.name for each in found.figures}


def test_many_past_reversals_ask_for_more_than_the_same(home: Path, tmp_path: Path) -> None:
    # The champion calls each of these toxic, and annotators said that they are fine.
    texts = [text for text, _ in HARMFUL]
    corrections = [row(text, "corrections", natural=False) for text in texts] * 2
    dataset = with_corrections(tmp_path / "dataset", corrections, dict.fromkeys(texts, ("toxicity",)))
    same = figure(compared(home, "same", dataset), "past reversals right")
    assert (same.champion, same.challenger, same.rows) == (0.0, 0.0, 20)
    assert (same.limit, same.passed) == ("higher", False)
    assert figure(compared(home, "blind", dataset), "past reversals right").passed is True


def test_a_past_reversal_counts_in_the_category_that_was_overturned_alone(home: Path, tmp_path: Path) -> None:
    # The starter model says insult, which is right, and toxicity, which annotators overturned.
    text = "You are a stupid fool indeed."
    dataset = with_corrections(
        tmp_path / "dataset", [row(text, "corrections", ("insult",), natural=False)], {text: ("toxicity",)}
    )
    same = figure(compared(home, "same", dataset), "past reversals right")
    assert (same.champion, same.rows, same.limit, same.passed) == (0.0, 1, "not lower", True)


def test_what_nobody_decided_of_a_correction_is_not_counted(home: Path, tmp_path: Path) -> None:
    correction = row("You are a stupid fool indeed.", "corrections", ("insult",), natural=False)
    correction["labels"] |= dict.fromkeys(("toxicity", "severe_toxicity", "identity_attack", "profanity", "threat"))
    found = compared(home, "same", with_corrections(tmp_path / "dataset", [correction]))
    assert figure(found, "held-out corrections, labels right").champion == 1.0


def test_texts_that_are_not_of_the_natural_mix_are_no_part_of_the_test(home: Path, tmp_path: Path) -> None:
    extra = [row("Some more of the same.", "test", natural=False)]
    found = compared(home, "same", write_dataset(tmp_path / "dataset", [*held_out_rows(), *extra]))
    assert figure(found, "mean ROC AUC").rows == 20


def test_a_category_of_one_class_is_said_to_be_unmeasured(home: Path, tmp_path: Path) -> None:
    rows = [each for each in held_out_rows() if not each["labels"]["threat"]]
    found = compared(home, "same", write_dataset(tmp_path / "dataset", rows))
    assert "ROC AUC, threat" not in {each.name for each in found.figures}
    assert "threat: the held-out texts are of one class, so nothing was measured." in found.notes


def test_the_champion_itself_is_no_challenger(home: Path) -> None:
    with pytest.raises(CannotCompare, match="is the champion itself"):
        compare(STARTER, STARTER, home / "dataset", sampling=FEW)


def test_models_of_other_categories_are_not_compared(home: Path, tmp_path: Path) -> None:
    def rename(directory: Path, manifest: Manifest) -> Manifest:
        golden = directory / "golden.jsonl"
        golden.write_text(golden.read_text().replace('"threat"', '"menace"'))
        other = msgspec.structs.replace(manifest.categories[-1], name="menace")
        return msgspec.structs.replace(manifest, categories=(*manifest.categories[:-1], other))

    other = change_starter(tmp_path / "other", rename)
    with pytest.raises(CannotCompare, match=r"model of .*menace, the champion a .*threat: only models of the same"):
        compare(STARTER, other, home / "dataset", sampling=FEW)


def test_a_broken_challenger_is_not_compared(home: Path, tmp_path: Path) -> None:
    broken = change_starter(tmp_path / "broken", renamed("2.0.6"))
    (broken / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(BrokenModel, match=r"model\.onnx is not the file"):
        compare(STARTER, broken, home / "dataset", sampling=FEW)


def test_a_challenger_whose_graph_is_none_is_not_compared(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match=r"model\.onnx is no graph that can be run"):
        compare(STARTER, make_model(tmp_path / "made"), home / "dataset", sampling=FEW)


def forget(folder: Path, name: str) -> None:
    """Take a file's digest out of the description of its dataset."""
    path = folder / "dataset.json"
    description = json.loads(path.read_text())
    del description["files"][name]
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "is not a dataset"),
        (lambda folder: (folder / "dataset.json").write_text("[]"), "is not a dataset"),
        (lambda folder: (folder / "test.jsonl").unlink(), r"test\.jsonl cannot be read"),
        (lambda folder: (folder / "test.jsonl").write_text("{}"), r"test\.jsonl is not the file that dataset\.json"),
        (lambda folder: (folder / "corrections.jsonl").write_text("{}"), r"corrections\.jsonl is not the file"),
        (lambda folder: (folder / "additions.jsonl").write_text("{}"), r"additions\.jsonl is not the file"),
        (lambda folder: forget(folder, "corrections.jsonl"), r"corrections\.jsonl is none of the files"),
    ],
)
def test_a_dataset_that_is_not_whole_is_named(home: Path, tmp_path: Path, spoil: Any, why: str) -> None:
    dataset = with_corrections(tmp_path / "dataset", [row("Fine.", "corrections")])
    spoil(dataset)
    with pytest.raises(CannotCompare, match=why):
        compared(home, "same", dataset)


def test_a_dataset_without_natural_texts_measures_nothing(home: Path, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", [row("Fine.", "test", natural=False)])
    with pytest.raises(CannotCompare, match="no text of the natural mix"):
        compared(home, "same", dataset)


def test_both_models_are_timed_in_turn_and_the_better_of_two_counts(home: Path) -> None:
    # Seconds of: champion, challenger, challenger, champion. A pause of the machine falls on one of them.
    moments = iter([0.0, 0.010, 1.0, 1.030, 2.0, 2.015, 3.0, 3.500])
    found = latency_figure(Pair.load(STARTER, home / "same"), ["hello"], Gate(), timer=lambda: next(moments))
    assert (found.champion, found.challenger, found.passed) == (10.0, 15.0, False)


def test_the_report_says_why_not_in_words_and_every_figure(home: Path) -> None:
    said = report(compared(home, "blind"))
    assert "# starter 2.0.2 against starter 2.0.1" in said
    assert "The challenger is not promoted." in said
    assert re.search(r"^- macro-F1: 0 against the champion's [01]\.?\d*; it must be at most 0\.01 lower\.$", said, re.M)
    assert re.search(r"^\| macro-F1 \| .* \| \*\*not good enough\*\* \|$", said, re.M)


def promote(home: Path, challenger: str, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command, which times both models."""
    return moderato("promote", home / challenger, "--dataset", home / "longer", "--data-dir", data, *more)


def test_the_command_promotes_what_is_better_and_rollback_goes_back(home: Path, tmp_path: Path) -> None:
    done = promote(home, "keen", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "starter 2.0.6 is the champion" in done.stdout
    champion = json.loads(moderato("champion", "--json", "--data-dir", tmp_path).stdout)
    assert champion["version"] == "2.0.6"
    compared, promoted = champion["history"]
    assert (compared["kind"], compared["comparison"]["passed"], promoted["kind"]) == ("compared", True, "promoted")
    assert promoted["evidence"] == compared["evidence"] == champion["pointer"]["evidence"]
    assert "2.0.6" in moderato("model", "--data-dir", tmp_path).stdout
    assert "came with Moderato again" in moderato("rollback", "--data-dir", tmp_path).stdout
    assert "2.0.1" in moderato("champion", "--data-dir", tmp_path).stdout
    assert "nothing to roll back" in refusal("rollback", "--data-dir", tmp_path)


def test_the_command_ends_with_3_and_writes_why_not(home: Path, tmp_path: Path) -> None:
    done = promote(home, "blind", tmp_path, "--quick")
    assert done.returncode == 3
    assert "Not promoted: macro-F1" in done.stdout
    assert "The challenger is not promoted." in (home / "blind-comparison.md").read_text()
    assert not (tmp_path / "champion.json").exists()
    (event,) = [json.loads(line) for line in (tmp_path / "promotions.jsonl").read_text().splitlines()]
    assert event["comparison"]["reasons"][0].startswith("macro-F1")
    assert event["sha256"] == load_manifest(home / "blind").sha256


@pytest.mark.parametrize("option", ["--dry-run", "--quick"])
def test_a_dry_or_quick_run_compares_and_promotes_nothing(home: Path, tmp_path: Path, option: str) -> None:
    done = promote(home, "keen", tmp_path, option)
    assert done.returncode == 0
    assert f"With {option} nothing is promoted" in done.stdout
    assert not (tmp_path / "champion.json").exists()


def test_a_challenger_whose_dataset_is_not_at_hand_is_one_sentence(tmp_path: Path) -> None:
    made = change_starter(tmp_path / "made", renamed("2.1.0"))
    done = subprocess.run(
        [sys.executable, "-m", "local", "promote", made, "--data-dir", tmp_path],
        env=os.environ | {"PYTHONPATH": str(STARTER.parents[1] / "functions")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "which the challenger was trained on, is not at hand" in done.stderr


def test_a_challenger_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    assert "no model at" in refusal("promote", tmp_path, "--data-dir", tmp_path)
