"""The keys of a laptop, in one SQLite file of their own."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from moderato.keys import PlatformKey, known_scopes

BUSY_TIMEOUT_SECONDS = 30

_TABLE = """
CREATE TABLE IF NOT EXISTS keys (
    digest TEXT PRIMARY KEY, key_id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, name TEXT NOT NULL,
    scopes TEXT NOT NULL, created TEXT NOT NULL, expires INTEGER
) STRICT
"""
_ADD = """
INSERT INTO keys VALUES (:digest, :key_id, :tenant, :name, :scopes, :created, :expires) ON CONFLICT (digest) DO NOTHING
"""


class SqliteKeys:
    """`moderato.keys.Keys` in one SQLite file, which is apart from the store: it outlives every purge and erasure.

    keys  digest (key) and the other fields of PlatformKey; `scopes` is JSON
    """

    def __init__(self, path: Path) -> None:
        """Open the file, made when there is none; its folder must exist. Raises OSError or sqlite3.Error."""
        self._path = path
        # Who can write here can let anybody in: the file is its owner's alone from the first moment.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with self._connection() as connection:
            connection.execute(_TABLE)

    def add(self, key: PlatformKey) -> None:
        """Keep a key; a retry is the same write."""
        row = msgspec.structs.asdict(key) | {"scopes": msgspec.json.encode(key.scopes).decode()}
        with self._connection() as connection:
            connection.execute(_ADD, row)

    def find(self, digest: str) -> PlatformKey | None:
        """Return the key whose text has this digest, or None: it never was, or is revoked."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM keys WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else _key_of(row)

    def list(self) -> list[PlatformKey]:
        """Return all keys, the oldest first."""
        with self._connection() as connection:
            return [_key_of(row) for row in connection.execute("SELECT * FROM keys ORDER BY created, key_id")]

    def revoke(self, key_id: str) -> bool:
        """Forget a key for good; False where there is none of this id."""
        with self._connection() as connection:
            return connection.execute("DELETE FROM keys WHERE key_id = ?", (key_id,)).rowcount > 0

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # One a call: the authorizer keeps what it found for a while, so that a file is opened seldom.
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        with closing(connection):
            connection.row_factory = sqlite3.Row
            yield connection


def _key_of(row: sqlite3.Row) -> PlatformKey:
    scopes = known_scopes(msgspec.json.decode(row["scopes"], type=list[str]))
    return msgspec.convert(dict(row) | {"scopes": scopes}, PlatformKey)
