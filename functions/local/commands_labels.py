"""The commands about labels: grow a dataset by them, export and import them, and add gold items."""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from local import checkout, label_files
from local.databases import existing_store
from local.datasets import GROWN, describe
from local.label_files import Imported
from local.lineage import Lineage, Version
from local.models import find_model
from local.options import DATA, DataDirectory, Model, Refused
from moderato import acceptance
from moderato.acceptance import Accepted
from moderato.artifact import Manifest, load_manifest
from moderato.groundtruth import CONSOLE_JOB
from moderato.store import Store

labels_app = typer.Typer(help="Take labels out, and bring labels in.", no_args_is_help=True)
gold_app = typer.Typer(help="Test items that check annotators.", no_args_is_help=True)


def grow_dataset(
    parent: Annotated[
        Path | None,
        typer.Option(help="Dataset version to grow; by default the youngest of those that the champion comes from."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the new version: OUTPUT/NAME/VERSION; by default in the data folder.")
    ] = None,
    model: Model = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Make a dataset version of its parent and the labels that annotators settled on; leave out what is erased."""
    from moderato.review_queue import ReviewQueue

    manifest = load_manifest(find_model(model, data_dir))
    place = parent or _youngest(manifest, data_dir)
    with existing_store(data_dir) as store:
        label_files.require_about(store, manifest.category_names)
        additions, erased = Version(place, describe(place)).additions(), store.erased()
        known = {addition.review_id for addition in additions}
        accepted = ReviewQueue(store, manifest.category_names).accepted(known=known)
        if known and not accepted and not any(addition.ids & erased for addition in additions):
            typer.echo(f"{place} has every accepted label already; nothing to add.")
            return
        version = _grow(place, accepted, output or data_dir / GROWN, erased)
        description = describe(version)
        taken = {addition.review_id for addition in Version(version, description).additions()}
        store.mark_labels(
            [each.label.review_id for each in accepted if each.label.review_id in taken],
            f"{description.name}/{description.version}",
        )
    added, rest = sum(each.label.review_id in taken for each in accepted), len(accepted)
    typer.echo(f"{version}: {description.name} {description.version}, {added} of {rest} accepted labels taken.")


@labels_app.command("export")
def export_labels(
    file: Annotated[Path, typer.Argument(help="The manifest to write, JSON lines.")],
    model: Model = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Write all labels as an augmented manifest, as Ground Truth does."""
    categories = _categories(model, data_dir)
    with existing_store(data_dir) as store:
        count = label_files.export_labels(store, categories, file)
    typer.echo(f"{count} labels written to {file}.")


@labels_app.command("batch")
def write_batch(
    folder: Annotated[Path, typer.Argument(help="The folder to write accepted.jsonl and erased.json into.")],
    model: Model = None,
    table: Annotated[
        str | None, typer.Option(help="Deployed table, the stack's output TableName; without it, the data folder's.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="AWS region of the table.", envvar="AWS_REGION")] = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Write every settled label with its text, and what was erased, for a training elsewhere (docs/schedulers.md).

    Answers are looked over first, and a label that no longer stands is taken back. With --table, --model is the model
    that serves there.
    """
    if table is not None and model is None:
        raise Refused(
            "name the directory of the model that serves the table by --model: labels are about its categories"
        )
    categories = _categories(model, data_dir)
    with _records(table, region, data_dir) as store:
        count = label_files.write_batch(store, categories, folder)
    why = "" if count else " A label comes of a review that enough annotators agree on: docs/feedback-loop.md."
    typer.echo(f"{count} labels written to {folder}.{why}")


@labels_app.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(help="An augmented manifest, JSON lines.")],
    job: Annotated[str, typer.Option(help="The labeling job that its lines must name.")] = CONSOLE_JOB,
    model: Model = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Bring in labels that were settled elsewhere; lines that cannot be trusted are listed with their reason.

    Exit status 1 if there were only such lines.
    """
    categories = _categories(model, data_dir)
    with existing_store(data_dir) as store:
        imported = label_files.import_labels(store, categories, file, job)
    _tell(imported)
    if imported.quarantined and not imported.trusted:
        raise typer.Exit(1)


@gold_app.command("add")
def add_gold(
    file: Annotated[Path, typer.Argument(help=f"JSON lines: {label_files.GOLD_LINE}.")],
    model: Model = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Add test items whose answer is known; annotators get them like any other text, and are checked by them."""
    from local.gold import add_items

    directory = find_model(model, data_dir)
    items = label_files.read_gold(file, load_manifest(directory).category_names)
    with existing_store(data_dir) as store:
        added = add_items(store, directory, items)
    typer.echo(f"{added} gold items added, {len(items) - added} were there.")


def _youngest(manifest: Manifest, data_directory: Path) -> Path:
    record = manifest.dataset
    version = Lineage.find(data_directory, with_models=False).youngest(record.digest)
    if version is None:
        raise Refused(
            f"dataset {record.name} {record.version}, which the champion was trained on, is not at hand: "
            "name the folder of the version to grow by --parent"
        )
    return version.folder


def _grow(parent: Path, accepted: Sequence[Accepted], output: Path, erased: Collection[str]) -> Path:
    # A file is all that goes from serving to training.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / acceptance.ACCEPTED
        path.write_bytes(acceptance.encode_labels(accepted))
        return checkout.grow(parent, path, output, erased)


@contextmanager
def _records(table: str | None, region: str | None, data_directory: Path) -> Iterator[Store]:
    """The records of a deployed table, or of a data folder."""
    if table is None:
        with existing_store(data_directory) as store:
            yield store
    else:
        from local.aws import deployed_store

        with deployed_store(table, region) as deployed:
            yield deployed


def _categories(model: Path | None, data_directory: Path) -> tuple[str, ...]:
    return load_manifest(find_model(model, data_directory)).category_names


def _tell(imported: Imported) -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(
        f"{imported.settled} labels settled, {imported.disputed} texts in dispute, {imported.lone} answered by one "
        f"annotator only, {imported.closed} not open, {len(imported.quarantined)} lines in quarantine."
    )
    if imported.quarantined:
        table = Table("line", "why", "review", box=None, pad_edge=False)
        for each in imported.quarantined:
            table.add_row(str(each.line_number), each.reason, each.review_id or "")
        Console().print(table)
