"""The embedded store: decisions, feedback and reviews in one SQLite file, for a laptop and for tests."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from moderato.decisions import Decision, Feedback, ModelName, PolicyName, Recorded
from moderato.errors import Conflict, UnknownDecision
from moderato.policy import Reason

BUSY_TIMEOUT_SECONDS = 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT PRIMARY KEY, created TEXT NOT NULL, text TEXT NOT NULL, action TEXT NOT NULL,
    scores TEXT NOT NULL, reasons TEXT NOT NULL, model TEXT NOT NULL, policy TEXT NOT NULL,
    kept_because TEXT NOT NULL, sampling_probability REAL, item_id TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS feedback (
    feedback_id TEXT PRIMARY KEY, decision_id TEXT, moderator TEXT NOT NULL, correct INTEGER, labels TEXT,
    note TEXT, text TEXT, created TEXT NOT NULL, request_digest TEXT NOT NULL, review_queued INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS feedback_of_decision ON feedback (decision_id);
CREATE TABLE IF NOT EXISTS reviews (
    review_id TEXT PRIMARY KEY, decision_id TEXT, feedback_id TEXT, reason TEXT NOT NULL,
    created TEXT NOT NULL, status TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS reviews_of_decision ON reviews (decision_id);
CREATE INDEX IF NOT EXISTS reviews_waiting ON reviews (status, created);
CREATE TABLE IF NOT EXISTS erased (decision_id TEXT PRIMARY KEY) STRICT;
"""

_INSERT_DECISION = """INSERT INTO decisions VALUES (:decision_id, :created, :text, :action, :scores, :reasons, :model,
    :policy, :kept_because, :sampling_probability, :item_id) ON CONFLICT DO NOTHING"""
_INSERT_FEEDBACK = """INSERT INTO feedback VALUES (:feedback_id, :decision_id, :moderator, :correct, :labels, :note,
    :text, :created, :request_digest, :review_queued) ON CONFLICT DO NOTHING"""
_INSERT_REVIEW = "INSERT INTO reviews VALUES (?, ?, ?, 'disagreement', ?, 'waiting') ON CONFLICT DO NOTHING"


class SqliteStore:
    """Decisions, feedback and reviews in one SQLite file in WAL mode; any number of threads and processes may use it.

    What a method has returned from is on disk, and outlives a kill -9 and a power cut. Columns that hold a structure
    hold it as JSON; times are UTC, ISO 8601.

        decisions   decision_id (key), created, text, action, scores, reasons, model, policy, kept_because,
                    sampling_probability, item_id
        feedback    feedback_id (key, derived from the request: a retry is the same row), decision_id, moderator,
                    correct, labels, note, text, created, request_digest, review_queued
        reviews     review_id (key, derived from feedback_id), decision_id, feedback_id, reason, created,
                    status ("waiting")
        erased      decision_id of what was erased, and nothing else of it
    """

    def __init__(self, path: Path) -> None:
        """Open the store at `path`; the file is made when there is none, its folder must exist."""
        self._path = path
        self._of_thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connection().executescript(_SCHEMA)

    def record_decisions(self, decisions: Sequence[Decision]) -> None:
        """Store all the decisions or none; a decision that is there already stays as it is."""
        with self._transaction() as connection:
            connection.executemany(_INSERT_DECISION, [_decision_row(decision) for decision in decisions])

    def get_decision(self, decision_id: str) -> Decision:
        """Return the decision, or raise UnknownDecision."""
        query = "SELECT * FROM decisions WHERE decision_id = ?"
        row = self._connection().execute(query, (decision_id,)).fetchone()
        if row is None:
            raise _unknown_decision()
        return _decision(row)

    def delete_decision(self, decision_id: str) -> None:
        """Erase the decision with its feedback and reviews, for good; raise UnknownDecision when there is none."""
        with self._transaction() as connection:
            erased = sum(
                connection.execute(f"DELETE FROM {table} WHERE decision_id = ?", (decision_id,)).rowcount  # noqa: S608
                for table in ("decisions", "feedback", "reviews")
            )
            if not erased:
                raise _unknown_decision()
            connection.execute("INSERT INTO erased VALUES (?) ON CONFLICT DO NOTHING", (decision_id,))
        # Until a checkpoint the write-ahead log still holds the erased text.
        self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def record_feedback(self, feedback: Feedback, request_digest: str, review: bool) -> Recorded:
        """Store the feedback, and with `review` queue one, in a single transaction.

        When its `feedback_id` is stored already, nothing is written: the same `request_digest` gets the first answer
        again, another one raises Conflict. Feedback on an erased decision raises UnknownDecision.
        """
        with self._transaction() as connection:
            _refuse_erased(connection, feedback.decision_id)
            row = _feedback_row(feedback, request_digest, review)
            if not connection.execute(_INSERT_FEEDBACK, row).rowcount:
                return _replay(connection, feedback.feedback_id, request_digest)
            if review:
                connection.execute(_INSERT_REVIEW, _review_row(feedback))
        return Recorded(feedback.feedback_id, review_queued=review, replayed=False)

    def feedback_of(self, decision_id: str) -> list[Feedback]:
        """Return the feedback on a decision, oldest first."""
        query = "SELECT * FROM feedback WHERE decision_id = ? ORDER BY created, rowid"
        return [_feedback(row) for row in self._connection().execute(query, (decision_id,))]

    def close(self) -> None:
        """Close every thread's connection; the store cannot be used after."""
        while self._connections:
            self._connections.pop().close()

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = _connect(self._path)
            self._connections.append(self._of_thread.connection)
        connection: sqlite3.Connection = self._of_thread.connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        # IMMEDIATE takes the write lock at once: a transaction that begins by reading could find it taken half-way.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    # Each thread has its own connection; another one only ever closes it.
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # WAL's default, NORMAL, may lose the last commits to a power cut
    connection.execute("PRAGMA secure_delete = ON")  # overwrite what is erased
    return connection


