"""The embedded store: everything that is kept, in one SQLite file, for a laptop and for tests."""

from moderato.sqlite_batches import SqliteBatches
from moderato.sqlite_reviews import SqliteReviews


class SqliteStore(SqliteReviews, SqliteBatches):
    """`moderato.store.Store` in one SQLite file in WAL mode; any number of threads and processes may use it.

    What a method has returned from is on disk, and outlives a kill -9 and a power cut. What is erased is overwritten.
    Columns that hold a structure hold it as JSON; times are UTC, ISO 8601; `expires` is in seconds since 1970.
    A file of an earlier release is brought to this one when it is opened.

        decisions    decision_id (key) and the other fields of Decision
        feedback     feedback_id (key, derived from the request: a retry is the same row), the other fields of Feedback,
                     request_digest, review_queued
        reviews      review_id (key, derived from decision or text: it is queued once), the other fields of Review
        annotations  review_id, annotator (key), the other fields of Annotation
        annotators   annotator (key): everybody who ever answered
        labels       review_id (key) and the other fields of Label
        batches      job (key), the other fields of Batch, is_claimed (its list of reviews is final)
        erased       id of what was erased, and nothing else of it
    """
