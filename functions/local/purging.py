"""Expired records leave the disk of a running server; nobody is shown them even before."""

import sqlite3

from aws_lambda_powertools import Logger

from local.swap import Wait
from moderato.sqlite import SqliteStore

PURGE_SECONDS = 3600.0
"""An hour late is little after 180 days, and a purge that finds nothing costs nothing."""


def purge(store: SqliteStore, logger: Logger, wait: Wait) -> None:
    """Wait, and delete what has expired, again and again until told to stop."""
    while not wait(PURGE_SECONDS):
        try:
            store.purge()
        except sqlite3.OperationalError as error:  # somebody holds the database; there is another hour
            logger.error("purge_failed", extra={"error_type": type(error).__name__})
