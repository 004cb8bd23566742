"""Batches of reviews on their way through a labeling job, in DynamoDB."""

from collections.abc import Iterable

from moderato.dynamodb_items import (
    OPEN_BATCH,
    Item,
    batch_key,
    item_of_batch,
    record_of,
    review_key,
)
from moderato.dynamodb_reviews import moved
from moderato.dynamodb_table import DynamoTable
from moderato.dynamodb_writes import FREE
from moderato.errors import Conflict
from moderato.refusals import unknown_job
from moderato.reviews import Review, Status
from moderato.store import Batch, BatchStatus

_UNCLAIMED = "attribute_not_exists(#is_claimed)"


class DynamoBatches(DynamoTable):
    """The part of `moderato.store.Store` that is about batches."""

    def open_batch(self, batch: Batch) -> Batch:
        """Store the batch, unless one is open: then return that one, and store nothing."""
        writer = self._writer()
        opening = {"pk": OPEN_BATCH[0], "sk": OPEN_BATCH[1], "job": batch.job}
        writes = [writer.put(opening, FREE), writer.put(item_of_batch(batch), FREE)]
        for _ in self._tries():
            is_open = self._get(OPEN_BATCH)
            if is_open is not None:
                return self.get_batch(str(is_open["job"]))
            if not self._transact(*writes):
                break
            stored = self._get(batch_key(batch.job))
            if stored is not None:
                return record_of(Batch, stored)
        return batch

    def claim(self, job: str) -> list[Review]:
        """Move the batch's waiting reviews into the job; return all that are in it, in the order of the batch.

        Only the first claim moves any, so that every later one returns the same list.
        """
        item = self._batch(job)
        if "is_claimed" not in item:
            waiting = [review for review in self._reviews_of(item) if review["status"] == Status.WAITING]
            self._move(waiting, Status.LABELING, job, while_unclaimed=True)
            self._close(job)
        in_job = [review for review in self._reviews_of(item) if review.get("job") == job]
        return [record_of(Review, review) for review in in_job]

    def move_batch(self, job: str, status: BatchStatus) -> None:
        """Note how far the batch is; once it is not OPEN, another may be opened. Raises UnknownJob."""
        writer = self._writer()
        for _ in self._tries():
            item, opening = self._batch(job), self._get(OPEN_BATCH)
            if status is BatchStatus.OPEN:
                return _refuse_opening(item)
            writes = [writer.change(item, status=status.value)]
            if opening is not None and opening["job"] == job:
                writes.append(writer.remove(OPEN_BATCH, opening))
            if not self._transact(*writes):
                break
        return None

    def release(self, job: str) -> None:
        """Make the reviews WAITING that are still in the job, and the batch FAILED."""
        item = self._batch(job)
        self._close(job)
        in_job = [review for review in self._reviews_of(item) if review.get("job") == job]
        self._move([review for review in in_job if review["status"] == Status.LABELING], Status.WAITING, job)
        self.move_batch(job, BatchStatus.FAILED)

    def get_batch(self, job: str) -> Batch:
        """Return the batch of a job, or raise UnknownJob."""
        return record_of(Batch, self._batch(job))

    def _batch(self, job: str) -> Item:
        item = self._get(batch_key(job))
        if item is None:
            raise unknown_job()
        return item

    def _reviews_of(self, batch: Item) -> list[Item]:
        keys = [review_key(review_id) for review_id in record_of(Batch, batch).review_ids]
        items = self._get_many(keys)
        return [item for key in dict.fromkeys(keys) if self._is_live(item := items.get(key))]

    def _move(self, reviews: Iterable[Item], status: Status, job: str, while_unclaimed: bool = False) -> None:
        writer = self._writer()
        beside = [writer.check(batch_key(job), _UNCLAIMED)] if while_unclaimed else []
        self._write_what_can(([writer.change(review, **moved(review, status, job))] for review in reviews), beside)

    def _close(self, job: str) -> None:
        """Make the list of the job final; whoever still claims moves no more into it."""
        self._transact(self._writer().update(batch_key(job), {"is_claimed": True}))


def _refuse_opening(item: Item) -> None:
    if item["status"] != BatchStatus.OPEN:
        raise Conflict("a batch does not open again; open another one")
