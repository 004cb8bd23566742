"""The whole API as one handler: the very apps that run on Lambda, with one embedded store."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

import feedback.app
import predict.app
from feedback.console import Console
from local.databases import UnusableData, open_database
from local.gate import authorizer_of, gate
from local.models import champions_of
from local.models_report import report_models
from local.server import Handler
from local.sessions import SIGN_IN_URL, Sessions, open_sessions
from local.swap import Switch
from moderato import spans
from moderato.access import FEEDBACK_SEGMENTS, caller_of_authorizer, require_access
from moderato.api import Caller, Guard, open_to_all
from moderato.artifact import Manifest
from moderato.contracts import Span
from moderato.keys import Keys
from moderato.models_report import ModelsReport
from moderato.policy import Policy, default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore

DATABASE = "moderato.sqlite3"

SAMPLING_PROBABILITY = 0.01
"""Share of the allowed texts that is kept: enough to estimate what the model misses, little enough to read."""

RECORDING = FEEDBACK_SEGMENTS | {"console"}
"""First segments of the paths that the feedback app answers."""


@dataclass(frozen=True)
class Assembler:
    """What the apps of any model share: the store, the sessions of the console, and the settings.

    With an `authorizer` they demand keys, and the console shows no pages: a name that anybody may choose is enough on
    the machine itself only.
    """

    data_directory: Path
    store: SqliteStore
    sessions: Sessions
    keep: Keep
    logger: Logger
    authorizer: Handler | None = None

    @classmethod
    def open(cls, data_directory: Path, keep: Keep, logger: Logger, keys: Keys | None) -> "Assembler":
        """Open the data folder, made if missing. Raises UnusableData."""
        store = open_store(data_directory)
        authorizer = None if keys is None else authorizer_of(keys, logger)
        try:
            return cls(data_directory, store, open_sessions(data_directory), keep, logger, authorizer)
        except OSError as error:
            store.close()
            raise UnusableData.of(data_directory, error) from None

    def handler(self, scorer: Scorer, card: str) -> Handler:
        """Return the API around a model; `card` is the model's, in Markdown."""
        policy = default_policy(scorer.manifest)
        apps = dispatch(self._predicting(scorer, card, policy), self._recording(scorer, policy))
        return lead_to_console(apps) if self.authorizer is None else gate(apps, self.authorizer)

    @property
    def _guard(self) -> Guard:
        return open_to_all if self.authorizer is None else require_access

    def _predicting(self, scorer: Scorer, card: str, policy: Policy) -> Handler:
        return predict.app.create_app(
            scorer=scorer,
            card=card,
            policies={policy.name: policy},
            store=self.store,
            retention=Retention(self.keep, SAMPLING_PROBABILITY, random.Random().random),  # noqa: S311  # a sample
            logger=self.logger,
            guard=self._guard,
        )

    def _recording(self, scorer: Scorer, policy: Policy) -> Handler:
        return feedback.app.create_app(
            self.store,
            scorer.manifest.category_names,
            self.logger,
            identify=self.sessions.caller if self.authorizer is None else caller_of_authorizer,
            console=self._console(scorer, policy),
            guard=self._guard,
        )

    def _console(self, scorer: Scorer, policy: Policy) -> Console:
        models = self._models(scorer.manifest)
        if self.authorizer is not None:
            return Console(models=models, identify=_nobody)
        return Console(
            explain=explain_by(scorer, policy),
            thresholds=policy.thresholds,
            models=models,
            identify=self.sessions.identify,
            sign_in_url=SIGN_IN_URL,
            add_pages=self.sessions.add_pages,
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


def assemble(
    model_directory: Path, data_directory: Path, keep: Keep, logger: Logger, keys: Keys | None = None
) -> Moderato:
    """Load and verify the model, open the store, and build the apps. Raises BrokenModel or UnusableData.

    With `keys`, every request needs one of them; without, whoever can reach the API may use it.
    """
    scorer = Scorer.load(model_directory)
    assembler = Assembler.open(data_directory, keep, logger, keys)
    handler = assembler.handler(scorer, read_card(model_directory))
    return Moderato(Switch(handler), scorer.manifest, assembler.store, assembler)


def read_card(model_directory: Path) -> str:
    """Return a model's card, in Markdown."""
    return (model_directory / "card.md").read_text(encoding="utf-8")


def dispatch(predicting: Handler, recording: Handler) -> Handler:
    """Return a handler that sends each event to its app, as the routes of the deployed API do."""

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        first = event["rawPath"].split("/")[1:2]
        return (recording if set(first) & RECORDING else predicting)(event, context)

    return handler


def lead_to_console(handler: Handler) -> Handler:
    """Return a handler that answers `GET /` by the way to the console, and all else as before.

    The address that a server prints is that of `/`: a browser that opens it finds the console.
    """

    def answer(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if event["rawPath"] == "/" and event["requestContext"]["http"]["method"] == "GET":
            return {"statusCode": 303, "headers": {"Location": "/console"}, "body": ""}
        return handler(event, context)

    return answer


def explain_by(scorer: Scorer, policy: Policy) -> Callable[[str], Sequence[Span]]:
    """Return a function that finds the spans of a text which speak for a category, as `explain` does in a request."""
    thresholds = {name: threshold.review for name, threshold in policy.thresholds.items()}
    return lambda text: spans.locate(scorer, text, scorer.score(text), thresholds)


def open_store(directory: Path) -> SqliteStore:
    """Open the database of a data folder, made if missing. Raises UnusableData."""
    return open_database(directory / DATABASE, SqliteStore)


def _nobody(_event: APIGatewayProxyEventV2) -> Caller | None:
    # A key stands for a program, and is in no browser; nobody is let in as the person behind it.
    return None
