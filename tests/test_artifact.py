"""The model directory: one that was tampered with refuses to load, and says what is wrong with which file."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moderato.artifact import (
    MANIFEST,
    FileRecord,
    Problem,
    load_manifest,
    manifest_digest,
    record_file,
    write_manifest,
)
from moderato.errors import BrokenModel
from moderato.scorer import Scorer
from tests.conftest import STARTER

CARD_OF_2_0_0 = FileRecord(7401, "715ca71cec51a079f4bc4742c2c2ee397164eae8dbc6aa27f647d2d8d3566137")

BETWEEN_TWO_EDGES = {"edges": [0.2, 0.5], "shares": [0.5, 0.5], "mean": 0.3, "flag_rate": 0.1}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a copy of the starter model to break."""
    return Path(shutil.copytree(STARTER, tmp_path / "model"))


def refusal(model: Path) -> str:
    """Return why the model does not load."""
    with pytest.raises(BrokenModel) as refused:
        Scorer.load(model)
    return str(refused.value)


def truncate(path: Path) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def flip_bit(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.jsonl", "card.md"])
@pytest.mark.parametrize("break_file", [truncate, flip_bit])
def test_a_changed_file_is_named_with_both_digests(model: Path, name: str, break_file: Callable[[Path], None]) -> None:
    before = hashlib.sha256((model / name).read_bytes()).hexdigest()
    break_file(model / name)
    after = hashlib.sha256((model / name).read_bytes()).hexdigest()
    why = refusal(model)
    assert str(model / name) in why
    assert before in why
    assert after in why


def test_a_missing_file_is_named(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    assert str(model / "tokenizer.json") in refusal(model)


def test_labels_in_another_order_are_refused_with_both_digests(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    sealed = manifest["sha256"]
    manifest["categories"].reverse()
    (model / "manifest.json").write_text(json.dumps(manifest))
    why = refusal(model)
    assert str(model / "manifest.json") in why
    assert sealed in why
    assert why.count("sha256") == 1
    assert len([word for word in why.replace(",", "").split() if len(word) == 64]) == 2


def test_labels_in_another_order_are_refused_even_when_sealed_again(model: Path) -> None:
    manifest = load_manifest(model)
    write_manifest(model, msgspec.structs.replace(manifest, categories=manifest.categories[::-1]))
    why = refusal(model)
    assert "golden.jsonl" in why
    assert "expected" in why


def test_a_swapped_tokenizer_is_refused_even_when_sealed_again(model: Path) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    words = [word for word in vocabulary if word.isalpha()]
    tokenizer["model"]["vocab"] |= dict(zip(words, [vocabulary[word] for word in words[1:] + words[:1]], strict=True))
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    manifest = load_manifest(model)
    files = manifest.files | {"tokenizer.json": record_file(model / "tokenizer.json")}
    write_manifest(model, msgspec.structs.replace(manifest, files=files))
    assert "golden.jsonl" in refusal(model)


def test_a_manifest_that_is_no_manifest_is_refused(model: Path) -> None:
    (model / "manifest.json").write_text("{}")
    assert str(model / "manifest.json") in refusal(model)


def test_a_model_of_another_normalizer_is_refused(model: Path) -> None:
    write_manifest(model, msgspec.structs.replace(load_manifest(model), normalizer=99))
    assert "normalizer 99" in refusal(model)


def test_the_starter_model_is_small_enough_for_a_cold_start() -> None:
    assert sum(path.stat().st_size for path in STARTER.iterdir()) <= 25_000_000


def test_a_manifest_of_an_older_release_without_newer_fields_still_loads(model: Path) -> None:
    content = json.loads((model / MANIFEST).read_bytes())
    del content["problem"], content["reference"]
    for metric in content["metrics"].values():
        del metric["roc_auc_interval"]
    sorted_content = json.dumps(content | {"sha256": ""}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content["sha256"] = hashlib.sha256(sorted_content.encode()).hexdigest()
    (model / MANIFEST).write_text(json.dumps(content))
    assert load_manifest(model).problem is Problem.MULTI_LABEL
    assert load_manifest(model).reference is None


def test_a_manifest_from_before_there_were_parents_keeps_its_digest(model: Path) -> None:
    manifest = load_manifest(model)
    assert manifest.parent is None
    assert manifest_digest(manifest) == manifest.sha256
    write_manifest(model, manifest)
    assert b"parent" not in (model / MANIFEST).read_bytes()


def test_a_manifest_from_before_there_were_references_keeps_its_digest(model: Path) -> None:
    # The starter model 2.0.0, sealed by the release before.
    before = {"version": "2.0.0", "reference": None, "files": load_manifest(model).files | {"card.md": CARD_OF_2_0_0}}
    sealed = "6d2a80be6f18008fff6a382e3bf144ea25ee9b94c0a2ea9d4787edec826868d2"
    assert manifest_digest(msgspec.structs.replace(load_manifest(model), **before)) == sealed


def test_the_reference_of_a_model_is_under_its_digest(model: Path) -> None:
    content = (model / MANIFEST).read_text()
    (model / MANIFEST).write_text(content.replace('"texts": 4342', '"texts": 4343'))
    assert "expected sha256" in refusal(model)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda reference: reference | {"texts": 0}, "a reference is of one text or more, not of 0"),
        (
            lambda reference: reference | {"categories": {"insult": BETWEEN_TWO_EDGES}},
            "2 edges part 3 shares, not 2 - at `$.reference.categories[...]`",
        ),
    ],
)
def test_a_reference_that_nothing_can_be_compared_with_is_refused(
    model: Path, change: Callable[[dict[str, Any]], dict[str, Any]], why: str
) -> None:
    content = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(content | {"reference": change(content["reference"])}))
    assert why in refusal(model)


def test_the_parent_of_a_model_is_under_its_digest(model: Path) -> None:
    child = msgspec.structs.replace(load_manifest(model), parent="a" * 64)
    write_manifest(model, child)
    assert load_manifest(model).parent == "a" * 64
    content = (model / MANIFEST).read_text()
    (model / MANIFEST).write_text(content.replace("a" * 64, "b" * 64))
    assert "expected sha256" in refusal(model)
