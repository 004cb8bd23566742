"""The `moderato` command: serve the API, score texts, describe the model, and what the other commands add."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local import (
    commands_drift,
    commands_keys,
    commands_labels,
    commands_models,
    commands_serve,
    commands_trace,
    outputs,
    texts,
)
from local.datasets import UnreadableDataset
from local.models import find_model
from local.options import DATA, AsJson, DataDirectory, Model, Refused
from local.texts import UnreadableFile
from moderato.artifact import load_manifest, verify_files
from moderato.errors import BrokenModel

app = typer.Typer(
    help="Moderate text with a model of your own: serve the API, score files, look at the model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

dataset_app = typer.Typer(help="Look at the datasets that models are trained on.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")

app.command()(commands_serve.serve)
app.command()(commands_models.promote)
app.command()(commands_models.rollback)
app.command()(commands_models.champion)
app.command()(commands_trace.trace)
app.command()(commands_drift.drift)
dataset_app.command("grow")(commands_labels.grow_dataset)
app.add_typer(commands_labels.labels_app, name="labels")
app.add_typer(commands_labels.gold_app, name="gold")
app.add_typer(commands_keys.keys_app, name="keys")


REFUSALS = (BrokenModel, Refused, UnreadableDataset, UnreadableFile, outputs.UnwritableFile)
"""What a person can mend: the message is one sentence for the person who asked."""


def main() -> None:
    """Run the command; what a person can mend is one sentence on standard error, and exit status 1."""
    try:
        app()
    except REFUSALS as error:
        sys.stderr.write(f"moderato: {error}\n")
        raise SystemExit(1) from None


@app.command()
def score(
    source: Annotated[str, typer.Argument(metavar="TEXT_OR_FILE", help="A text, or a .csv, .jsonl or .txt file.")],
    text_column: Annotated[
        str | None, typer.Option(help="Column or field that holds the text (default: text).")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the results to this .csv or .jsonl file.")] = None,
    model: Model = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Score a text, or every text of a file: a table on a terminal, JSON lines into a pipe, or a file."""
    if output is not None and output.suffix.lower() not in outputs.SUFFIXES:
        raise Refused(f"{output}: results are written to a file that ends in {' or '.join(outputs.SUFFIXES)}")
    from local.batch import Batch

    path = _file(source)
    rows = texts.read(path, text_column) if path else [texts.check(1, source)]
    if not Batch.open(find_model(model, data_dir)).run(rows, output, lines=texts.count_lines(path) if path else 1):
        raise typer.Exit(1)


@app.command()
def model(model: Model = None, data_dir: DataDirectory = DATA) -> None:
    """Tell what the model is and how good it is."""
    from local.tables import model_tables

    directory = find_model(model, data_dir)
    manifest = load_manifest(directory)
    verify_files(directory, manifest)
    Console().print(model_tables(manifest, str(directory)))


@dataset_app.command("show")
def show_dataset(
    folder: Annotated[Path | None, typer.Argument(help="Folder of a dataset; without it, those there are.")] = None,
    as_json: AsJson = False,
    data_dir: DataDirectory = DATA,
) -> None:
    """Tell what is in a dataset: labels, co-occurrence, lengths, sources and overlaps."""
    from local.dataset_tables import print_datasets, print_report

    if folder is None:
        print_datasets(as_json, data_dir)
    else:
        print_report(folder, as_json)


def _file(source: str) -> Path | None:
    """Return the file that `source` names, or None where it is a text."""
    path = Path(source)
    try:
        if path.is_file():
            return path
    except OSError:  # longer than a path can be
        return None
    looks_like_file = path.suffix.lower() in texts.SUFFIXES and not any(map(str.isspace, source))
    return path if looks_like_file else None
