"""Starting labeling jobs: which reviews go into one, and how each gets into exactly one, whatever is killed when.

The list of a batch is fixed in the store before anything else happens, and the job's name with it; only one batch can
be open. Whoever finds it open does the rest, and doing any of it twice is the same as doing it once: claiming,
writing objects whose keys are hashes of what is in them, and creating a job whose name can be taken only once.
"""

from collections.abc import Iterator
from datetime import datetime

from labeling.parts import Parts
from moderato.groundtruth_jobs import (
    INPUT,
    LABELS,
    TEMPLATES,
    Inputs,
    content_key,
    fits,
    input_manifest,
    job_name,
    labeling_job,
    labels_file,
)
from moderato.groundtruth_template import template
from moderato.reviews import Review, Status
from moderato.store import Batch, BatchStatus

_PAGE = 100
_TRIES = 3
"""One for a batch that was left behind, one for ours, and one in case that the list of what waits was out of date."""


class JobStarter:
    """Makes labeling jobs of the reviews that wait; all state is the store's, so any number may work at once."""

    def __init__(self, parts: Parts) -> None:
        """Start jobs as the settings among the parts say."""
        self._parts = parts
        self._store, self._settings, self._logger = parts.store, parts.settings, parts.logger

    def start(self) -> None:
        """Start a job, if enough reviews wait or one has waited for long; one that was begun is gone on with first."""
        for _ in range(_TRIES):
            candidate = self._candidate()
            if candidate is None:
                return
            batch = self._store.open_batch(candidate)
            if batch.status is not BatchStatus.OPEN or self.resume(batch):
                return

    def resume(self, batch: Batch) -> bool:
        """Bring an open batch to its job; False when none of its reviews waits any more, and there is nothing to do."""
        reviews = self._store.claim(batch.job)
        if not reviews:
            self._store.release(batch.job)
            self._logger.info("batch_dropped", extra={"job": batch.job})
            return False
        self._create(batch.job, self._write(reviews))
        if self._store.get_batch(batch.job).status is BatchStatus.OPEN:
            self._store.move_batch(batch.job, BatchStatus.CREATED)
        return True

    def _candidate(self) -> Batch | None:
        now = self._parts.clock()
        waiting = list(self._waiting())
        if not waiting or not self._is_worth_a_job(waiting, now):
            return None
        review_ids = [review.review_id for review in waiting]
        return Batch(job=job_name(review_ids, now), review_ids=review_ids, created=now.isoformat())

    def _waiting(self) -> Iterator[Review]:
        left, cursor = self._settings.most, None
        while left > 0:
            page = self._store.list_reviews(Status.WAITING, _PAGE, cursor)
            fitting = [review for review in page.records if fits(review)][:left]
            yield from fitting
            left, cursor = left - len(fitting), page.cursor
            if cursor is None:
                return

    def _is_worth_a_job(self, waiting: list[Review], now: datetime) -> bool:
        oldest = datetime.fromisoformat(waiting[0].created)
        return len(waiting) >= self._settings.fewest or now - oldest >= self._settings.longest_wait

    def _write(self, reviews: list[Review]) -> Inputs:
        return Inputs(
            manifest=self._put(INPUT, input_manifest(reviews), "manifest"),
            labels=self._put(LABELS, labels_file(self._parts.categories), "json"),
            template=self._put(TEMPLATES, template(self._parts.categories).encode(), "html"),
        )

    def _put(self, folder: str, content: bytes, suffix: str) -> str:
        key = content_key(folder, content, suffix)
        self._parts.objects.put(key, content)
        return key

    def _create(self, name: str, inputs: Inputs) -> None:
        try:
            self._parts.sagemaker.create_labeling_job(**labeling_job(name, inputs, self._settings.task))
        except self._parts.sagemaker.exceptions.ResourceInUse:
            # An earlier try, or one beside this, got as far: names are ours alone, derived from the batch.
            self._logger.info("labeling_job_there", extra={"job": name})
            return
        self._logger.info("labeling_job_created", extra={"job": name})
        self._parts.count("labeling_job_created")
