"""The dataset of a recipe: canonical rows without duplicates, split by a hash of the text, in a folder with digests."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moderato.text import VERSION, normalize
from training.config import Recipe, Shares
from training.sources import SOURCES, Labels

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Row:
    """A text, what is known of it, where it comes from, and the split that its hash puts it in."""

    id: str
    text: str
    labels: Labels
    """1, 0, or None where the source does not say."""
    source: str
    split: str
    natural: bool


def build(recipe: Recipe, sources: Path, folder: Path) -> Path:
    """Write the recipe's dataset to `folder` and return it; `dataset.json` comes last and means that it is complete.

    `sources` holds the public files. Raises FileNotFoundError naming the first file that is missing.
    """
    rows = list(_rows(recipe, sources))
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = [json.dumps(asdict(row)) + "\n" for row in rows if row.split == split]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    (folder / "dataset.json").write_text(json.dumps(_description(recipe, rows, folder), indent=1) + "\n")
    return folder


def load(folder: Path, split: str) -> list[Row]:
    """The rows of one split."""
    with (folder / f"{split}.jsonl").open() as file:
        return [Row(**json.loads(line)) for line in file]


def describe(folder: Path) -> dict[str, Any]:
    """What `dataset.json` says: name, version, counts, digests, sources and licences."""
    description: dict[str, Any] = json.loads((folder / "dataset.json").read_text())
    return description


def _rows(recipe: Recipe, sources: Path) -> Iterator[Row]:
    """Every text once: the first source that has it gives its labels."""
    seen: set[str] = set()
    for choice in recipe.sources:
        shares = recipe.natural_shares if choice.natural else recipe.other_shares
        fresh: list[Row] = []
        for text, labels in SOURCES[choice.name].read(sources):
            key = content_hash(text)
            if key in seen or not any(character.isalnum() for character in text):
                continue
            seen.add(key)
            known = {category: labels.get(category) for category in recipe.categories}
            fresh.append(Row(key[:16], text, known, choice.name, _split(key, shares), choice.natural))
        fresh.sort(key=lambda row: row.id[::-1])  # other digits than those that split, so that a limit keeps the shares
        yield from fresh[: choice.limit]


def content_hash(text: str) -> str:
    """SHA-256 of a text's letters and digits without case: copies that differ in spacing or punctuation share it."""
    letters = "".join(character for character in normalize(text).text.casefold() if character.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()


def _split(key: str, shares: Shares) -> str:
    position = int(key[:13], 16) / 16**13
    if position < shares.test:
        return "test"
    return "validation" if position < shares.test + shares.validation else "train"


def _description(recipe: Recipe, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    digests = {
        f"{split}.jsonl": hashlib.sha256((folder / f"{split}.jsonl").read_bytes()).hexdigest() for split in SPLITS
    }
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return {
        "name": recipe.name,
        "version": digest[:12],
        "digest": digest,
        "parent": None,
        "normalizer": VERSION,
        "files": digests,
        "rows": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "positives": {category: _positives(rows, category) for category in recipe.categories},
        "sources": [
            {
                "name": choice.name,
                "origin": SOURCES[choice.name].origin,
                "licence": SOURCES[choice.name].licence,
                "rows": sum(row.source == choice.name for row in rows),
            }
            for choice in recipe.sources
        ],
    }


def _positives(rows: Sequence[Row], category: str) -> dict[str, int]:
    return dict(Counter(row.split for row in rows if row.labels[category] == 1))
