"""Batches of reviews on their way through a labeling job, in the embedded store."""

import msgspec

from moderato.errors import Conflict
from moderato.refusals import unknown_job
from moderato.reviews import Review
from moderato.sqlite_file import LIVE, SqliteFile
from moderato.sqlite_rows import record_of
from moderato.store import Batch, BatchStatus

_CLAIM = f"""
UPDATE reviews SET status = 'labeling', job = :job WHERE status = 'waiting' AND {LIVE}
AND review_id IN (SELECT value FROM batches, json_each(batches.review_ids) WHERE batches.job = :job)
"""  # noqa: S608  # no value in it

_CLAIMED = f"""
SELECT reviews.* FROM batches, json_each(batches.review_ids) AS listed
JOIN reviews ON reviews.review_id = listed.value AND reviews.job = batches.job
WHERE batches.job = :job AND {LIVE} ORDER BY listed.key
"""  # noqa: S608


class SqliteBatches(SqliteFile):
    """The part of `moderato.store.Store` that is about batches."""

    def open_batch(self, batch: Batch) -> Batch:
        """Store the batch, unless one is open: then return that one, and store nothing."""
        statement = """INSERT INTO batches (job, review_ids, created, status)
            VALUES (:job, :review_ids, :created, :status) ON CONFLICT DO NOTHING"""
        with self._transaction() as connection:
            row = self._row("SELECT * FROM batches WHERE status = 'open'")
            if row is not None:
                return record_of(Batch, row)
            review_ids = msgspec.json.encode(batch.review_ids).decode()
            connection.execute(statement, msgspec.structs.asdict(batch) | {"review_ids": review_ids})
            return self.get_batch(batch.job)

    def claim(self, job: str) -> list[Review]:
        """Move the batch's waiting reviews into the job; return all that are in it, in the order of the batch.

        Only the first claim moves any, so that every later one returns the same list.
        """
        with self._transaction() as connection:
            self.get_batch(job)
            first = "UPDATE batches SET is_claimed = 1 WHERE job = ? AND NOT is_claimed"
            if connection.execute(first, (job,)).rowcount:
                connection.execute(_CLAIM, {"job": job, "now": self._now()})
            return [record_of(Review, row) for row in self._rows(_CLAIMED, job=job)]

    def move_batch(self, job: str, status: BatchStatus) -> None:
        """Note how far the batch is; once it is not OPEN, another may be opened. Raises UnknownJob."""
        with self._transaction() as connection:
            stored = self.get_batch(job).status
            if status is BatchStatus.OPEN and stored is not BatchStatus.OPEN:
                raise Conflict("a batch does not open again; open another one")
            connection.execute("UPDATE batches SET status = ? WHERE job = ?", (status, job))

    def release(self, job: str) -> None:
        """Make the reviews WAITING that are still in the job, and the batch FAILED."""
        reviews = "UPDATE reviews SET status = 'waiting', job = NULL WHERE job = ? AND status = 'labeling'"
        with self._transaction() as connection:
            self.get_batch(job)
            connection.execute(reviews, (job,))
            connection.execute("UPDATE batches SET status = 'failed', is_claimed = 1 WHERE job = ?", (job,))

    def get_batch(self, job: str) -> Batch:
        """Return the batch of a job, or raise UnknownJob."""
        row = self._row("SELECT * FROM batches WHERE job = :job", job=job)
        if row is None:
            raise unknown_job()
        return record_of(Batch, row)
