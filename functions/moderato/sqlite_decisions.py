"""Decisions and feedback in the embedded store, and their erasure."""

import sqlite3
from collections.abc import Sequence

from moderato.clock import is_expired
from moderato.decisions import Decision, Feedback, Recorded
from moderato.refusals import (
    erased_feedback,
    erased_subject,
    refuse_another_request,
    unknown_decision,
    unknown_feedback,
)
from moderato.reviews import Review, review_id_of
from moderato.sqlite_file import LIVE, SqliteFile
from moderato.sqlite_rows import insert, record_of
from moderato.store import Page

_OF_DECISION = """
SELECT NULL AS review_id, expires FROM decisions WHERE decision_id = :id
UNION ALL SELECT NULL, expires FROM feedback WHERE decision_id = :id
UNION ALL SELECT review_id, expires FROM reviews WHERE decision_id = :id
"""


class SqliteDecisions(SqliteFile):
    """The part of `moderato.store.Store` that is about decisions and feedback."""

    def record_decisions(self, decisions: Sequence[Decision], reviews: Sequence[Review] = ()) -> None:
        """Store decisions and their reviews, all or none; one that is there stays, and an erased one is left out."""
        with self._transaction() as connection:
            for decision in decisions:
                if not is_erased(connection, decision.decision_id):
                    insert(connection, "decisions", decision, self._now())
            for review in reviews:
                if not is_erased(connection, review.review_id, review.decision_id):
                    insert(connection, "reviews", review, self._now())

    def get_decision(self, decision_id: str) -> Decision:
        """Return the decision, or raise UnknownDecision."""
        row = self._row(f"SELECT * FROM decisions WHERE decision_id = :id AND {LIVE}", id=decision_id)  # noqa: S608
        if row is None:
            raise unknown_decision()
        return record_of(Decision, row)

    def list_decisions(self, limit: int, cursor: str | None = None) -> Page[Decision]:
        """Return decisions, the newest first."""
        query = f"SELECT * FROM decisions WHERE {LIVE}"  # noqa: S608
        return self._page(Decision, query, "decision_id", limit, cursor, newest_first=True)

    def delete_decision(self, decision_id: str) -> None:
        """Erase a decision with all that belongs to it; what is left of it in the file is overwritten."""
        with self._transaction(erases=True) as connection:
            stored = connection.execute(_OF_DECISION, {"id": decision_id}).fetchall()
            if stored:
                _erase_decision(connection, decision_id)
                for review_id in {review_id_of(decision_id, None), *_review_ids(stored)}:
                    _erase_review(connection, review_id)
        if all(is_expired(row["expires"], self._clock()) for row in stored):
            raise unknown_decision()

    def delete_feedback(self, feedback_id: str) -> None:
        """Erase one feedback, and the review of a text without a decision that no other feedback is on."""
        query = "SELECT decision_id, review_id, expires FROM feedback WHERE feedback_id = :id"
        with self._transaction(erases=True) as connection:
            stored = self._row(query, id=feedback_id)
            if stored is None:
                raise unknown_feedback()
            connection.execute("DELETE FROM feedback WHERE feedback_id = ?", (feedback_id,))
            _remember(connection, feedback_id)
            if stored["decision_id"] is None and not self.feedback_of_review(stored["review_id"]):
                _erase_review(connection, stored["review_id"])
        if is_expired(stored["expires"], self._clock()):
            raise unknown_feedback()

    def record_feedback(self, feedback: Feedback, request_digest: str, review: Review | None) -> Recorded:
        """Store the feedback and its review in one transaction, or answer what the first try was answered."""
        queued = review is not None
        with self._transaction() as connection:
            _refuse_erased(connection, feedback)
            more = {"request_digest": request_digest, "review_queued": queued}
            if not insert(connection, "feedback", feedback, self._now(), **more):
                return _replay(connection, feedback.feedback_id, request_digest)
            if review is not None:
                insert(connection, "reviews", review, self._now())
        return Recorded(feedback.feedback_id, review_queued=queued, replayed=False)

    def feedback_of(self, decision_id: str) -> list[Feedback]:
        """Return the feedback on a decision, oldest first."""
        return self._feedback("decision_id", decision_id)

    def feedback_of_review(self, review_id: str) -> list[Feedback]:
        """Return the feedback whose `review_id` is this, oldest first."""
        return self._feedback("review_id", review_id)

    def erased(self) -> set[str]:
        """Return the ids of all that was erased: decisions, reviews, feedback."""
        return {row["id"] for row in self._rows("SELECT id FROM erased")}

    def _feedback(self, column: str, value: str) -> list[Feedback]:
        query = f"SELECT * FROM feedback WHERE {column} = :value AND {LIVE} ORDER BY created, feedback_id"  # noqa: S608
        return [record_of(Feedback, row) for row in self._rows(query, value=value)]


def is_erased(connection: sqlite3.Connection, *ids: str | None) -> bool:
    """Return whether one of the ids is that of something erased."""
    return any(connection.execute("SELECT 1 FROM erased WHERE id = ?", (one,)).fetchone() for one in ids)


def _refuse_erased(connection: sqlite3.Connection, feedback: Feedback) -> None:
    if is_erased(connection, feedback.decision_id, feedback.review_id):
        raise erased_subject(feedback)
    if is_erased(connection, feedback.feedback_id):
        raise erased_feedback()


def _replay(connection: sqlite3.Connection, feedback_id: str, request_digest: str) -> Recorded:
    query = "SELECT request_digest, review_queued FROM feedback WHERE feedback_id = ?"
    stored = connection.execute(query, (feedback_id,)).fetchone()
    refuse_another_request(stored["request_digest"], request_digest)
    return Recorded(feedback_id, review_queued=bool(stored["review_queued"]), replayed=True)


def _review_ids(rows: Sequence[sqlite3.Row]) -> set[str]:
    return {row["review_id"] for row in rows if row["review_id"] is not None}


def _erase_decision(connection: sqlite3.Connection, decision_id: str) -> None:
    for table in ("decisions", "feedback"):
        connection.execute(f"DELETE FROM {table} WHERE decision_id = ?", (decision_id,))  # noqa: S608
    _remember(connection, decision_id)


def _erase_review(connection: sqlite3.Connection, review_id: str) -> None:
    for table in ("reviews", "annotations", "labels"):
        connection.execute(f"DELETE FROM {table} WHERE review_id = ?", (review_id,))  # noqa: S608
    _remember(connection, review_id)


def _remember(connection: sqlite3.Connection, erased: str) -> None:
    connection.execute("INSERT INTO erased VALUES (?) ON CONFLICT DO NOTHING", (erased,))
