"""The `moderato` command in this process: what it prints, and how it ends."""

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from local.cli import REFUSALS, app


@dataclass(frozen=True)
class Done:
    """A command that came to its end; `refusal` is the sentence for the person who asked, where it was refused."""

    status: int
    output: str
    refusal: str


def run(*arguments: str | Path, columns: int = 200) -> Done:
    """Run the command on a terminal, a wide one; an exception that is no refusal is raised."""
    environment = {"COLUMNS": str(columns), "NO_COLOR": "1", "DATA_DIR": None, "MODEL_DIR": None}
    result = CliRunner().invoke(app, [str(each) for each in arguments], env=environment)
    if isinstance(result.exception, REFUSALS):
        return Done(1, result.output, str(result.exception))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.output, "")
