"""Copies of model directories: whole, proved, and on the disk before anything points to them."""

import os
import re
import shutil
from pathlib import Path

from moderato.artifact import MANIFEST, Manifest, load_manifest, verify_files
from moderato.errors import BrokenModel

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def keep(source: Path, manifest: Manifest, folder: Path) -> Path:
    """Return the whole copy of a model in a folder, which is made when there is none. Raises BrokenModel or OSError."""
    name = "-".join(_UNSAFE.sub("_", part) for part in (manifest.name, manifest.version, manifest.sha256[:12]))
    target = folder / name.lstrip(".")
    if not _is_whole(target, manifest):
        _copy(source, target, manifest)
    return target


def require_plain_names(directory: Path, manifest: Manifest) -> None:
    """Raise BrokenModel where a manifest lists a file that is not in the model's own folder."""
    for name in manifest.files:
        if Path(name).name != name:
            raise BrokenModel(f"{directory / MANIFEST} lists a file that is not in the model's own folder")


def flush(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_whole(directory: Path, manifest: Manifest) -> bool:
    try:
        found = load_manifest(directory)
        verify_files(directory, found)
    except BrokenModel:
        return False
    return found.sha256 == manifest.sha256


def _copy(source: Path, target: Path, manifest: Manifest) -> None:
    """Copy the files of a manifest, and the manifest; the target appears whole, and is on the disk."""
    part = target.with_name(f".{target.name}.part")
    for leftover in (part, target):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    for name in [*manifest.files, MANIFEST]:
        shutil.copyfile(source / name, part / name)
        flush(part / name)
    verify_files(part, load_manifest(part))
    flush(part)
    part.rename(target)
    flush(target.parent)
