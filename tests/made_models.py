"""Model directories for tests: whole by their digests though no graph is in them, or the starter model changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from moderato import text
from moderato.artifact import (
    REQUIRED_FILES,
    Calibration,
    Category,
    DatasetRecord,
    EncoderRecord,
    Manifest,
    load_manifest,
    record_file,
    write_manifest,
)

STARTER = Path(__file__).parents[1] / "models" / "starter"


def make_model(directory: Path, version: str = "1.0.0", **fields: Any) -> Path:
    """Write a model directory whose files say nothing, and whose digests are right; return it."""
    directory.mkdir(parents=True)
    for name in REQUIRED_FILES:
        (directory / name).write_text(f"{name} of {version}")
    defaults: dict[str, Any] = {
        "name": "made",
        "description": "Made for a test.",
        "created": "2026-11-21T12:00:00+00:00",
        "categories": (Category("insult", 0.5, None, Calibration(1.0, 0.0)),),
        "window_tokens": 128,
        "overlap_tokens": 64,
        "normalizer": text.VERSION,
        "encoder": EncoderRecord("none", "none"),
        "dataset": DatasetRecord("made", "1", "0" * 64),
        "metrics": {},
        "files": {name: record_file(directory / name) for name in REQUIRED_FILES},
    }
    write_manifest(directory, Manifest(**(defaults | {"version": version} | fields)))
    return directory


def change_starter(directory: Path, change: Callable[[Path, Manifest], Manifest]) -> Path:
    """Copy the starter model, let `change` alter its files and its manifest, and seal it anew; return the copy."""
    shutil.copytree(STARTER, directory)
    manifest = change(directory, load_manifest(directory))
    files = {name: record_file(directory / name) for name in REQUIRED_FILES}
    write_manifest(directory, msgspec.structs.replace(manifest, files=files))
    return directory


def renamed(version: str) -> Callable[[Path, Manifest], Manifest]:
    """Return a change that gives the starter model another version, and nothing else."""
    return lambda _directory, manifest: msgspec.structs.replace(manifest, version=version)
