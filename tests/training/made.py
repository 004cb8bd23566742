"""Recipes, datasets and judged texts of our own, small enough to reckon with by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np

from moderato.artifact import DatasetRecord, EncoderRecord, Manifest, Problem
from moderato.text import VERSION
from training.config import Encoder, Recipe, Source, Target
from training.dataset import Row
from training.evaluate import HeldOut, Judged, choose, evaluate
from training.evaluation import Evaluation
from training.figures import Floats

STARTER = Path(__file__).parents[2] / "models" / "starter"

HARM = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")
"""As many as the starter's graph has outputs."""

RUDE = ("You are a complete idiot, {}.", "Shut the fuck up, {}, you worthless piece of shit.", "I will kill you, {}.")
KIND = ("Thank you for the help, {}.", "The meeting is on Thursday, {}.", "{} wrote the second paragraph.")
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo")


def recipe(
    problem: Problem = Problem.MULTI_LABEL,
    categories: Sequence[str] = ("insult", "news"),
    targets: Mapping[str, Target] | None = None,
    limits: Sequence[str] = (),
) -> Recipe:
    """A recipe that names no file there is."""
    source = Source(name="made", file="made.csv", text="text", natural=True, origin="Made by hand", licence="CC0")
    return Recipe(
        name="made",
        version="1.0.0",
        description="Made for a test.",
        problem=problem,
        categories=tuple(categories),
        encoder=Encoder(name="sentence-transformers/all-MiniLM-L6-v2", licence="Apache-2.0"),
        targets=dict(targets or {}),
        limits=tuple(limits),
        sources=(source,),
        file="made.toml",
    )


def manifest(made: Recipe) -> Manifest:
    """The manifest of a recipe's model, without categories."""
    return Manifest(
        name=made.name,
        version=made.version,
        description=made.description,
        created="2026-11-21T00:00:00+00:00",
        problem=made.problem,
        categories=(),
        window_tokens=128,
        overlap_tokens=32,
        normalizer=VERSION,
        encoder=EncoderRecord("none", "none"),
        dataset=DatasetRecord("made", "1", "1"),
        metrics={},
        files={},
    )


def judged(logits: Sequence[Sequence[float]], labels: Sequence[Sequence[float]], copies: int = 1) -> Judged:
    """Texts with these logits and labels, so many times over."""
    return Judged(_tiled(logits, copies), _tiled(labels, copies))


def held_out(validation: Judged, test: Judged | None = None) -> HeldOut:
    """Validation and natural test texts, which are the same unless they are given."""
    test = test or validation
    rows = [Row(str(n), f"Text number {n}.", {}, "made", "test", True, None) for n in range(len(test.labels))]
    return HeldOut(validation, test, rows)


def evaluated(made: Recipe, texts: HeldOut, resamples: int = 50) -> Evaluation:
    """What is measured of these texts with categories fitted to them."""
    fitted = msgspec.structs.replace(manifest(made), categories=choose(made, texts))
    return evaluate(made, fitted, texts, resamples)


def write_dataset(folder: Path, categories: Sequence[str], problem: Problem = Problem.MULTI_LABEL) -> Path:
    """A dataset of rude and kind sentences in the format of `training.dataset`.

    A single-label text is of the first category when it is rude, of the second when it is kind.
    """
    folder.mkdir()
    rows = [row for split in ("train", "validation", "test") for row in _rows(split, categories, problem)]
    for split in ("train", "validation", "test"):
        lines = [json.dumps(asdict(row)) + "\n" for row in rows if row.split == split]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    description = {
        "name": "made",
        "version": "1",
        "digest": "1",
        "rows": {split: sum(row.split == split for row in rows) for split in ("train", "validation", "test")},
        "sources": [{"name": "made", "rows": len(rows), "origin": "Made by hand", "licence": "CC0"}],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def _rows(split: str, categories: Sequence[str], problem: Problem) -> list[Row]:
    names = NAMES[:4] if split == "validation" else NAMES[4:]
    return [
        Row(f"{split}-{number}-{name}", text.format(name), _labels(is_rude, categories, problem), "made", split, True)
        for is_rude, texts in ((True, RUDE), (False, KIND))
        for number, text in enumerate(texts)
        for name in names
    ]


def _labels(is_rude: bool, categories: Sequence[str], problem: Problem) -> dict[str, float | None]:
    if problem is Problem.SINGLE_LABEL:
        return {name: float(index == (0 if is_rude else 1)) for index, name in enumerate(categories)}
    return dict.fromkeys(categories, float(is_rude))


def _tiled(rows: Sequence[Sequence[float]], copies: int) -> Floats:
    tiled: Floats = np.tile(np.array(rows, dtype=float), (copies, 1))
    return tiled
