"""What is in a dataset: its labels, how they go together, lengths, sources and overlaps, counted row by row."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from local.datasets import SPLITS, Description, Row, describe, read_rows, verify
from moderato.text import letters_of

_POSITIVE = 0.5


class LabelCounts(msgspec.Struct, frozen=True):
    """The labels of one category in one split."""

    positives: int
    negatives: int
    unknown: int
    soft: int
    """Those of the positives and negatives that are neither 1 nor 0: annotators did not agree."""


class Lengths(msgspec.Struct, frozen=True):
    """How long texts are: the median, the 95th percentile and the longest."""

    median: int
    p95: int
    longest: int


class Sizes(msgspec.Struct, frozen=True):
    """Some rows, and how long their texts are; no lengths where there is no row."""

    rows: int
    characters: Lengths | None
    words: Lengths | None


class SourceCounts(msgspec.Struct, frozen=True):
    """What one source gave to the dataset, and what of it was left out."""

    rows: int
    natural: int
    licence: str
    positives: dict[str, int]
    duplicates_removed: int | None
    """None where the dataset does not say."""
    near_duplicates_removed: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is to be known of a dataset before training on it."""

    folder: str
    name: str
    version: str
    digest: str
    verified: bool
    """Whether `dataset.json` gives digests, and the files have them."""
    parent: str | None
    splits: dict[str, Sizes]
    documents: dict[str, int]
    """By split: the documents that rows were cut from."""
    categories: dict[str, dict[str, LabelCounts]]
    """By category and split."""
    co_occurrence: dict[str, dict[str, float | None]]
    """Of the positives of a category, the share that is positive for another, where that one is known."""
    sources: dict[str, SourceCounts]
    source_sizes: dict[str, Sizes]
    texts_in_several_splits: int
    """By content: copies that differ in case, spacing or punctuation are one text."""


def read_report(folder: Path) -> Report:
    """Verify a dataset's files and count what is in them. Raises UnreadableDataset."""
    description = describe(folder)
    verify(folder, description)
    counts = _Counts()
    for split in SPLITS:
        for row in read_rows(folder, split):
            counts.add(row)
    return counts.report(folder, description)


class _Counts:
    """What is counted row by row, so that no text is kept."""

    def __init__(self) -> None:
        self._lengths: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self._labels: dict[str, dict[str, Counter[str]]] = {}
        self._pairs: dict[str, dict[str, Counter[bool]]] = {}
        self._sources: dict[str, Counter[str]] = defaultdict(Counter)
        self._documents: dict[str, set[str]] = {split: set() for split in SPLITS}
        self._splits_of_text: dict[bytes, set[str]] = defaultdict(set)

    def add(self, row: Row) -> None:
        """Count a row."""
        size = (len(row.text), len(row.text.split()))
        self._lengths["split", row.split].append(size)
        self._lengths["source", row.source].append(size)
        self._splits_of_text[_content_hash(row.text)].add(row.split)
        self._sources[row.source]["natural"] += row.natural
        if row.document is not None:
            self._documents[row.split].add(row.document)
        for category, label in row.labels.items():
            kinds = self._labels.setdefault(category, {split: Counter() for split in SPLITS})
            kinds[row.split].update(_kinds_of(label))
            if _is_positive(label):
                self._sources[row.source][f"positive {category}"] += 1
                others = self._pairs.setdefault(category, defaultdict(Counter))
                for other, its_label in row.labels.items():
                    others[other].update([] if its_label is None else [_is_positive(its_label)])

    def report(self, folder: Path, description: Description) -> Report:
        """Sum up."""
        names = [source.name for source in description.sources]
        names += [name for name in self._sources if name not in names]
        return Report(
            folder=str(folder),
            name=description.name,
            version=description.version,
            digest=description.digest,
            verified=bool(description.files),
            parent=description.parent_name,
            splits={split: _sizes(self._lengths["split", split]) for split in SPLITS},
            documents={split: len(documents) for split, documents in self._documents.items()},
            categories={
                category: {split: _label_counts(kinds) for split, kinds in by_split.items()}
                for category, by_split in self._labels.items()
            },
            co_occurrence={category: self._shares(category) for category in self._labels},
            sources={name: self._source(name, description) for name in names},
            source_sizes={name: _sizes(self._lengths["source", name]) for name in names},
            texts_in_several_splits=sum(len(splits) > 1 for splits in self._splits_of_text.values()),
        )

    def _shares(self, category: str) -> dict[str, float | None]:
        answers = {other: self._pairs.get(category, {}).get(other, Counter()) for other in self._labels}
        return {
            other: round(answer[True] / answer.total(), 4) if answer.total() else None
            for other, answer in answers.items()
        }

    def _source(self, name: str, description: Description) -> SourceCounts:
        licence = next((source.licence for source in description.sources if source.name == name), "unknown")
        return SourceCounts(
            rows=len(self._lengths["source", name]),
            natural=self._sources[name]["natural"],
            licence=licence,
            positives={category: self._sources[name][f"positive {category}"] for category in self._labels},
            duplicates_removed=_removed(description.duplicates_removed, name),
            near_duplicates_removed=_removed(description.near_duplicates_removed, name),
        )


def _removed(by_source: Mapping[str, int] | None, name: str) -> int | None:
    return None if by_source is None else by_source.get(name, 0)


def _content_hash(text: str) -> bytes:
    """As training's: copies that differ in case, spacing or punctuation share it."""
    return hashlib.sha256(letters_of(text).encode()).digest()


def _is_positive(label: float | None) -> bool:
    return label is not None and label >= _POSITIVE


def _kinds_of(label: float | None) -> Iterator[str]:
    if label is None:
        yield "unknown"
        return
    yield "positives" if _is_positive(label) else "negatives"
    if 0 < label < 1:
        yield "soft"


def _label_counts(kinds: Mapping[str, int]) -> LabelCounts:
    return LabelCounts(**{name: kinds.get(name, 0) for name in ("positives", "negatives", "unknown", "soft")})


def _sizes(lengths: Sequence[tuple[int, int]]) -> Sizes:
    if not lengths:
        return Sizes(0, None, None)
    characters, words = zip(*lengths, strict=True)
    return Sizes(len(lengths), _spread(characters), _spread(words))


def _spread(lengths: Sequence[int]) -> Lengths:
    """Percentiles by nearest rank: each is the length of a text that there is."""
    ordered = sorted(lengths)
    median, p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return Lengths(median, p95, ordered[-1])
