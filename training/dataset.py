"""The dataset of a recipe: canonical rows without duplicates, split by a hash of the text, in a folder with digests."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from moderato.text import VERSION, letters_of
from training.config import Recipe, RecipeError, Shares, Source
from training.duplicates import near_duplicates
from training.sources import Labelled, Labels, read

SPLITS = ("train", "validation", "test")

FEEDBACK = "feedback"
"""The source of rows that moderators' corrections added to a dataset: `training.grow`."""

SMOKE_ROWS = 60
"""Rows of a source in a smoke run, and ten times as many of a natural one."""


@dataclass(frozen=True)
class Row:
    """A text, what is known of it, where it comes from, and the split that its hash puts it in."""

    id: str
    text: str
    labels: Labels
    """Probability 0..1 by category, or None where the source does not say."""
    source: str
    split: str
    natural: bool
    document: str | None = None
    """The id of the document that the text was cut from; a document is never in two splits."""


def build(recipe: Recipe, sources: Path, folder: Path, smoke: bool = False) -> Path:
    """Write the recipe's dataset to `folder` and return it; `dataset.json` comes last and means that it is complete.

    `sources` holds the public files. A smoke dataset has a few hundred rows, of every kind that there is. Raises
    RecipeError naming the file, the line and the mend, also when `folder` holds another version that was trained on.
    """
    rows, removed = _rows(recipe, sources, smoke)
    fresh, near = _without_near_duplicates(rows)
    for split in SPLITS:
        if not any(row.split == split and row.natural for row in fresh):
            raise RecipeError(
                f"{recipe.file}: split {split!r} has no natural rows; raise its share under [split] or add rows"
            )
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for split in SPLITS:
        lines = [json.dumps(asdict(row)) + "\n" for row in fresh if row.split == split]
        (part / f"{split}.jsonl").write_text("".join(lines))
    description = _description(recipe, fresh, part) | {
        "duplicates_removed": dict(removed),
        "near_duplicates_removed": dict(near),
    }
    (part / "dataset.json").write_text(json.dumps(description, indent=1) + "\n")
    return _replace(folder, part)


def load(folder: Path, split: str) -> list[Row]:
    """The rows of one split."""
    with (folder / f"{split}.jsonl").open() as file:
        return [Row(**json.loads(line)) for line in file]


def describe(folder: Path) -> dict[str, Any]:
    """What `dataset.json` says: name, version, counts, digests, sources and licences."""
    description: dict[str, Any] = json.loads((folder / "dataset.json").read_text())
    return description


def categories_of(description: Mapping[str, Any]) -> list[str]:
    """The categories that a dataset's rows speak of, in order."""
    return list(description.get("categories") or description["positives"])


