"""`model.tar.gz`: a model directory as one file, which is how SageMaker keeps models; what is read is not trusted."""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from moderato.artifact import MANIFEST, REQUIRED_FILES
from training.folders import emptied

ARCHIVE = "model.tar.gz"

FILES = (MANIFEST, *REQUIRED_FILES)
"""All that an archive may hold, at its top."""

LARGEST_GRAPH_BYTES = 2 * 1024**3
"""Of model.onnx: protobuf, and so a graph in one file, ends there."""
LARGEST_TEXT_BYTES = 64 * 1024**2
"""Of each other file: the largest, a tokenizer of 250,000 words, has some 17 MB."""


class UnusableModel(Exception):
    """An input folder holds no model that can be read; the message is one sentence for the person who asked."""


def find_model(folder: Path, space: Path) -> Path:
    """Return the model directory of an input folder: the folder itself, or its `model.tar.gz` unpacked into `space`.

    Raises UnusableModel when it holds neither. What the files say is not looked at: loading a model verifies them.
    """
    if (folder / MANIFEST).is_file():
        return folder
    if (folder / ARCHIVE).is_file():
        return unpack(folder / ARCHIVE, space)
    raise UnusableModel(f"{folder} holds no model: put a model directory's files there, or one {ARCHIVE}")


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack an archive into a directory, which is emptied first, and return it.

    Only plain files of a model, each once and none too large, are taken out; with anything else in it the archive is
    refused as a whole: UnusableModel.
    """
    emptied(directory)
    try:
        for name, source in _files(archive):
            with (directory / name).open("xb") as copy:
                shutil.copyfileobj(source, copy)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UnusableModel(f"{archive} cannot be unpacked: {_kind(error)}") from None
    if not (directory / MANIFEST).is_file():
        raise UnusableModel(f"{archive} has no {MANIFEST} at its top")
    return directory


def pack(directory: Path, archive: Path) -> Path:
    """Write a model directory's files into an archive and return it; the same files make the same bytes."""
    part = archive.with_name(f"{archive.name}.part")
    with (
        part.open("wb") as raw,
        # Name and time of day would be in the header otherwise.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as files,
    ):
        for name in FILES:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = (directory / name).stat().st_size, 0o644
            with (directory / name).open("rb") as source:
                files.addfile(entry, source)
    part.replace(archive)
    return archive


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of an archive in their order; refuses it at the first entry that is none of a model's."""
    seen: set[str] = set()
    # Read as a stream, so that nothing behind a refused entry is even unpacked.
    with tarfile.open(archive, "r|gz") as files:
        for member in files:
            name = member.name.removeprefix("./")
            if member.isdir() and name in (".", ""):
                continue
            source = files.extractfile(member) if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else None
            if name not in FILES or name in seen or source is None:
                raise UnusableModel(
                    f"{archive} holds {member.name[:80]!r}, which is no file of a model: at its top belong "
                    f"{', '.join(FILES)}, each once, and nothing else"
                )
            largest = LARGEST_GRAPH_BYTES if name == "model.onnx" else LARGEST_TEXT_BYTES
            if member.size > largest:
                raise UnusableModel(f"{archive}: {name} has {member.size:,} bytes; at most {largest:,} are read")
            seen.add(name)
            yield name, source


def _kind(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it is no complete tar.gz"
