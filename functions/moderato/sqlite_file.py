"""The file of the embedded store: its connections, its transactions, and that what is deleted is gone from the disk."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from moderato.clock import Clock, utc_now
from moderato.cursors import cursor_of, position_of
from moderato.sqlite_rows import record_of
from moderato.sqlite_schema import prepare
from moderato.store import Page

BUSY_TIMEOUT_SECONDS = 30
TRUNCATION_TIMEOUT_SECONDS = 1
"""How long an erasure waits for readers of the text that it erased, before it leaves the log to the next write."""

LIVE = "(expires IS NULL OR expires > :now)"
"""The condition that a row has not expired."""

EXPIRING = ("decisions", "feedback", "reviews", "annotations", "labels")

Record = TypeVar("Record", bound=msgspec.Struct)


class SqliteFile:
    """One SQLite file in WAL mode, for any number of threads and processes."""

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        """Open the file, made when there is none; its folder must exist. Expired records are deleted."""
        self._path = path
        self._clock = clock
        self._of_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._truncating = threading.Lock()
        self._is_truncation_due = False
        with self._transaction() as connection:
            prepare(connection)
        self.purge()

    def purge(self) -> None:
        """Delete what has expired, from the disk too, and what an earlier process left in the write-ahead log."""
        with self._transaction(erases=True) as connection:
            for table in EXPIRING:
                connection.execute(f"DELETE FROM {table} WHERE expires <= ?", (self._now(),))  # noqa: S608

    def close(self) -> None:
        """Close every thread's connection; the store cannot be used after."""
        while self._connections:
            self._connections.pop().close()

    def _now(self) -> float:
        return self._clock().timestamp()

    def _rows(self, query: str, **values: object) -> list[sqlite3.Row]:
        # All at once: a statement that is not read to its end would keep the log from being truncated.
        return self._connection().execute(query, {**values, "now": self._now()}).fetchall()

    def _row(self, query: str, **values: object) -> sqlite3.Row | None:
        rows = self._rows(query, **values)
        return rows[0] if rows else None

    def _page(
        self,
        record_type: type[Record],
        query: str,
        key: str,
        limit: int,
        cursor: str | None,
        newest_first: bool = False,
        **values: object,
    ) -> Page[Record]:
        after, order = ("<", "DESC") if newest_first else (">", "ASC")
        if cursor is not None:
            values["created"], values["id"] = position_of(cursor)
            query += f" AND (created, {key}) {after} (:created, :id)"
        query += f" ORDER BY created {order}, {key} {order} LIMIT :limit"
        rows = self._rows(query, limit=limit + 1, **values)
        records = [record_of(record_type, row) for row in rows[:limit]]
        is_all = len(rows) <= limit
        return Page(records, None if is_all else cursor_of(rows[limit - 1]["created"], rows[limit - 1][key]))

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = _connect(self._path)
            self._connections.append(self._of_thread.connection)
        connection: sqlite3.Connection = self._of_thread.connection
        return connection

    @contextmanager
    def _transaction(self, *, erases: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        # IMMEDIATE takes the write lock at once: a transaction that begins by reading could find it taken half-way.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if erases or self._is_truncation_due:
            self._truncate(connection, TRUNCATION_TIMEOUT_SECONDS if erases else 0)

    def _truncate(self, connection: sqlite3.Connection, timeout_seconds: int) -> None:
        # Until a checkpoint the write-ahead log still holds what was deleted. A reader of it can put that off; then
        # the next write tries again.
        with self._truncating:
            _set_timeout(connection, timeout_seconds)
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            _set_timeout(connection, BUSY_TIMEOUT_SECONDS)
            self._is_truncation_due = bool(is_busy)


def _connect(path: Path) -> sqlite3.Connection:
    # Each thread has its own connection; another one only ever closes it.
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # WAL's default, NORMAL, may lose the last commits to a power cut
    connection.execute("PRAGMA secure_delete = ON")  # overwrite what is erased
    return connection


def _set_timeout(connection: sqlite3.Connection, seconds: int) -> None:
    connection.execute(f"PRAGMA busy_timeout = {seconds * 1000}")
