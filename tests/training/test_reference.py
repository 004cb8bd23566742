"""The reference of a model: taken on its held-out natural texts as they are served, and sealed with it."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from moderato.artifact import DatasetRecord, Manifest, load_manifest
from moderato.scorer import Scorer
from tests.made_datasets import CATEGORIES, held_out_rows, row, write_dataset
from tests.made_models import change_starter
from training.dataset import describe
from training.evaluate import Judged
from training.reference import main, reference_of

HIGH, LOW = 10.0, -10.0
UNKNOWN = float("nan")


def model_of(folder: Path, dataset: Path) -> Path:
    """Return a copy of the starter model as one of a release before: trained on the dataset, without a reference."""
    said = describe(dataset)

    def change(_directory: Path, manifest: Manifest) -> Manifest:
        record = DatasetRecord(said["name"], said["version"], said["digest"])
        return msgspec.structs.replace(manifest, dataset=record, reference=None)

    return change_starter(folder, change)


def test_flags_and_reversals_are_those_of_the_labels(scorer: Scorer) -> None:
    # Toxicity's logit alone changes: two rightly flagged, one wrongly, one without any label, and four not flagged.
    logits = np.full((8, 6), LOW)
    logits[:4, 0] = HIGH
    labels = np.zeros((8, 6))
    labels[0, 0] = labels[1, 3] = 1  # an insult that was flagged as toxic is rightly flagged
    labels[3] = UNKNOWN
    found = reference_of(scorer, Judged(logits, labels))
    assert (found.texts, found.flag_rate) == (8, 0.5)
    assert found.reversal_rate == pytest.approx(1 / 3, abs=1e-6)
    assert found.categories["toxicity"].flag_rate == 0.5
    assert found.categories["toxicity"].shares == (0.5, 0.5)
    assert found.categories["insult"].flag_rate == 0
    assert list(found.categories) == list(CATEGORIES)


def test_without_flags_nothing_is_reversed(scorer: Scorer) -> None:
    found = reference_of(scorer, Judged(np.full((5, 6), LOW), np.zeros((5, 6))))
    assert (found.flag_rate, found.reversal_rate) == (0, None)


def test_the_starter_model_knows_its_4342_held_out_texts(scorer: Scorer) -> None:
    reference = scorer.manifest.reference
    assert reference is not None
    assert reference.texts == scorer.manifest.metrics["toxicity"].rows == 4342
    for found in reference.categories.values():
        assert sum(found.shares) == pytest.approx(1, abs=1e-5)
        assert len(found.shares) == len(found.edges) + 1
        assert min(found.shares[:-1]) >= 0.04


def test_an_older_model_gets_its_reference_and_keeps_its_network(tmp_path: Path) -> None:
    unnatural = row("Fuck off.", "test", ("toxicity", "profanity"), natural=False)
    dataset = write_dataset(tmp_path / "dataset", [*held_out_rows(), unnatural, row("Hello.", "train")])
    model = model_of(tmp_path / "model", dataset)
    before = Path(shutil.copytree(model, tmp_path / "before"))
    main([str(model), str(dataset), "--version", "2.1.0"])
    scorer = Scorer.load(model)
    assert scorer.manifest.version == "2.1.0"
    assert scorer.manifest.reference is not None
    assert scorer.manifest.reference.texts == 20
    assert scorer.manifest.reference.flag_rate == 0.5
    assert scorer.manifest.reference.reversal_rate == 0
    for name in ("model.onnx", "tokenizer.json", "golden.jsonl"):
        assert (model / name).read_bytes() == (before / name).read_bytes()
    assert (model / "card.md").read_text().splitlines()[0] == "# starter 2.1.0"
    assert (model / "card.md").read_text().splitlines()[1:] == (before / "card.md").read_text().splitlines()[1:]


def test_a_dataset_that_the_model_was_not_trained_on_is_refused(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", held_out_rows())
    model = model_of(tmp_path / "model", dataset)
    other = write_dataset(tmp_path / "other", held_out_rows()[:5])
    sealed = load_manifest(model).sha256
    with pytest.raises(
        SystemExit, match=rf"{other} is not dataset made {describe(dataset)['version']}, on whose held-out texts"
    ):
        main([str(model), str(other), "--version", "2.1.0"])
    assert load_manifest(model).sha256 == sealed


def test_a_dataset_without_held_out_natural_texts_is_refused(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", [row("Hello.", "test", natural=False)])
    with pytest.raises(SystemExit, match="holds out no natural texts"):
        main([str(model_of(tmp_path / "model", dataset)), str(dataset), "--version", "2.1.0"])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"training: no model at .*nowhere"):
        main([str(tmp_path / "nowhere"), str(tmp_path), "--version", "2.1.0"])
