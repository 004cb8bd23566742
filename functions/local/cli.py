"""The `moderato` command: serve the API, score texts, describe the model."""

import errno
import ipaddress
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from local import outputs, texts
from local.datasets import UnreadableDataset
from local.models import find_model
from local.texts import UnreadableFile
from moderato.artifact import load_manifest, verify_files
from moderato.errors import BrokenModel
from moderato.retention import Keep
from moderato.telemetry import make_logger

LOCALHOST = "127.0.0.1"
GREETING = """\
Moderato listens on {url}
  model  {model}
  data   {data}
  try    curl -s {url}/moderate -H 'content-type: application/json' -d '{{"text": "You are wonderful"}}'
Ctrl-C stops it.
"""

app = typer.Typer(
    help="Moderate text with a model of your own: serve the API, score files, look at the model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

dataset_app = typer.Typer(help="Look at the datasets that models are trained on.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")

Model = Annotated[Path | None, typer.Option(help="Model directory; the starter model by default.", envvar="MODEL_DIR")]
Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", envvar="PORT", min=0, max=65535)]
DataDirectory = Annotated[Path, typer.Option(help="Folder of the database, made if missing.", envvar="DATA_DIR")]
StoreDecisions = Annotated[Keep, typer.Option(help="Which decisions are stored.", envvar="STORE_DECISIONS")]


class Refused(Exception):
    """The command cannot do what it was asked; the message is one sentence for the person who asked."""


def main() -> None:
    """Run the command; what a person can mend is one sentence on standard error, and exit status 1."""
    try:
        app()
    except (BrokenModel, Refused, UnreadableDataset, UnreadableFile, outputs.UnwritableFile) as error:
        sys.stderr.write(f"moderato: {error}\n")
        raise SystemExit(1) from None


@app.command()
def serve(
    port: Port = 8000,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = LOCALHOST,
    model: Model = None,
    data_dir: DataDirectory = Path("data"),
    store_decisions: StoreDecisions = Keep.FLAGGED,
) -> None:
    """Run the API on this machine until Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    _require_loopback(host)
    try:
        _serve(host, port, find_model(model), data_dir, store_decisions)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")


@app.command()
def score(
    source: Annotated[str, typer.Argument(metavar="TEXT_OR_FILE", help="A text, or a .csv, .jsonl or .txt file.")],
    text_column: Annotated[
        str | None, typer.Option(help="Column or field that holds the text (default: text).")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the results to this .csv or .jsonl file.")] = None,
    model: Model = None,
) -> None:
    """Score a text, or every text of a file: a table on a terminal, JSON lines into a pipe, or a file."""
    if output is not None and output.suffix.lower() not in outputs.SUFFIXES:
        raise Refused(f"{output}: results are written to a file that ends in {' or '.join(outputs.SUFFIXES)}")
    from local.batch import Batch

    path = _file(source)
    rows = texts.read(path, text_column) if path else [texts.check(1, source)]
    if not Batch.open(find_model(model)).run(rows, output, lines=texts.count_lines(path) if path else 1):
        raise typer.Exit(1)


@app.command()
def model(model: Model = None) -> None:
    """Tell what the model is and how good it is."""
    from local.tables import model_tables

    directory = find_model(model)
    manifest = load_manifest(directory)
    verify_files(directory, manifest)
    Console().print(model_tables(manifest, str(directory)))


@dataset_app.command("show")
def show_dataset(
    folder: Annotated[Path | None, typer.Argument(help="Folder of a dataset; without it, those there are.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")] = False,
) -> None:
    """Tell what is in a dataset: labels, co-occurrence, lengths, sources and overlaps."""
    from local.dataset_tables import print_datasets, print_report

    if folder is None:
        print_datasets(as_json)
    else:
        print_report(folder, as_json)


def _serve(host: str, port: int, model_directory: Path, data_directory: Path, keep: Keep) -> None:
    from local.assembly import UnusableData, assemble
    from local.server import run

    logger = make_logger("local")
    try:
        moderato = assemble(model_directory, data_directory, keep, logger)
    except UnusableData as error:
        raise Refused(str(error)) from None
    with closing(moderato.store), closing(_listen(host, port)) as listener:
        address, taken_port = listener.getsockname()[:2]
        url = f"http://[{address}]:{taken_port}" if ":" in address else f"http://{address}:{taken_port}"
        name = f"{moderato.manifest.name} {moderato.manifest.version}"
        sys.stdout.write(GREETING.format(url=url, model=name, data=data_directory.resolve()))
        sys.stdout.flush()
        run(moderato.handler, listener, logger)


def _listen(host: str, port: int) -> socket.socket:
    from local.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} of {host} is taken by another program; choose another by --port or PORT"
            ) from None
        raise Refused(f"cannot listen on port {port} of {host}: {error.strerror}") from None


def _require_loopback(host: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(LOCALHOST if host == "localhost" else host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Refused(f"{host} is not a loopback address: without keys, the API serves this machine only (127.0.0.1)")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


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
