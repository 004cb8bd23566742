"""`python -m training.stages prepare|evaluate`: the stages of the pipeline that SageMaker runs as processing jobs.

Folders lie under ML_ROOT (default /opt/ml) in `processing/input/NAME` and `processing/output/NAME`. How a stage ended
is told in one sentence, which a processing job shows as its ExitMessage.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from moderato.errors import BrokenModel
from training.config import RecipeError
from training.model_archive import UnusableModel
from training.promote import CannotCompare

ROOT = Path("/opt/ml")

LONGEST_MESSAGE = 1_000
"""Bytes of UTF-8: ExitMessage takes 1,024 and fails a job whose text was cut within a letter."""

app = typer.Typer(
    help="The stages of the retraining pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True)
class Places:
    """Where a stage finds and leaves its files."""

    root: Path

    def given(self, name: str) -> Path:
        """Return the folder of an input."""
        return self.root / "processing" / "input" / name

    def made(self, name: str) -> Path:
        """Return the folder of an output."""
        return self.root / "processing" / "output" / name

    def tell(self, sentence: str) -> None:
        """Leave a sentence for whoever looks at the job."""
        message = self.root / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        shortened = sentence.encode()[:LONGEST_MESSAGE].decode(errors="ignore")
        message.write_text(shortened, encoding="utf-8")


@app.command()
def prepare() -> None:
    """Labels and the parent version in, the version to train on out."""
    from training.stage_prepare import prepare as stage

    with _told(_places()) as places:
        found = stage(places.given("labels"), places.given("dataset"), places.made("dataset"), places.made("summary"))
        _end(places, found.sentence())


@app.command()
def evaluate() -> None:
    """Champion, challenger and a dataset in, the verdict with its evidence out. A worse challenger is no error."""
    from training.stage_evaluate import evaluate as stage

    with _told(_places()) as places:
        sources = places.given("sources")
        found = stage(
            places.given("champion"),
            places.given("challenger"),
            places.given("dataset"),
            places.made("evaluation"),
            sources if sources.is_dir() else None,
        )
        _end(places, found.sentence())


def _places() -> Places:
    return Places(Path(os.environ.get("ML_ROOT", ROOT)))


def _end(places: Places, sentence: str) -> None:
    places.tell(sentence)
    print(sentence)


@contextmanager
def _told(places: Places) -> Iterator[Places]:
    try:
        yield places
    except (RecipeError, CannotCompare, BrokenModel, UnusableModel) as error:
        places.tell(str(error))
        sys.exit(f"stages: {error}")
    except Exception as error:
        # Its message may quote a text that it stumbled over; the log has the trace.
        places.tell(f"{type(error).__name__}; the job's log has the trace")
        raise


if __name__ == "__main__":
    app()