def verify(folder: Path) -> dict[str, Any]:
    """Compare every file with its digest in `dataset.json`, and return what that says. Raises RecipeError."""
    path = folder / "dataset.json"
    try:
        description = describe(folder)
        files, digest = description["files"], description["digest"]
        found = digests_of(folder, files)
    except OSError as error:
        raise RecipeError(
            f"{folder} is no dataset: {error.filename} {(error.strerror or 'is wrong').lower()}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RecipeError(f"{path} does not describe a dataset with its digests; build the dataset anew") from None
    wrong = next((name for name in files if found[name] != files[name]), None)
    if wrong is not None:
        raise RecipeError(f"{folder / wrong} is not the file that dataset.json describes; a version is never changed")
    if digest_of(files) != digest:
        raise RecipeError(f"{path}: its digest is not that of its files; build the dataset anew")
    return description


def adopt(recipe: Recipe, version: Path, folder: Path) -> Path:
    """Copy a dataset version into the run's `folder`, for a recipe that needs no sources then.

    Raises RecipeError when it is not the version it was, speaks of other categories, or
    `folder` was trained on another.
    """
    description = verify(version)
    if categories_of(description) != list(recipe.categories):
        raise RecipeError(
            f"{version} is about {', '.join(categories_of(description))}, but {recipe.file} about "
            f"{', '.join(recipe.categories)}; name a dataset of the same categories"
        )
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(version, part)
    return _replace(folder, part)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files of a folder, by name."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def digest_of(files: Mapping[str, str]) -> str:
    """The digest of a dataset version: that of its files' digests."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def positives(rows: Sequence[Row], name: str) -> dict[str, int]:
    """How many rows of each split belong to a category."""
    return dict(Counter(row.split for row in rows if (row.labels[name] or 0) >= 0.5))


@lru_cache(maxsize=1)  # the sentences of a document ask for it one after another
def content_hash(text: str) -> str:
    """SHA-256 of a text's letters, digits and emoji without case: copies apart by spacing or punctuation share it."""
    return hashlib.sha256(letters_of(text).encode()).hexdigest()


def _replace(folder: Path, part: Path) -> Path:
    """Put a finished dataset in its place; a version that a run was made from is never overwritten by another."""
    if (folder / "dataset.json").is_file() and (folder.parent / "run.json").is_file():
        old, new = describe(folder)["digest"], describe(part)["digest"]
        if old != new:
            shutil.rmtree(part)
            raise RecipeError(
                f"{folder.parent} holds a run on dataset {old[:12]}, but the recipe now makes {new[:12]}; "
                "remove that folder, or name another with --output"
            )
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def _rows(recipe: Recipe, sources: Path, smoke: bool) -> tuple[list[Row], Counter[str]]:
    """Every text once: the first source that has it gives its labels. Also how many were left out, by source."""
    seen: set[str] = set()
    rows: list[Row] = []
    removed: Counter[str] = Counter()
    for source in recipe.sources:
        known_before = frozenset(seen)
        fresh = []
        for row in _source_rows(recipe, source, sources):
            # Sentences of one document may repeat one another; a document that was seen may not.
            key = row.document or row.id
            if key in (known_before if row.document else seen):
                removed[source.name] += 1
                continue
            seen.add(key)
            fresh.append(row)
        fresh.sort(key=lambda row: (row.document or row.id)[::-1])  # other digits than those that split
        rows += _smoke(fresh, source) if smoke else fresh[: source.limit]
    return rows, removed


def _source_rows(recipe: Recipe, source: Source, folder: Path) -> Iterator[Row]:
    shares = source.split or recipe.split
    numbers: Counter[str] = Counter()
    for labelled in read(recipe, source, folder):
        if any(character.isalnum() for character in labelled.text):
            key = content_hash(labelled.document or labelled.text)
            yield _row(labelled, key, source, shares, numbers)


def _row(labelled: Labelled, key: str, source: Source, shares: Shares, numbers: Counter[str]) -> Row:
    name, document = key[:16], None
    if labelled.document is not None:
        name, document = f"{key[:16]}-{numbers[key]:04d}", key[:16]
        numbers[key] += 1
    return Row(name, labelled.text, labelled.labels, source.name, _split(key, shares), source.natural, document)


def _smoke(rows: Sequence[Row], source: Source) -> list[Row]:
    """A few rows of each kind of label and each split in turn, so that every stage has something to do."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        labels = tuple(label is not None and label >= 0.5 for label in row.labels.values())
        groups.setdefault((row.split, labels), []).append(row)
    limit = SMOKE_ROWS * 10 if source.natural else SMOKE_ROWS
    turns = [(turn, number) for number, group in enumerate(groups.values()) for turn in range(len(group))]
    kinds = list(groups.values())
    return [kinds[number][turn] for turn, number in sorted(turns)[:limit]]


def _split(key: str, shares: Shares) -> str:
    position = int(key[:13], 16) / 16**13
    if position < shares.test:
        return "test"
    return "validation" if position < shares.test + shares.validation else "train"


def _without_near_duplicates(rows: Sequence[Row]) -> tuple[list[Row], Counter[str]]:
    """Leave out what nearly repeats a text of a split that is held out more strictly: test, then validation."""
    kept: list[Row] = [row for row in rows if row.split == "test"]
    removed: Counter[str] = Counter()
    for split in ("validation", "train"):
        candidates = [row for row in rows if row.split == split]
        copies = set(near_duplicates([row.text for row in kept], [row.text for row in candidates]))
        removed.update(candidates[index].source for index in copies)
        kept += [row for index, row in enumerate(candidates) if index not in copies]
    return kept, removed


def _description(recipe: Recipe, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    digests = digests_of(folder, [f"{split}.jsonl" for split in SPLITS])
    digest = digest_of(digests)
    return {
        "name": recipe.name,
        "version": digest[:12],
        "digest": digest,
        "parent": None,
        "normalizer": VERSION,
        "categories": list(recipe.categories),
        "files": digests,
        "rows": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "positives": {name: positives(rows, name) for name in recipe.categories},
        "sources": [
            {
                "name": source.name,
                "origin": source.origin,
                "licence": source.licence,
                "natural": source.natural,
                "rows": sum(row.source == source.name for row in rows),
            }
            for source in recipe.sources
        ],
    }
