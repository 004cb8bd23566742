"""The stage before training: a dataset version and a batch of labels become the version to train on."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from moderato.acceptance import ACCEPTED, ERASED
from training import dataset
from training.additions import CORRECTIONS
from training.config import RecipeError
from training.dataset import SPLITS
from training.folders import emptied
from training.grow import NothingNew, extend
from training.stage_files import SUMMARY


class VersionRecord(msgspec.Struct, frozen=True):
    """Which dataset version."""

    name: str
    version: str
    digest: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary.json`: the version to train on, and what became of the labels."""

    name: str
    version: str
    digest: str
    parent: VersionRecord
    """The version that it grew from; itself, where nothing was new."""
    added: dict[str, int]
    """Labels that got in, by split."""
    left_out: dict[str, int]
    """Labels that did not, by reason."""
    rows: dict[str, int]
    """Rows by split."""

    @property
    def is_new(self) -> bool:
        """Whether there is a next version."""
        return self.digest != self.parent.digest

    def sentence(self) -> str:
        """Return what was prepared, for a person."""
        if not self.is_new:
            return f"Nothing is new: {self.name} {self.version} as it is."
        counts = ", ".join(f"{count:,} {split}" for split, count in self.added.items()) or "none"
        left_out = sum(self.left_out.values())
        return f"{self.name} {self.version} grew from {self.parent.version}: added {counts}; {left_out:,} left out."


def prepare(labels: Path, parent: Path, output: Path, summary: Path) -> Summary:
    """Write the next version of the dataset `parent` to the folder `output`, and what became of it to `summary`.

    `labels` may hold accepted.jsonl and erased.json, a list of ids. Where nothing is new, the version is the parent,
    copied. Validation and test stay the same to the byte. Raises RecipeError naming the file and the line of what is
    wrong; nothing is written then.
    """
    before = dataset.verify(parent)
    _require_plain_names(parent, before)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as space:
        grown, left_out = _grown(labels, parent, Path(space))
        _put(grown or parent, output)
    after = dataset.verify(output)
    found = _summary(before, after, left_out if grown is None else after["growth"]["left_out"], grown is not None)
    summary.mkdir(parents=True, exist_ok=True)
    (summary / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return found


def _grown(labels: Path, parent: Path, space: Path) -> tuple[Path | None, Mapping[str, int]]:
    """The folder of the next version, or None and why no label got in."""
    accepted, erased = labels / ACCEPTED, read_erased(labels / ERASED)
    if not accepted.is_file():
        accepted = space / ACCEPTED
        accepted.touch()
    try:
        return extend(parent, accepted, space / "versions", erased), {}
    except NothingNew as nothing:
        return None, nothing.left_out


def read_erased(path: Path) -> list[str]:
    """The ids of what must go; none where there is no such file. Raises RecipeError where it is no list of ids."""
    if not path.is_file():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecipeError(f"{path} is no list of ids: it has to be a JSON list of strings") from None


def _require_plain_names(folder: Path, description: Mapping[str, Any]) -> None:
    path = next((name for name in description["files"] if Path(name).name != name), None)
    if path is not None:
        raise RecipeError(f"{folder / 'dataset.json'} names a file in another folder; a version's files lie beside it")


def _put(version: Path, output: Path) -> None:
    """Copy the files of a version, and no other, into an emptied folder; dataset.json last."""
    emptied(output)
    for name in (*dataset.describe(version)["files"], "dataset.json"):
        shutil.copyfile(version / name, output / name)


def _summary(
    before: Mapping[str, Any], after: Mapping[str, Any], left_out: Mapping[str, int], is_grown: bool
) -> Summary:
    added = after["growth"]["added"] if is_grown else {}
    return Summary(
        name=after["name"],
        version=after["version"],
        digest=after["digest"],
        parent=VersionRecord(before["name"], before["version"], before["digest"]),
        added={split: added[split] for split in (*SPLITS, CORRECTIONS) if split in added},
        left_out=dict(sorted(left_out.items())),
        rows=after["rows"],
    )
