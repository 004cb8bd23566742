"""The whole API as one handler: the very apps that run on Lambda, with one embedded store."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

import feedback.app
import predict.app
from feedback.console import Console
from local.models import champions_of
from local.models_report import report_models
from local.server import Handler
from local.sessions import SIGN_IN_URL, Sessions, open_sessions
from local.swap import Switch
from moderato import spans
from moderato.artifact import Manifest
from moderato.contracts import Span
from moderato.models_report import ModelsReport
from moderato.policy import Policy, default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore

DATABASE = "moderato.sqlite3"

SAMPLING_PROBABILITY = 0.01
"""Share of the allowed texts that is kept: enough to estimate what the model misses, little enough to read."""

RECORDING = {"feedback", "decisions", "reviews", "loop", "labels.manifest", "console"}
"""First steps of the paths that the feedback app answers."""


class UnusableData(Exception):
    """The data folder cannot be used; the message is one sentence for the person who named it."""


@dataclass(frozen=True)
class Assembler:
    """What the apps of any model share: the store, the sessions of the console, and the settings."""

    data_directory: Path
    store: SqliteStore
    sessions: Sessions
    keep: Keep
    logger: Logger

    @classmethod
    def open(cls, data_directory: Path, keep: Keep, logger: Logger) -> "Assembler":
        """Open the data folder, made if missing. Raises UnusableData."""
        store = open_store(data_directory)
        try:
            return cls(data_directory, store, open_sessions(data_directory), keep, logger)
        except OSError as error:
            store.close()
            raise UnusableData(f"the data folder {data_directory} cannot be used: {error.strerror}") from None

    def handler(self, scorer: Scorer, card: str) -> Handler:
        """Return the API around a model; `card` is the model's, in Markdown."""
        policy = default_policy(scorer.manifest)
        return dispatch(self._predicting(scorer, card, policy), self._recording(scorer, policy))

    def _predicting(self, scorer: Scorer, card: str, policy: Policy) -> Handler:
        return predict.app.create_app(
            scorer=scorer,
            card=card,
            policies={policy.name: policy},
            store=self.store,
            retention=Retention(self.keep, SAMPLING_PROBABILITY, random.Random().random),  # noqa: S311  # a sample
            logger=self.logger,
        )

    def _recording(self, scorer: Scorer, policy: Policy) -> Handler:
        return feedback.app.create_app(
            self.store,
            scorer.manifest.category_names,
            self.logger,
            identify=self.sessions.caller,
            console=Console(
                explain=explain_by(scorer, policy),
                thresholds=policy.thresholds,
                models=self._models(scorer.manifest),
                identify=self.sessions.identify,
                sign_in_url=SIGN_IN_URL,
                add_pages=self.sessions.add_pages,
            ),
        )

    def _models(self, manifest: Manifest) -> Callable[[], ModelsReport]:
        return lambda: report_models(champions_of(self.data_directory), self.data_directory, manifest)


@dataclass(frozen=True)
class Moderato:
    """The API, ready to answer, with the model it began with and the store it owns."""

    handler: Switch
    manifest: Manifest
    store: SqliteStore
    assembler: Assembler

    def load(self, model_directory: Path) -> Handler:
        """Return the API around another model, on the same store. Raises BrokenModel."""
        return self.assembler.handler(Scorer.load(model_directory), read_card(model_directory))


def assemble(model_directory: Path, data_directory: Path, keep: Keep, logger: Logger) -> Moderato:
    """Load and verify the model, open the store, and build the apps. Raises BrokenModel or UnusableData."""
    scorer = Scorer.load(model_directory)
    assembler = Assembler.open(data_directory, keep, logger)
    handler = assembler.handler(scorer, read_card(model_directory))
    return Moderato(Switch(handler), scorer.manifest, assembler.store, assembler)


def read_card(model_directory: Path) -> str:
    """Return a model's card, in Markdown."""
    return (model_directory / "card.md").read_text(encoding="utf-8")


def dispatch(predicting: Handler, recording: Handler) -> Handler:
    """Return a handler that sends each event to its app, as the routes of the deployed API do, and `GET /` to people's.

    The address that a server prints is that of `/`: a browser that opens it finds the console.
    """

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if event["rawPath"] == "/" and event["requestContext"]["http"]["method"] == "GET":
            return {"statusCode": 303, "headers": {"Location": "/console"}, "body": ""}
        first = event["rawPath"].split("/")[1:2]
        return (recording if set(first) & RECORDING else predicting)(event, context)

    return handler


def explain_by(scorer: Scorer, policy: Policy) -> Callable[[str], Sequence[Span]]:
    """Return a function that finds the spans of a text which speak for a category, as `explain` does in a request."""
    thresholds = {name: threshold.review for name, threshold in policy.thresholds.items()}
    return lambda text: spans.locate(scorer, text, scorer.score(text), thresholds)


def open_store(directory: Path) -> SqliteStore:
    """Open the database of a data folder, made if missing. Raises UnusableData."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return SqliteStore(directory / DATABASE)
    except OSError as error:
        raise UnusableData(f"the data folder {directory} cannot be used: {error.strerror}") from None
    except sqlite3.Error as error:
        raise UnusableData(f"{directory / DATABASE} cannot be opened as a database: {error}") from None
