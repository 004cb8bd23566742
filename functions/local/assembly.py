"""The whole API as one handler: the very apps that run on Lambda, with one embedded store."""

import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

import feedback.app
import predict.app
from local.server import Handler
from moderato.artifact import Manifest
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore

DATABASE = "moderato.sqlite3"

SAMPLING_PROBABILITY = 0.01
"""Share of the allowed texts that is kept: enough to estimate what the model misses, little enough to read."""


class UnusableData(Exception):
    """The data folder cannot be used; the message is one sentence for the person who named it."""


@dataclass(frozen=True)
class Moderato:
    """The API, ready to answer, with the model it uses and the store it owns."""

    handler: Handler
    manifest: Manifest
    store: SqliteStore


def assemble(model_directory: Path, data_directory: Path, keep: Keep, logger: Logger) -> Moderato:
    """Load and verify the model, open the store, and build the apps. Raises BrokenModel or UnusableData."""
    scorer = Scorer.load(model_directory)
    store = _open_store(data_directory)
    policy = default_policy(scorer.manifest)
    predicting = predict.app.create_app(
        scorer=scorer,
        card=(model_directory / "card.md").read_text(encoding="utf-8"),
        policies={policy.name: policy},
        store=store,
        retention=Retention(keep, SAMPLING_PROBABILITY, random.Random().random),  # noqa: S311  # a sample, not a secret
        logger=logger,
    )
    recording = feedback.app.create_app(store, scorer.manifest.category_names, logger)
    return Moderato(dispatch(predicting, recording), scorer.manifest, store)


def dispatch(predicting: Handler, recording: Handler) -> Handler:
    """Return a handler that sends each event to its app, as the routes of the deployed API do."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        first = event["rawPath"].split("/")[1:2]
        return (recording if first in (["feedback"], ["decisions"]) else predicting)(event, context)

    return handler


def _open_store(directory: Path) -> SqliteStore:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return SqliteStore(directory / DATABASE)
    except OSError as error:
        raise UnusableData(f"the data folder {directory} cannot be used: {error.strerror}") from None
    except sqlite3.Error as error:
        raise UnusableData(f"{directory / DATABASE} cannot be opened as a database: {error}") from None
