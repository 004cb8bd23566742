"""A dataset grows: a version and the labels that annotators settled on become the next version. Neither is changed."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from moderato.acceptance import AcceptedLabel
from moderato.text import VERSION, letters_of
from training import dataset
from training.additions import (
    ADDITIONS,
    CORRECTIONS,
    LEFT_OUT,
    Addition,
    LeftOut,
    comes_from,
    read_accepted,
    read_additions,
)
from training.config import RecipeError
from training.dataset import FEEDBACK, Row, content_hash
from training.duplicates import near_duplicates, repeats

HELD_OUT_SHARE = 0.2
"""Of the labels: never trained on, so that they tell whether a model learned what the others taught."""

ALREADY_THERE = "already in the dataset"
ERASED = "erased"
NOTHING_DECIDED = "nothing was decided"
NO_LETTERS = "no letters, digits or emoji"
NEAR_HELD_OUT = "equals or nearly repeats a text of validation or test"
NEAR_ADDITION = "equals or nearly repeats an older addition"

LICENCE = "the platform's own"


class NothingNew(RecipeError):
    """No label gets in and nothing is erased, so there is no next version."""

    def __init__(self, message: str, left_out: Mapping[str, int]) -> None:
        super().__init__(message)
        self.left_out = left_out
        """How many labels were offered and left out, by reason."""


@dataclass(frozen=True)
class _Version:
    """A dataset version as it is read: each row with the line that it stands in."""

    folder: Path
    description: Mapping[str, Any]

    @cached_property
    def train(self) -> list[tuple[bytes, Row]]:
        return _lines(self.folder / "train.jsonl")

    @cached_property
    def corrections(self) -> list[tuple[bytes, Row]]:
        return _lines(self.folder / f"{CORRECTIONS}.jsonl")

    @cached_property
    def held_out(self) -> list[Row]:
        return [row for split in ("validation", "test") for _, row in _lines(self.folder / f"{split}.jsonl")]

    def texts_of(self, additions: Sequence[Addition]) -> list[str]:
        """The texts of some of its additions."""
        texts = {row.id: row.text for _, row in (*self.train, *self.corrections) if row.source == FEEDBACK}
        return [texts[each.row] for each in additions]

    @cached_property
    def additions(self) -> list[Addition]:
        return read_additions(self.folder)


@dataclass(frozen=True)
class _Fresh:
    """A label that gets in, and the row that it becomes."""

    label: AcceptedLabel
    row: Row
    key: str
    """The whole content hash."""


def grow(parent: Path, accepted: Path, output: Path, erased: Collection[str] = ()) -> Path:
    """Write the next version of the dataset at `parent` to `output/NAME/VERSION` and return that folder.

    `accepted` is a file of accepted labels, `erased` the ids of decisions, reviews and feedback whose rows must go. One
    label in five is held out as `corrections.jsonl`; validation and test stay as they are, to the byte. The same
    input makes the same version, and where the parent has all the labels already, it is the parent.

    Raises RecipeError when there is nothing to add and nothing to erase, or the parent or a label is not what it should
    be; the message holds nothing of a text.
    """
    try:
        return extend(parent, accepted, output, erased)
    except NothingNew as nothing:
        if ALREADY_THERE in nothing.left_out:
            return parent
        raise


def extend(parent: Path, accepted: Path, output: Path, erased: Collection[str] = ()) -> Path:
    """Do as `grow` does, but raise NothingNew also where the parent has all the labels already."""
    version = _Version(parent, dataset.verify(parent))
    labels = read_accepted(accepted, dataset.categories_of(version.description))
    stale = [each for each in version.additions if comes_from(each, erased)]
    kept = [each for each in version.additions if not comes_from(each, erased)]
    fresh, left_out = _sift(version, kept, labels, erased)
    if not fresh and not stale:
        reasons = Counter(each.reason for each in left_out)
        raise NothingNew(_nothing_new(accepted, labels, reasons), reasons)
    return _write(version, kept, fresh, left_out, output)


def _sift(
    version: _Version, kept: Sequence[Addition], labels: Sequence[AcceptedLabel], erased: Collection[str]
) -> tuple[list[_Fresh], list[LeftOut]]:
    """The labels that get in, the oldest first, and the others with the reason."""
    known = {(each.review_id, _decided(each.values)) for each in kept}
    reasons = {label.review_id: _reason(label, known, erased) for label in labels}
    left_out = {review_id: reason for review_id, reason in reasons.items() if reason is not None}
    candidates = [label for label in labels if label.review_id not in left_out]
    if candidates:
        held_out = [row.text for row in version.held_out]
        for index in near_duplicates(held_out, [label.text for label in candidates]):
            left_out[candidates[index].review_id] = NEAR_HELD_OUT
        candidates = [label for label in candidates if label.review_id not in left_out]
    categories = dataset.categories_of(version.description)
    fresh = [_fresh(label, categories) for label in candidates]
    left_out |= dict.fromkeys(_repeated(version.texts_of(kept), fresh), NEAR_ADDITION)
    return (
        [each for each in fresh if each.label.review_id not in left_out],
        [LeftOut(review_id, reason) for review_id, reason in sorted(left_out.items())],
    )


def _repeated(older: Sequence[str], fresh: Sequence[_Fresh]) -> list[str]:
    """The reviews whose texts are like an older addition; one that is the same text corrects it, and is not meant."""
    stand, repeated = {content_hash(text) for text in older}, []
    alike = set(repeats([*older, *(each.row.text for each in fresh)]))
    seen: set[str] = set()
    for index, each in enumerate(fresh, start=len(older)):
        if each.key in seen or (index in alike and each.key not in stand):
            repeated.append(each.label.review_id)
        seen.add(each.key)
    return repeated


def _reason(
    label: AcceptedLabel, known: Collection[tuple[str, tuple[tuple[str, bool], ...]]], erased: Collection[str]
) -> str | None:
    """Why a label cannot get in, seen alone; None where it can."""
    if comes_from(label, erased):
        return ERASED
    if not _decided(label.values):
        return NOTHING_DECIDED
    if (label.review_id, _decided(label.values)) in known:
        return ALREADY_THERE
    return None if letters_of(label.text) else NO_LETTERS


def _decided(values: Mapping[str, bool | None]) -> tuple[tuple[str, bool], ...]:
    return tuple(sorted((name, value) for name, value in values.items() if value is not None))


def _fresh(label: AcceptedLabel, categories: Sequence[str]) -> _Fresh:
    key = content_hash(label.text)
    decided = dict(_decided(label.values))
    labels = {name: float(decided[name]) if name in decided else None for name in categories}
    split = CORRECTIONS if _is_held_out(key) else "train"
    return _Fresh(label, Row(key[:16], label.text, labels, FEEDBACK, split, natural=False), key)


def _is_held_out(key: str) -> bool:
    # By other digits than those that put a source's texts in a split.
    return int(key[13:26], 16) / 16**13 < HELD_OUT_SHARE


def _write(
    version: _Version, kept: Sequence[Addition], fresh: Sequence[_Fresh], left_out: Sequence[LeftOut], output: Path
) -> Path:
    name = str(version.description["name"])
    if Path(name).name != name:
        raise RecipeError(f"{version.folder / 'dataset.json'}: its name must be a plain one, without a path")
    part = output / name / f".{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for split in ("validation", "test"):
        shutil.copyfile(version.folder / f"{split}.jsonl", part / f"{split}.jsonl")
    train, gone = _train_lines(version, kept, fresh)
    _save(part / "train.jsonl", train)
    _save(part / f"{CORRECTIONS}.jsonl", _correction_lines(version, kept, fresh))
    _save(part / ADDITIONS, [_line(each) for each in _additions(version, kept, fresh)])
    _save(part / LEFT_OUT, [_line(each) for each in left_out])
    description = _description(version, part, fresh, left_out, gone)
    (part / "dataset.json").write_text(json.dumps(description, indent=1) + "\n")
    return _settle(part, output / name / description["version"], description["digest"])


def _train_lines(
    version: _Version, kept: Sequence[Addition], fresh: Sequence[_Fresh]
) -> tuple[list[bytes], Counter[str]]:
    """The lines of the new training split, and how many rows of the old one are gone, by reason."""
    corrected, stands = {each.key for each in fresh}, {each.row for each in kept}
    lines: list[bytes] = []
    gone: Counter[str] = Counter()
    rest: list[tuple[bytes, Row]] = []
    for line, row in version.train:
        if row.source == FEEDBACK and row.id not in stands:
            gone["erased"] += 1
        elif content_hash(row.text) in corrected:
            gone["corrected"] += 1
        else:
            rest.append((line, row))
    held_out = [each.row.text for each in fresh if each.row.split == CORRECTIONS]
    near = set(near_duplicates(held_out, [row.text for _, row in rest])) if held_out else set()
    gone["nearly repeats a held-out correction"] += len(near)
    lines = [line for index, (line, _) in enumerate(rest) if index not in near]
    return [*lines, *(_row_line(each.row) for each in fresh if each.row.split == "train")], +gone


def _correction_lines(version: _Version, kept: Sequence[Addition], fresh: Sequence[_Fresh]) -> list[bytes]:
    corrected, stands = {each.key for each in fresh}, {each.row for each in kept}
    old = [line for line, row in version.corrections if row.id in stands and content_hash(row.text) not in corrected]
    return [*old, *(_row_line(each.row) for each in fresh if each.row.split == CORRECTIONS)]


def _additions(version: _Version, kept: Sequence[Addition], fresh: Sequence[_Fresh]) -> list[Addition]:
    corrected = {each.key for each in fresh}
    texts = version.texts_of(kept)
    new = [
        msgspec.convert({**msgspec.structs.asdict(each.label), "row": each.row.id, "split": each.row.split}, Addition)
        for each in fresh
    ]
    old = [each for each, text in zip(kept, texts, strict=True) if content_hash(text) not in corrected]
    return [*old, *new]


def _description(
    version: _Version, part: Path, fresh: Sequence[_Fresh], left_out: Sequence[LeftOut], gone: Mapping[str, int]
) -> dict[str, Any]:
    names = [f"{split}.jsonl" for split in (*dataset.SPLITS, CORRECTIONS)] + [ADDITIONS, LEFT_OUT]
    files = dataset.digests_of(part, names)
    digest = dataset.digest_of(files)
    rows = [row for split in dataset.SPLITS for row in dataset.load(part, split)]
    additions = Counter(each.split for each in read_additions(part))
    parent = version.description
    return {
        **parent,
        "version": digest[:12],
        "digest": digest,
        "parent": {key: parent[key] for key in ("name", "version", "digest")},
        "normalizer": VERSION,
        "categories": dataset.categories_of(parent),
        "files": files,
        "rows": {split: sum(row.split == split for row in rows) for split in dataset.SPLITS},
        "positives": {name: dataset.positives(rows, name) for name in dataset.categories_of(parent)},
        "sources": _sources(parent["sources"], rows),
        "additions": {"train": additions["train"], CORRECTIONS: additions[CORRECTIONS]},
        "growth": {
            "added": dict(sorted(Counter(each.row.split for each in fresh).items())),
            "left_out": dict(sorted(Counter(each.reason for each in left_out).items())),
            "rows_gone": dict(sorted(gone.items())),
        },
    }


def _sources(known: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> list[dict[str, Any]]:
    counts = Counter(row.source for row in rows)
    feedback = {
        "name": FEEDBACK, "origin": "Moderators' corrections, as annotators settled them", "licence": LICENCE,
        "natural": False,
    }  # fmt: skip
    every = [*(source for source in known if source["name"] != FEEDBACK), feedback]
    return [{**source, "rows": counts[str(source["name"])]} for source in every]


def _settle(part: Path, folder: Path, digest: str) -> Path:
    """Put a finished version in its place; one that is there already is never written again."""
    if folder.is_dir():
        shutil.rmtree(part)
        if dataset.verify(folder)["digest"] != digest:
            raise RecipeError(f"{folder} holds another dataset; remove it, or name another folder")
        return folder
    part.rename(folder)
    return folder


def _nothing_new(path: Path, labels: Sequence[AcceptedLabel], reasons: Mapping[str, int]) -> str:
    if not labels:
        return f"{path} has no accepted labels, so there is nothing to add"
    told = "; ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return f"{path}: nothing to add, for all {len(labels)} labels are left out: {told}"


def _lines(path: Path) -> list[tuple[bytes, Row]]:
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [(line, Row(**json.loads(line))) for line in lines]


def _row_line(row: Row) -> bytes:
    return json.dumps(asdict(row)).encode() + b"\n"


def _line(each: Addition | LeftOut) -> bytes:
    return msgspec.json.encode(each) + b"\n"


def _save(path: Path, lines: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(lines))
