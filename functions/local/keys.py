"""The keys of a data folder, in a file beside its database."""

import sqlite3
from pathlib import Path

from local.options import Refused
from moderato.sqlite_keys import SqliteKeys

KEYS = "keys.sqlite3"

TENANT = "local"
"""Whom a data folder serves: a laptop has one tenant."""


def has_keys(data_directory: Path) -> bool:
    """Return whether a data folder has a file of keys, be it an empty one."""
    return (data_directory / KEYS).is_file()


def open_keys(data_directory: Path) -> SqliteKeys:
    """Open the keys of a data folder; both are made if missing. Raises Refused."""
    try:
        data_directory.mkdir(parents=True, exist_ok=True)
        return SqliteKeys(data_directory / KEYS)
    except OSError as error:
        raise Refused(f"the data folder {data_directory} cannot be used: {error.strerror}") from None
    except sqlite3.Error as error:
        raise Refused(f"{data_directory / KEYS} cannot be opened as a database: {error}") from None
