"""What every test of the console needs: an empty store, its queue, and the app with all that a console can have."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from feedback.app import Handler
from feedback.console import Console
from moderato.policy import Threshold
from moderato.review_queue import ReviewQueue
from moderato.sqlite import SqliteStore
from tests.consoles import CATEGORIES, NOON, app_with, explain, report_models


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.sqlite3", lambda: NOON)
    yield store
    store.close()


@pytest.fixture
def queue(store: SqliteStore) -> ReviewQueue:
    """The queue behind the console."""
    return ReviewQueue(store, CATEGORIES, lambda: NOON)


@pytest.fixture
def app(store: SqliteStore, logs: StringIO) -> Handler:
    """The feedback app with its console, at noon."""
    console = Console(explain=explain, thresholds={"threat": Threshold(0.6, None)}, models=report_models)
    return app_with(console, store, logs)
