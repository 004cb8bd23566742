"""What many tests need: the starter model, loaded once, the moderation app around it, and stacks of the template."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.review_queue import ReviewQueue
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from predict.app import create_app
from tests.queues import CATEGORIES, Time
from tests.records import logger_to
from tests.translated import SHAPES, Resources, deployed

STARTER = Path(__file__).parents[1] / "models" / "starter"

App = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """The starter model, verified."""
    return Scorer.load(STARTER)


@pytest.fixture
def logs() -> StringIO:
    """Where the app of `moderation` logs to."""
    return StringIO()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """An empty store."""
    return SqliteStore(tmp_path / "store.sqlite3")


@pytest.fixture
def clock() -> Time:
    """A clock for stores and queues, which starts at noon."""
    return Time()


@pytest.fixture
def queue(store: SqliteStore, clock: Time) -> ReviewQueue:
    """The review queue of the test's store."""
    return ReviewQueue(store, CATEGORIES, clock)


@pytest.fixture
def moderation(scorer: Scorer, store: SqliteStore, logs: StringIO) -> App:
    """The moderation app with the starter model; of the allowed texts it keeps none by chance."""
    return moderation_app(scorer, store, logs, Keep.FLAGGED)


def moderation_app(scorer: Scorer, store: SqliteStore, logs: StringIO, keep: Keep, draw: float = 1.0) -> App:
    """Build the moderation app; `draw` is what chance draws each time, and 1 % of the allowed texts are to be kept."""
    return create_app(
        scorer=scorer,
        card="# The card",
        policies={"default": default_policy(scorer.manifest)},
        store=store,
        retention=Retention(keep, 0.01, lambda: draw),
        logger=logger_to(logs),
    )


@pytest.fixture(params=SHAPES)
def stack(request: pytest.FixtureRequest) -> Resources:
    """The resources of a stack, of each shape in turn."""
    return deployed(**SHAPES[request.param])
