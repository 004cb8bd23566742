"""Package an exported graph as a model directory: thresholds, figures, golden answers, card, and the manifest last."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from moderato import text
from moderato.artifact import (
    MANIFEST,
    REQUIRED_FILES,
    Category,
    DatasetRecord,
    EncoderRecord,
    Manifest,
    Metric,
    record_file,
    write_manifest,
)
from moderato.scorer import Scorer
from training import dataset
from training.calibrate import PLAIN
from training.card import write_card
from training.config import Recipe
from training.evaluate import Complete, choose, evaluate, hold_out
from training.evaluation import Evaluation, write_metrics
from training.parent import parent_of
from training.reference import reference_of

GOLDEN_TEXTS = Path(__file__).parent / "golden.txt"


def package(
    recipe: Recipe,
    dataset_folder: Path,
    encoder: Path,
    graph: Path,
    directory: Path,
    complete: Complete | None = None,
) -> Manifest:
    """Write the model directory of the recipe around `graph`, verify it as the server would, and return its manifest.

    What was measured goes to `metrics.json` beside the directory; `complete` may add to it before the card is written.
    Raises RecipeError when there is nothing to choose thresholds by, and BrokenModel when it does not load.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MANIFEST).unlink(missing_ok=True)  # a directory that has it is whole, and this one is not yet
    shutil.copyfile(graph, directory / "model.onnx")
    shutil.copyfile(encoder / "tokenizer.json", directory / "tokenizer.json")
    draft = _draft(recipe, dataset_folder)
    held_out = hold_out(recipe, dataset_folder, Scorer.open(directory, draft))
    fitted = msgspec.structs.replace(draft, categories=choose(recipe, held_out))
    scorer = Scorer.open(directory, fitted)
    evaluation = evaluate(recipe, fitted, held_out)
    if complete is not None:
        evaluation = complete(scorer, held_out, evaluation)
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    _write_golden(scorer, directory / "golden.jsonl")
    (directory / "card.md").write_text(
        write_card(recipe, dataset.describe(dataset_folder), fitted, evaluation), encoding="utf-8"
    )
    write_metrics(evaluation, directory.parent / "metrics.json")
    reference = reference_of(scorer, held_out.test.only(held_out.natural))
    _seal(directory, msgspec.structs.replace(fitted, metrics=metrics_of(evaluation), reference=reference))
    return _verify(directory)


def metrics_of(evaluation: Evaluation) -> dict[str, Metric]:
    """What a manifest tells of the figures."""
    return {
        each.name: Metric(
            positives=each.test.positives,
            rows=each.test.rows,
            roc_auc=each.roc_auc.value,
            average_precision=each.average_precision.value,
            precision=each.precision.value,
            recall=each.recall.value,
            f1=each.f1.value,
            roc_auc_interval=each.roc_auc.interval,
            f1_interval=each.f1.interval,
            calibration_error=each.calibration_error,
        )
        for each in evaluation.categories
    }


def _draft(recipe: Recipe, dataset_folder: Path) -> Manifest:
    """The manifest as far as it is known before the graph is judged: nothing is calibrated, and nothing acts."""
    described = dataset.describe(dataset_folder)
    return Manifest(
        name=recipe.name,
        version=_version(recipe, described["version"]),
        description=recipe.description,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        problem=recipe.problem,
        categories=tuple(Category(name, None, None, PLAIN) for name in recipe.categories),
        window_tokens=recipe.serve.window_tokens,
        overlap_tokens=recipe.serve.overlap_tokens,
        normalizer=text.VERSION,
        encoder=EncoderRecord(recipe.encoder.name, recipe.encoder.licence),
        dataset=DatasetRecord(described["name"], described["version"], described["digest"]),
        metrics={},
        files={},
        parent=parent_of(recipe),
    )


def _version(recipe: Recipe, dataset_version: str) -> str:
    day = f"{datetime.now(UTC):%Y.%m.%d}"
    return recipe.version.replace("{date}", day).replace("{dataset}", dataset_version)


def _write_golden(scorer: Scorer, path: Path) -> None:
    lines = GOLDEN_TEXTS.read_text(encoding="utf-8").splitlines()
    answers = [{"text": line, "scores": scorer.score(line).scores} for line in lines]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")


def _seal(directory: Path, manifest: Manifest) -> None:
    files = {name: record_file(directory / name) for name in REQUIRED_FILES}
    write_manifest(directory, msgspec.structs.replace(manifest, files=files))


def _verify(directory: Path) -> Manifest:
    scorer = Scorer.load(directory)
    scorer.check_golden(directory / "golden.jsonl")
    return scorer.manifest