def _unknown_decision() -> UnknownDecision:
    return UnknownDecision(
        "no such decision is stored: decisions to allow are not all kept, and erased ones are gone. "
        "To give feedback on one that was not stored, send its `text` along"
    )


def _refuse_erased(connection: sqlite3.Connection, decision_id: str | None) -> None:
    if connection.execute("SELECT 1 FROM erased WHERE decision_id = ?", (decision_id,)).fetchone():
        raise UnknownDecision("this decision was erased; nothing more is kept of it")


def _replay(connection: sqlite3.Connection, feedback_id: str, request_digest: str) -> Recorded:
    query = "SELECT request_digest, review_queued FROM feedback WHERE feedback_id = ?"
    stored = connection.execute(query, (feedback_id,)).fetchone()
    if stored["request_digest"] != request_digest:
        raise Conflict("this Idempotency-Key was used with another body; use a new key for a new feedback")
    return Recorded(feedback_id, review_queued=bool(stored["review_queued"]), replayed=True)


def _decision_row(decision: Decision) -> dict[str, object]:
    structures = {name: _json(getattr(decision, name)) for name in ("scores", "reasons", "model", "policy")}
    return msgspec.structs.asdict(decision) | structures


def _decision(row: sqlite3.Row) -> Decision:
    structures = {
        "scores": msgspec.json.decode(row["scores"], type=dict[str, float]),
        "reasons": msgspec.json.decode(row["reasons"], type=list[Reason]),
        "model": msgspec.json.decode(row["model"], type=ModelName),
        "policy": msgspec.json.decode(row["policy"], type=PolicyName),
    }
    return Decision(**{**dict(row), **structures})


def _feedback_row(feedback: Feedback, request_digest: str, review: bool) -> dict[str, object]:
    labels = None if feedback.labels is None else _json(feedback.labels)
    row = msgspec.structs.asdict(feedback)
    return {**row, "labels": labels, "request_digest": request_digest, "review_queued": review}


def _feedback(row: sqlite3.Row) -> Feedback:
    return Feedback(
        feedback_id=row["feedback_id"],
        decision_id=row["decision_id"],
        moderator=row["moderator"],
        correct=None if row["correct"] is None else bool(row["correct"]),
        labels=None if row["labels"] is None else msgspec.json.decode(row["labels"], type=dict[str, bool]),
        note=row["note"],
        text=row["text"],
        created=row["created"],
    )


def _review_row(feedback: Feedback) -> tuple[object, ...]:
    review_id = feedback.feedback_id.replace("f_", "r_", 1)
    return review_id, feedback.decision_id, feedback.feedback_id, feedback.created


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
