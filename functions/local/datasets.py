"""Datasets as folders: what `dataset.json` says of one, whether its files are those it describes, and its rows."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from moderato.artifact import DatasetRecord

SPLITS = ("train", "validation", "test")
DESCRIPTION = "dataset.json"
BUILDS = Path("build")
"""Where `make train` puts its runs, each with its dataset."""
GROWN = "datasets"
"""Where in a data folder `moderato dataset grow` puts versions: NAME/VERSION."""

MAKE_ONE = "`make train RECIPE=starter` makes one in build/starter/dataset"


class UnreadableDataset(Exception):
    """The folder is no dataset, or not the one it was; the message is one sentence, and holds nothing of a text."""


class SourceRecord(msgspec.Struct, frozen=True):
    """Where some of the texts come from."""

    name: str
    licence: str = "unknown"
    origin: str = ""


class Description(msgspec.Struct, frozen=True):
    """What `dataset.json` says; what it says beyond this is left alone."""

    name: str
    version: str
    digest: str
    files: dict[str, str] = {}
    """SHA-256 by file."""
    parent: DatasetRecord | str | None = None
    """The version that it grew from."""
    rows: dict[str, int] = {}
    additions: dict[str, int] = {}
    """Labels of annotators that it has, its parents' included, by whether they are trained on."""
    sources: list[SourceRecord] = []
    duplicates_removed: dict[str, int] | None = None
    """By source: copies of texts that it, or an earlier source, had already; None where nobody counted."""
    near_duplicates_removed: dict[str, int] | None = None
    """By source: texts that were almost a text of a split held out more strictly."""

    @property
    def parent_name(self) -> str | None:
        """Name and version of the parent."""
        return f"{self.parent.name} {self.parent.version}" if isinstance(self.parent, DatasetRecord) else self.parent


class Row(msgspec.Struct, frozen=True):
    """A text, its labels as probabilities (None = unknown), and where it comes from."""

    id: str
    text: str
    labels: dict[str, Annotated[float, msgspec.Meta(ge=0, le=1)] | None]
    source: str
    split: str
    natural: bool = False
    document: str | None = None


def find_datasets(builds: Path, data_directory: Path | None = None) -> list[tuple[Path, Description]]:
    """The datasets of the runs in a folder, and the versions that grew in a data folder. Raises UnreadableDataset."""
    return [(folder, describe(folder)) for folder in dataset_folders(builds, data_directory)]


def dataset_folders(builds: Path, data_directory: Path | None = None) -> list[Path]:
    """Where those datasets are."""
    paths = sorted(builds.glob(f"*/dataset/{DESCRIPTION}"))
    if data_directory is not None:
        paths += sorted((data_directory / GROWN).glob(f"*/*/{DESCRIPTION}"))
    return [path.parent for path in paths]


def describe(folder: Path) -> Description:
    """Read `dataset.json`. Raises UnreadableDataset naming the folder or the file and what is wrong."""
    path = folder / DESCRIPTION
    try:
        return msgspec.json.decode(path.read_bytes(), type=Description)
    except (FileNotFoundError, NotADirectoryError):
        if not folder.is_dir():
            raise UnreadableDataset(f"no folder {folder}; {MAKE_ONE}") from None
        raise UnreadableDataset(f"no {DESCRIPTION} in {folder}: it is not a dataset, or not complete") from None
    except (OSError, ValueError) as error:
        raise UnreadableDataset(f"{path} cannot be read: {_why(error)}") from None


def verify(folder: Path, description: Description) -> None:
    """Compare each file's digest with the description, and the dataset's with its files'. Raises UnreadableDataset."""
    for name, expected in description.files.items():
        path = folder / Path(name).name
        found = _digest_of(path)
        if found != expected:
            raise UnreadableDataset(
                f"{path} is not the file that {DESCRIPTION} describes: "
                f"its sha256 starts with {found[:12]} instead of {expected[:12]}"
            )
    whole = hashlib.sha256(json.dumps(description.files, sort_keys=True).encode()).hexdigest()
    if description.files and whole != description.digest:
        raise UnreadableDataset(
            f"{folder / DESCRIPTION}: digest starts with {description.digest[:12]}, "
            f"but its files make {whole[:12]}; build the dataset anew"
        )


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableDataset(f"{path} cannot be read: {_why(error)}") from None


def read_rows(folder: Path, split: str) -> Iterator[Row]:
    """The rows of a split. Raises UnreadableDataset naming the file, and the line that is not a row of it."""
    path = folder / f"{split}.jsonl"
    decoder = msgspec.json.Decoder(Row)
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = decoder.decode(line)
        except ValueError as error:
            raise UnreadableDataset(f"{path} line {number} is not a row: {_why(error)}") from None
        if row.split != split:
            raise UnreadableDataset(f"{path} line {number} is a row of another split; each split has a file of its own")
        yield row


def _lines(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise UnreadableDataset(f"{path} cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    """What is wrong, without a word of the file."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
