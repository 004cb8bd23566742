"""The keys of a data folder, in a file beside its database."""

from pathlib import Path

from local.databases import open_database
from moderato.sqlite_keys import SqliteKeys

KEYS = "keys.sqlite3"

TENANT = "local"
"""Whom a data folder serves: a laptop has one tenant."""


def has_keys(data_directory: Path) -> bool:
    """Return whether a data folder has a file of keys, be it an empty one."""
    return (data_directory / KEYS).is_file()


def open_keys(data_directory: Path) -> SqliteKeys:
    """Open the keys of a data folder; both are made if missing. Raises UnusableData."""
    return open_database(data_directory / KEYS, SqliteKeys)
