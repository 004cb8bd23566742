"""The command that follows a correction: from a model back to its decisions, from a record on to its models."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from local.options import DATA, AsJson, DataDirectory, Refused
from local.trace import ModelTrace, RecordTrace
from local.tracer import Tracer, UnknownRecord, lineage_around
from moderato.artifact import MANIFEST, load_manifest
from moderato.sqlite import SqliteStore

WIDTH = 500
"""Characters of a line of the tree, at most."""


def trace(
    what: Annotated[
        str, typer.Argument(metavar="MODEL_OR_ID", help="Model directory, or id of a decision, feedback or review.")
    ],
    labels: Annotated[int, typer.Option(help="Labels that are shown of each dataset version.", min=1)] = 20,
    as_json: AsJson = False,
    data_dir: DataDirectory = DATA,
) -> None:
    """Follow a model back to the corrections that made it, or a correction on to the models that learned from it."""
    found = _trace(what, data_dir)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    from rich.console import Console

    from local.trace_tree import model_tree, record_tree

    tree = model_tree(found, labels) if isinstance(found, ModelTrace) else record_tree(found)
    # A tree is cut at the console's width, and an id or a time that is cut is none; a terminal wraps what is longer.
    Console(width=WIDTH).print(tree, soft_wrap=True)


def _trace(what: str, data_directory: Path) -> ModelTrace | RecordTrace:
    directory = Path(what) if _is_model(what) else None
    with _store(data_directory) as store:
        tracer = Tracer(store, lineage_around(directory, data_directory))
        if directory is not None:
            return tracer.model(load_manifest(directory))
        try:
            return tracer.record(what)
        except UnknownRecord as error:
            raise Refused(str(error)) from None


@contextmanager
def _store(data_directory: Path) -> Iterator[SqliteStore]:
    """The database of a data folder; an empty one where there is none, for a model can be traced without."""
    from local.assembly import DATABASE, open_store

    with tempfile.TemporaryDirectory() as empty:
        place = data_directory if (data_directory / DATABASE).is_file() else Path(empty)
        with closing(open_store(place)) as store:
            yield store


def _is_model(what: str) -> bool:
    try:
        return (Path(what) / MANIFEST).is_file() or Path(what).is_dir()
    except OSError:  # longer than a path can be
        return False
