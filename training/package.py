"""Package an exported graph as a model directory: thresholds, figures, golden answers, card, and the manifest last."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from moderato import text
from moderato.artifact import (
    REQUIRED_FILES,
    Calibration,
    Category,
    DatasetRecord,
    EncoderRecord,
    Manifest,
    record_file,
    write_manifest,
)
from moderato.scorer import Scorer
from training import dataset
from training.card import write_card
from training.config import Recipe
from training.evaluate import calibration_error, fit_category, judge, measure

GOLDEN_TEXTS = Path(__file__).parent / "golden.txt"
MAX_MODEL_BYTES = 25_000_000


def package(recipe: Recipe, dataset_folder: Path, encoder: Path, graph: Path, directory: Path) -> Manifest:
    """Write the model directory of the recipe around `graph`, verify it as the server would, and return its manifest.

    Raises ValueError when it is larger than 25 MB and BrokenModel when it does not load.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(graph, directory / "model.onnx")
    shutil.copyfile(encoder / "tokenizer.json", directory / "tokenizer.json")
    draft = _draft(recipe, dataset_folder)
    scorer = Scorer.open(directory, draft)
    validation, test = (
        judge(scorer, [row for row in dataset.load(dataset_folder, split) if row.natural])
        for split in ("validation", "test")
    )
    names = recipe.categories
    categories = [fit_category(name, validation, i, recipe.serve.block_precision) for i, name in enumerate(names)]
    metrics = {name: measure(categories[i], test, i) for i, name in enumerate(names)}
    errors = {name: calibration_error(categories[i], test, i) for i, name in enumerate(names)}
    fitted = msgspec.structs.replace(draft, categories=tuple(categories), metrics=metrics)
    _write_golden(Scorer.open(directory, fitted), directory / "golden.jsonl")
    (directory / "card.md").write_text(write_card(recipe, dataset.describe(dataset_folder), fitted, errors))
    _seal(directory, fitted)
    return _verify(directory)


def _draft(recipe: Recipe, dataset_folder: Path) -> Manifest:
    """The manifest as far as it is known before the graph is judged: scores are plain sigmoids."""
    described = dataset.describe(dataset_folder)
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        categories=tuple(Category(name, 0.5, None, Calibration(1.0, 0.0)) for name in recipe.categories),
        window_tokens=recipe.serve.window_tokens,
        overlap_tokens=recipe.serve.overlap_tokens,
        normalizer=text.VERSION,
        encoder=EncoderRecord(recipe.encoder.name, recipe.encoder.licence),
        dataset=DatasetRecord(described["name"], described["version"], described["digest"]),
        metrics={},
        files={},
    )


def _write_golden(scorer: Scorer, path: Path) -> None:
    lines = GOLDEN_TEXTS.read_text(encoding="utf-8").splitlines()
    answers = [{"text": line, "scores": scorer.score(line).scores} for line in lines]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))


def _seal(directory: Path, manifest: Manifest) -> None:
    files = {name: record_file(directory / name) for name in REQUIRED_FILES}
    write_manifest(directory, msgspec.structs.replace(manifest, files=files))


def _verify(directory: Path) -> Manifest:
    size = sum(path.stat().st_size for path in directory.iterdir())
    if size > MAX_MODEL_BYTES:
        raise ValueError(f"{directory} has {size} bytes; at most {MAX_MODEL_BYTES} are allowed")
    scorer = Scorer.load(directory)
    scorer.check_golden(directory / "golden.jsonl")
    return scorer.manifest
