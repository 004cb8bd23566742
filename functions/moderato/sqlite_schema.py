"""The tables of the embedded store, and how a file of an earlier release becomes one of this."""

import sqlite3

from moderato.decisions import Decision
from moderato.reviews import Review, ReviewReason, review_id_of, review_of
from moderato.sqlite_rows import insert, record_of

VERSION = 2
"""What `PRAGMA user_version` says of a file of this release; release 0.1 left it at 0."""

_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    decision_id TEXT PRIMARY KEY, created TEXT NOT NULL, text TEXT NOT NULL, action TEXT NOT NULL,
    scores TEXT NOT NULL, reasons TEXT NOT NULL, model TEXT NOT NULL, policy TEXT NOT NULL,
    kept_because TEXT NOT NULL, sampling_probability REAL, item_id TEXT, expires INTEGER
) STRICT;
CREATE INDEX decisions_by_time ON decisions (created, decision_id);

CREATE TABLE IF NOT EXISTS feedback (
    feedback_id TEXT PRIMARY KEY, decision_id TEXT, moderator TEXT NOT NULL, correct INTEGER, labels TEXT,
    note TEXT, text TEXT, created TEXT NOT NULL, request_digest TEXT NOT NULL, review_queued INTEGER NOT NULL,
    review_id TEXT, expires INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS feedback_of_decision ON feedback (decision_id);
CREATE INDEX feedback_of_review ON feedback (review_id);

CREATE TABLE reviews (
    review_id TEXT PRIMARY KEY, text TEXT NOT NULL, reason TEXT NOT NULL, created TEXT NOT NULL, status TEXT NOT NULL,
    decision_id TEXT, scores TEXT NOT NULL, reasons TEXT NOT NULL, action TEXT, model TEXT, policy TEXT,
    sampling_probability REAL, job TEXT, gold TEXT, expires INTEGER
) STRICT;
CREATE INDEX reviews_by_status ON reviews (status, created, review_id);
CREATE INDEX reviews_by_reason ON reviews (status, reason, created, review_id);
CREATE INDEX reviews_of_decision ON reviews (decision_id);
CREATE INDEX reviews_of_job ON reviews (job);

CREATE TABLE annotations (
    review_id TEXT NOT NULL, annotator TEXT NOT NULL, labels TEXT, created TEXT NOT NULL, note TEXT,
    is_adjudication INTEGER NOT NULL, job TEXT, expires INTEGER, PRIMARY KEY (review_id, annotator)
) STRICT;
CREATE INDEX annotations_by_annotator ON annotations (annotator, created, review_id);
CREATE TABLE annotators (annotator TEXT PRIMARY KEY) STRICT;

CREATE TABLE labels (
    review_id TEXT PRIMARY KEY, "values" TEXT NOT NULL, method TEXT NOT NULL, annotators TEXT NOT NULL,
    created TEXT NOT NULL, adjudicator TEXT, job TEXT, dataset TEXT, expires INTEGER
) STRICT;
CREATE INDEX labels_by_time ON labels (created, review_id);

CREATE TABLE batches (
    job TEXT PRIMARY KEY, review_ids TEXT NOT NULL, created TEXT NOT NULL, status TEXT NOT NULL,
    is_claimed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX one_open_batch ON batches (status) WHERE status = 'open';

CREATE TABLE erased (id TEXT PRIMARY KEY) STRICT;
"""

_FROM_RELEASE_0_1 = """
ALTER TABLE decisions ADD COLUMN expires INTEGER;
ALTER TABLE feedback ADD COLUMN review_id TEXT;
ALTER TABLE feedback ADD COLUMN expires INTEGER;
ALTER TABLE reviews RENAME TO old_reviews;
DROP INDEX reviews_of_decision;
DROP INDEX reviews_waiting;
ALTER TABLE erased RENAME TO old_erased;
"""

_OLD_REVIEWS = """
SELECT old_reviews.created, old_reviews.decision_id, feedback.text FROM old_reviews
LEFT JOIN feedback USING (feedback_id) ORDER BY old_reviews.created, old_reviews.review_id
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an earlier release to this one, within a transaction of the caller's.

    Raises sqlite3.DatabaseError on a file of a later release.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    if version > VERSION:
        raise sqlite3.DatabaseError(
            f"a later release made it: its version is {version}, and {VERSION} is the last known"
        )
    is_old = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'decisions'").fetchone() is not None
    _execute(connection, (_FROM_RELEASE_0_1 if is_old else "") + _TABLES)
    if is_old:
        _move_feedback(connection)
        _move_reviews(connection)
        _move_erased(connection)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _execute(connection: sqlite3.Connection, script: str) -> None:
    # `executescript` would end the transaction.
    for statement in script.split(";"):
        connection.execute(statement)


def _move_feedback(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT feedback_id, decision_id, text FROM feedback").fetchall()
    ids = [(review_id_of(row["decision_id"], row["text"]), row["feedback_id"]) for row in rows]
    connection.executemany("UPDATE feedback SET review_id = ? WHERE feedback_id = ?", ids)


def _move_reviews(connection: sqlite3.Connection) -> None:
    for row in connection.execute(_OLD_REVIEWS).fetchall():
        review = _review_of_decision(connection, row) or _review_of_text(row)
        if review is not None:  # without any text there is nothing to look at
            insert(connection, "reviews", review, now=0)
    connection.execute("DROP TABLE old_reviews")


def _review_of_decision(connection: sqlite3.Connection, row: sqlite3.Row) -> Review | None:
    found = connection.execute("SELECT * FROM decisions WHERE decision_id = ?", (row["decision_id"],)).fetchone()
    return review_of(record_of(Decision, found), ReviewReason.DISAGREEMENT, row["created"]) if found else None


def _review_of_text(row: sqlite3.Row) -> Review | None:
    if row["text"] is None:
        return None
    return Review(
        review_id=review_id_of(row["decision_id"], row["text"]),
        text=row["text"],
        reason=ReviewReason.DISAGREEMENT,
        created=row["created"],
        decision_id=row["decision_id"],
    )


def _move_erased(connection: sqlite3.Connection) -> None:
    ids = [row["decision_id"] for row in connection.execute("SELECT decision_id FROM old_erased")]
    both = [(erased,) for decision_id in ids for erased in (decision_id, review_id_of(decision_id, None))]
    connection.executemany("INSERT INTO erased VALUES (?) ON CONFLICT DO NOTHING", both)
    connection.execute("DROP TABLE old_erased")
