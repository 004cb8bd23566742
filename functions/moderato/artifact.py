"""A model directory: what its manifest says, and proof that its files are the ones the manifest speaks of."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from moderato import text
from moderato.errors import BrokenModel

MANIFEST = "manifest.json"
REQUIRED_FILES = ("model.onnx", "tokenizer.json", "golden.jsonl", "card.md")
_OPTIONAL = ("parent", "reference")


class Problem(StrEnum):
    """What a model decides: each category on its own, exactly one of them, or one category alone."""

    MULTI_LABEL = "multi-label"
    SINGLE_LABEL = "single-label"
    BINARY = "binary"


class Calibration(msgspec.Struct, frozen=True):
    """Platt scaling: the score is `sigmoid(scale * logit + shift)` (Platt 1999).

    In a single-label model the scores are the softmax of `scale * logit + shift` (vector scaling, Guo et al. 2017).
    """

    scale: float
    shift: float


class Category(msgspec.Struct, frozen=True):
    """A category in output order, with the scores from which it calls for review and for block."""

    name: str
    review: float | None
    """None where the category is scored and never acts: a topic is no harm."""
    block: float | None
    """None where validation showed no score that is sure enough to block."""
    calibration: Calibration


class FileRecord(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


class DatasetRecord(msgspec.Struct, frozen=True):
    """The dataset version that a model was trained on."""

    name: str
    version: str
    digest: str


class EncoderRecord(msgspec.Struct, frozen=True):
    """The pretrained encoder that a model began as."""

    name: str
    licence: str


class Metric(msgspec.Struct, frozen=True):
    """One category's figures on the held-out natural mix, taken with the served scorer."""

    positives: int
    rows: int
    roc_auc: float
    average_precision: float
    precision: float
    recall: float
    f1: float
    roc_auc_interval: tuple[float, float] | None = None
    """95 % bootstrap interval."""
    f1_interval: tuple[float, float] | None = None
    calibration_error: float | None = None
    """Expected calibration error after calibration, 10 bins of equal width."""


class ScoreDistribution(msgspec.Struct, frozen=True, kw_only=True):
    """How one category's scores are distributed: between these edges lie these shares of the texts."""

    edges: tuple[float, ...]
    """Where one bin ends and the next begins, ascending; a score on an edge is in the bin above it."""
    shares: tuple[float, ...]
    """One more than there are edges; their sum is 1."""
    mean: float
    flag_rate: float
    """The share of the texts that reach the review threshold of this category."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the shares fit the edges; where it is read, the reader refuses the file."""
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges part {len(self.edges) + 1} shares, not {len(self.shares)}")


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of texts as a model is meant to see them, by which later ones are seen to drift (`moderato.drift`)."""

    texts: int
    flag_rate: float
    """The share of the texts that are flagged, by whichever category."""
    reversal_rate: float | None
    """The share of the flags that were wrong; None where none could be judged."""
    judged_flags: int
    """How many flags that share is of."""
    categories: dict[str, ScoreDistribution]

    def __post_init__(self) -> None:
        """Raise ValueError unless it is of some texts; where it is read, the reader refuses the file."""
        if self.texts < 1:
            raise ValueError(f"a reference is of one text or more, not of {self.texts}")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`: written last, so that a directory that has it is whole."""

    name: str
    version: str
    description: str
    created: str
    problem: Problem = Problem.MULTI_LABEL
    categories: tuple[Category, ...]
    window_tokens: int
    overlap_tokens: int
    normalizer: int
    encoder: EncoderRecord
    dataset: DatasetRecord
    metrics: dict[str, Metric]
    files: dict[str, FileRecord]
    parent: str | None = None
    """Digest of the manifest of the model that training went on from; None where it began with the encoder."""
    reference: Reference | None = None
    """The scores of the held-out natural texts; None in models that were made before drift was looked for."""
    sha256: str = ""
    """Digest of this manifest without this field: a manifest has no other file to vouch for it."""

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories' names in output order."""
        return tuple(category.name for category in self.categories)


def load_manifest(directory: Path) -> Manifest:
    """Read and verify the manifest itself. Raises BrokenModel naming what is wrong with which file."""
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except OSError:
        raise BrokenModel(f"no model at {directory}: {MANIFEST} is missing or cannot be read") from None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenModel(f"{path} is not a model manifest: {error}") from None
    _expect(path, "sha256", manifest.sha256, _digest(msgspec.json.decode(content)))
    if manifest.normalizer != text.VERSION:
        raise BrokenModel(f"{path} expects normalizer {manifest.normalizer}, but this release has {text.VERSION}")
    return manifest


def verify_files(directory: Path, manifest: Manifest) -> None:
    """Compare each file's size and digest with the manifest. Raises BrokenModel naming the file, expected and found."""
    for name in REQUIRED_FILES:
        if name not in manifest.files:
            raise BrokenModel(f"{directory / MANIFEST} does not list {name}")
    for name, record in manifest.files.items():
        found = record_file(directory / name)
        _expect(
            directory / name, "sha256", f"{record.sha256} ({record.size} bytes)", f"{found.sha256} ({found.size} bytes)"
        )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Seal the manifest with its digest and write it; the last file of a model directory."""
    sealed = msgspec.structs.replace(manifest, sha256=manifest_digest(manifest))
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(_told(sealed)), indent=1) + b"\n")


def manifest_digest(manifest: Manifest) -> str:
    """SHA-256 of the manifest with an empty `sha256`, as compact JSON with sorted keys."""
    return _digest(_told(manifest))


def _told(manifest: Manifest) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    # Not said at all where there is none: so a manifest from before there was such a thing keeps its digest.
    return {name: value for name, value in content.items() if value is not None or name not in _OPTIONAL}


def _digest(content: dict[str, Any]) -> str:
    # Of what the file says, not of what this release makes of it: a newer release reads an older manifest.
    return hashlib.sha256(msgspec.json.encode(content | {"sha256": ""}, order="sorted")).hexdigest()


def record_file(path: Path) -> FileRecord:
    """Size and digest of a file. Raises BrokenModel when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        raise BrokenModel(f"{path} is missing or cannot be read") from None
    return FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _expect(path: Path, what: str, expected: str, found: str) -> None:
    if expected != found:
        raise BrokenModel(
            f"{path} is not the file that the model was made with: expected {what} {expected}, found {found}"
        )
