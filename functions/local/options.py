"""Options that several commands share, and the refusal that a person can mend."""

from pathlib import Path
from typing import Annotated

import typer


class Refused(Exception):
    """The command cannot do what it was asked; the message is one sentence for the person who asked."""


Model = Annotated[
    Path | None, typer.Option(help="Model directory; by default the champion of the data folder.", envvar="MODEL_DIR")
]
DataDirectory = Annotated[
    Path, typer.Option(help="Folder of the database, the champion and the datasets.", envvar="DATA_DIR")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]

DATA = Path("data")
"""The data folder where none is named."""
