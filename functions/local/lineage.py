"""Lineage: which dataset versions and models are at hand, and which came from which."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from local.champion import MODELS
from local.datasets import BUILDS, DESCRIPTION, Description, UnreadableDataset, dataset_folders, describe
from local.models import CHECKOUT
from moderato.artifact import MANIFEST, DatasetRecord, Manifest, load_manifest
from moderato.errors import BrokenModel

ADDITIONS = "additions.jsonl"


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """A label that a dataset version has, as its `additions.jsonl` tells."""

    row: str
    split: str
    review_id: str
    decision_id: str | None = None
    feedback_ids: list[str] = []
    annotators: list[str] = []
    method: str = ""
    values: dict[str, bool | None] = {}
    created: str = ""

    @property
    def ids(self) -> frozenset[str]:
        """The decision, review and feedback that it came from."""
        return frozenset([self.review_id, *self.feedback_ids, *([self.decision_id] if self.decision_id else [])])


@dataclass(frozen=True)
class Version:
    """A dataset version and where it is."""

    folder: Path
    description: Description

    @property
    def digest(self) -> str:
        """The digest of the version itself."""
        return self.description.digest

    @property
    def parent_digest(self) -> str | None:
        """The digest of the version that it grew from."""
        parent = self.description.parent
        return parent.digest if isinstance(parent, DatasetRecord) else None

    def additions(self) -> list[Addition]:
        """Return the labels that it has, its parents' included. Raises UnreadableDataset."""
        path = self.folder / ADDITIONS
        if not path.is_file():
            return []
        try:
            return msgspec.json.Decoder(Addition).decode_lines(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UnreadableDataset(f"{path} cannot be read: {type(error).__name__}") from None


@dataclass(frozen=True)
class Model:
    """A model directory and its manifest."""

    directory: Path
    manifest: Manifest


@dataclass(frozen=True)
class Lineage:
    """The versions and models at hand; a version that is there twice counts once."""

    versions: Sequence[Version]
    models: Sequence[Model] = field(default_factory=list)

    @classmethod
    def find(
        cls, data_directory: Path, builds: Path = BUILDS, beside: Sequence[Path] = (), with_models: bool = True
    ) -> "Lineage":
        """Look in a data folder, in the runs of `make train`, in the checkout, and in the folders `beside`."""
        models = _models(data_directory, builds, beside) if with_models else []
        return cls(list(_versions(builds, data_directory, beside)), list(models))

    def version(self, digest: str) -> Version | None:
        """Return the version of a digest, if it is at hand."""
        return next((each for each in self.versions if each.description.digest == digest), None)

    def line_of(self, digest: str) -> list[Version]:
        """Return the version of a digest and the versions that it grew from, the youngest first, as far as at hand."""
        line: list[Version] = []
        wanted: str | None = digest
        while wanted is not None and (found := self.version(wanted)) is not None and found not in line:
            line.append(found)
            wanted = found.parent_digest
        return line

    def youngest(self, digest: str) -> Version | None:
        """Return the version that last grew from the one of this digest, or that one itself.

        The one of the digest need not be at hand: what grew from it has all that it had.
        """
        found, seen = self.version(digest), {digest}
        while True:
            children = [each for each in self.versions if each.parent_digest == digest and each.digest not in seen]
            if not children:
                return found
            found = max(children, key=_written)
            digest = found.digest
            seen.add(digest)


def _written(version: Version) -> float:
    return (version.folder / DESCRIPTION).stat().st_mtime


def _versions(builds: Path, data_directory: Path, beside: Iterable[Path]) -> Iterator[Version]:
    known = set()
    beside = [folder for folder in beside if (folder / DESCRIPTION).is_file()]
    for folder in [*dataset_folders(builds, data_directory), *beside]:
        try:
            description = describe(folder)
        except UnreadableDataset:
            continue  # `moderato dataset show` says what is wrong with it
        if description.digest not in known:
            known.add(description.digest)
            yield Version(folder, description)


def _models(data_directory: Path, builds: Path, beside: Iterable[Path]) -> Iterator[Model]:
    known = set()
    places = [*(data_directory / MODELS).glob("[!.]*"), *builds.glob("*/model"), CHECKOUT, *beside]
    for directory in sorted(place for place in places if (place / MANIFEST).is_file()):
        try:
            manifest = load_manifest(directory)
        except BrokenModel:
            continue  # not whole, or of another release: whoever names it is told so
        if manifest.sha256 not in known:
            known.add(manifest.sha256)
            yield Model(directory, manifest)
