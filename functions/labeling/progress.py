"""The progress of labeling jobs: what is next for one that was begun, whoever asks and however often."""

from collections.abc import Iterator

from labeling.jobs import JobStarter
from labeling.parts import Parts
from labeling.results import ResultReader
from labeling.service import Outcome, describe
from moderato.errors import UnknownJob
from moderato.reviews import Status
from moderato.store import Batch, BatchStatus

_PAGE = 100


class JobWatcher:
    """Looks at jobs and does what is next for them."""

    def __init__(self, parts: Parts, starter: JobStarter) -> None:
        """Go on with `starter` where a batch has no job yet."""
        self._parts, self._starter, self._reader = parts, starter, ResultReader(parts)

    def look_at_all(self) -> None:
        """Look at every job that a review is in: an event can be lost, and whoever had it be killed."""
        for job in sorted(set(self._jobs())):
            self._go_on(self._parts.store.get_batch(job))

    def look_at(self, job: str | None) -> None:
        """Look at one job that somebody named; one that is none of ours, or has come in, is left alone."""
        batch = self._batch(job)
        if batch is None or batch.status is BatchStatus.COMPLETED:
            self._parts.logger.info("job_event_ignored", extra={"is_known": batch is not None})
            self._parts.count("job_event_ignored")
        else:
            self._go_on(batch)

    def _jobs(self) -> Iterator[str]:
        cursor = None
        while True:
            page = self._parts.store.list_reviews(Status.LABELING, _PAGE, cursor)
            yield from (review.job for review in page.records if review.job is not None)
            cursor = page.cursor
            if cursor is None:
                return

    def _batch(self, job: str | None) -> Batch | None:
        try:
            return self._parts.store.get_batch(job) if job is not None else None
        except UnknownJob:
            return None

    def _go_on(self, batch: Batch) -> None:
        job = describe(self._parts.sagemaker, batch.job, self._parts.settings.task.bucket)
        if job is None:
            self._begin(batch)
        elif job.outcome is Outcome.COMPLETED:
            self._reader.take_in(batch, job)
        elif job.outcome is Outcome.FAILED:
            self._parts.store.release(batch.job)
            self._parts.logger.error("labeling_job_failed", extra={"job": batch.job})
            self._parts.count("labeling_job_failed")
        elif batch.status is BatchStatus.OPEN:
            self._parts.store.move_batch(batch.job, BatchStatus.CREATED)

    def _begin(self, batch: Batch) -> None:
        if batch.status is BatchStatus.OPEN:
            self._starter.resume(batch)
        else:
            self._parts.logger.error("labeling_job_missing", extra={"job": batch.job})
            self._parts.count("labeling_job_missing")
