"""Reviews, annotations and labels in the embedded store."""

import sqlite3
from collections.abc import Collection, Mapping

from moderato.refusals import refuse_another_answer, refuse_used, unknown_review
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status
from moderato.sqlite_decisions import SqliteDecisions, is_erased
from moderato.sqlite_file import LIVE
from moderato.sqlite_rows import insert, record_of
from moderato.store import Page

_REVIEW = f"SELECT * FROM reviews WHERE review_id = :id AND {LIVE}"  # noqa: S608
_LABEL = f"SELECT * FROM labels WHERE review_id = :id AND {LIVE}"  # noqa: S608


class SqliteReviews(SqliteDecisions):
    """The part of `moderato.store.Store` that is about reviews, annotations and labels."""

    def add_review(self, review: Review) -> bool:
        """Store a review that comes from neither decision nor feedback; False when its id is there, or erased."""
        with self._transaction() as connection:
            if is_erased(connection, review.review_id, review.decision_id):
                return False
            return insert(connection, "reviews", review, self._now())

    def get_review(self, review_id: str) -> Review:
        """Return the review, or raise UnknownReview."""
        row = self._row(_REVIEW, id=review_id)
        if row is None:
            raise unknown_review()
        return record_of(Review, row)

    def list_reviews(
        self, status: Status, limit: int, cursor: str | None = None, reason: ReviewReason | None = None
    ) -> Page[Review]:
        """Return the reviews of a status, or only those of one reason, the oldest first."""
        of_reason = "" if reason is None else " AND reason = :reason"
        query = f"SELECT * FROM reviews WHERE status = :status{of_reason} AND {LIVE}"  # noqa: S608
        return self._page(Review, query, "review_id", limit, cursor, status=status, reason=reason)

    def count_reviews(self, *statuses: Status) -> Mapping[Status, int]:
        """Return how many reviews there are of each of these statuses, or of each there is."""
        query = f"SELECT status, count(*) AS reviews FROM reviews WHERE {LIVE} GROUP BY status"  # noqa: S608
        counted = {row["status"]: row["reviews"] for row in self._rows(query)}
        return {status: counted.get(status, 0) for status in statuses or Status}

    def move_review(self, review_id: str, expected: Status, status: Status) -> bool:
        """Change a review's status; False, and nothing changed, when it is not the expected one."""
        with self._transaction() as connection:
            row = self._row(_REVIEW, id=review_id)
            if row is None or row["status"] != expected:
                return False
            _move(connection, review_id, status)
            return True

    def record_annotation(self, annotation: Annotation) -> None:
        """Store an answer; the same one again changes nothing, another one raises Conflict."""
        with self._transaction() as connection:
            self.get_review(annotation.review_id)
            if not insert(connection, "annotations", annotation, self._now()):
                refuse_another_answer(self._annotation(annotation.review_id, annotation.annotator), annotation)
            connection.execute("INSERT INTO annotators VALUES (?) ON CONFLICT DO NOTHING", (annotation.annotator,))

    def withdraw_annotation(self, review_id: str, annotator: str) -> bool:
        """Remove an annotator's answer; False when there is none."""
        statement = f"DELETE FROM annotations WHERE review_id = :id AND annotator = :annotator AND {LIVE}"  # noqa: S608
        with self._transaction() as connection:
            values = {"id": review_id, "annotator": annotator, "now": self._now()}
            return connection.execute(statement, values).rowcount == 1

    def annotations_of(self, review_id: str) -> list[Annotation]:
        """Return the answers to a review, oldest first."""
        query = f"SELECT * FROM annotations WHERE review_id = :id AND {LIVE} ORDER BY created, annotator"  # noqa: S608
        return [record_of(Annotation, row) for row in self._rows(query, id=review_id)]

    def annotations_by(self, annotator: str, limit: int, cursor: str | None = None) -> Page[Annotation]:
        """Return an annotator's answers, the newest first."""
        query = f"SELECT * FROM annotations WHERE annotator = :annotator AND {LIVE}"  # noqa: S608
        return self._page(Annotation, query, "review_id", limit, cursor, newest_first=True, annotator=annotator)

    def annotators(self) -> list[str]:
        """Return everybody who ever answered, in alphabetical order."""
        return [row["annotator"] for row in self._rows("SELECT annotator FROM annotators ORDER BY annotator")]

    def settle(self, label: Label) -> None:
        """Store the label of a review, in place of one that no dataset has, and make the review SETTLED, together."""
        with self._transaction() as connection:
            self.get_review(label.review_id)
            refuse_used(self.get_label(label.review_id))
            connection.execute("DELETE FROM labels WHERE review_id = ?", (label.review_id,))
            insert(connection, "labels", label, self._now())
            _move(connection, label.review_id, Status.SETTLED, label.job)

    def unsettle(self, review_id: str) -> None:
        """Remove a label and make its review WAITING, together; without a label nothing changes."""
        with self._transaction() as connection:
            self.get_review(review_id)
            label = self.get_label(review_id)
            refuse_used(label)
            if label is not None:
                connection.execute("DELETE FROM labels WHERE review_id = ?", (review_id,))
                _move(connection, review_id, Status.WAITING)

    def get_label(self, review_id: str) -> Label | None:
        """Return the label of a review, if it has one."""
        row = self._row(_LABEL, id=review_id)
        return None if row is None else record_of(Label, row)

    def list_labels(self, limit: int, cursor: str | None = None) -> Page[Label]:
        """Return labels, the oldest first."""
        return self._page(Label, f"SELECT * FROM labels WHERE {LIVE}", "review_id", limit, cursor)  # noqa: S608

    def mark_labels(self, review_ids: Collection[str], dataset: str) -> None:
        """Note the dataset version that has these labels; a label that is in an earlier one keeps it."""
        statement = "UPDATE labels SET dataset = ? WHERE review_id = ? AND dataset IS NULL"
        with self._transaction() as connection:
            connection.executemany(statement, [(dataset, review_id) for review_id in review_ids])

    def _annotation(self, review_id: str, annotator: str) -> Annotation:
        query = "SELECT * FROM annotations WHERE review_id = :id AND annotator = :annotator"
        return record_of(Annotation, self._rows(query, id=review_id, annotator=annotator)[0])


def _move(connection: sqlite3.Connection, review_id: str, status: Status, job: str | None = None) -> None:
    # Only a waiting review is in no job, and was settled by none.
    statement = """UPDATE reviews SET status = :status, job = CASE :status WHEN 'waiting' THEN NULL
        ELSE coalesce(:job, job) END WHERE review_id = :id"""
    connection.execute(statement, {"status": status, "job": job, "id": review_id})
