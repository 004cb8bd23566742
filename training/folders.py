"""Folders that belong to somebody else: SageMaker makes an output's folder, and keeps it mounted while a job runs."""

import shutil
from pathlib import Path


def emptied(folder: Path) -> Path:
    """Return the folder, there and with nothing in it; it is never removed itself, since a mounted one cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder
