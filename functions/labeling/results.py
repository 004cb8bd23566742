"""Finished labeling jobs: what their output says becomes answers, labels and disputes; the rest waits again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from labeling.parts import Parts
from labeling.service import Job
from moderato.consolidation import Rules, consolidate
from moderato.errors import Conflict, UnknownReview
from moderato.gold import Gold
from moderato.groundtruth import MAX_LINE_BYTES, Answer, Quarantined, read_output
from moderato.groundtruth_jobs import QUARANTINE, content_key, item_ids, output_key, responses_prefix
from moderato.groundtruth_workers import MAX_RESPONSE_BYTES, WorkerAnswer, object_of, read_worker_responses
from moderato.objects import UnknownObject
from moderato.reviews import Annotation, Label, Review, Status
from moderato.store import Batch, BatchStatus


class ResultReader:
    """Takes in what finished jobs say. Any of it may be repeated: an answer that is there stays as it is."""

    def __init__(self, parts: Parts) -> None:
        """Read what is about the categories among the parts."""
        self._parts = parts
        self._store, self._logger = parts.store, parts.logger
        self._rules = Rules()
        self._gold = Gold(parts.store, parts.clock, self._rules)

    def take_in(self, batch: Batch, job: Job) -> None:
        """Record what a completed job says, and let all others of its reviews wait again.

        Without an output nothing happens: it can be some minutes late, and the next look at the job finds it.
        """
        reviews = self._reviews(batch)
        gone = set(batch.review_ids) - reviews.keys()
        try:
            lines = self._parts.objects.lines(output_key(batch.job), MAX_LINE_BYTES)
        except UnknownObject:
            self._logger.error("labeling_output_missing", extra={"job": batch.job})
            self._parts.count("labeling_output_missing")
            return
        found = read_output(lines, batch.job, reviews, self._parts.categories, self._parts.settings.threshold, gone)
        self._quarantine(batch.job, found.quarantined)
        responses = self._responses(batch.job, job.manifest)
        for answer in found.accepted:
            self._record(answer, responses.get(answer.review_id, ()), batch.job, job)
        # The batch is FAILED for a moment: what has no answer waits again, and its reviews are in no job by then.
        self._store.release(batch.job)
        self._store.move_batch(batch.job, BatchStatus.COMPLETED)
        fields = {"accepted": len(found.accepted), "quarantined": len(found.quarantined)}
        self._logger.info("labeling_job_completed", extra={"job": batch.job, **fields})
        self._parts.count("labeling_job_completed")

    def _reviews(self, batch: Batch) -> dict[str, Review]:
        reviews = {}
        for review_id in batch.review_ids:
            try:
                reviews[review_id] = self._store.get_review(review_id)
            except UnknownReview:
                continue
        return reviews

    def _quarantine(self, job: str, quarantined: list[Quarantined]) -> None:
        if not quarantined:
            return
        content = b"".join(msgspec.json.encode(one) + b"\n" for one in quarantined)
        self._parts.objects.put(content_key(f"{QUARANTINE}/{job}", content, "jsonl"), content)
        for _ in quarantined:
            self._parts.count("label_quarantined")

    def _responses(self, job: str, manifest: str | None) -> dict[str, list[WorkerAnswer]]:
        """Return each annotator's answer to each review, as far as the job left them behind."""
        if manifest is None:
            return {}
        prefix = responses_prefix(job)
        files: dict[int, list[str]] = defaultdict(list)
        for key in self._parts.objects.keys(prefix):
            number = object_of(key.removeprefix(prefix))
            if number is not None:
                files[number].append(key)
        if not files:
            return {}
        ids = item_ids(self._parts.objects.lines(manifest, MAX_LINE_BYTES))
        return {ids[number]: self._answers(keys) for number, keys in files.items() if number < len(ids)}

    def _answers(self, keys: Iterable[str]) -> list[WorkerAnswer]:
        contents = (self._parts.objects.get(key, MAX_RESPONSE_BYTES) for key in keys)
        found = read_worker_responses(contents, self._parts.categories)
        for fault in found.refused:
            self._logger.warning("worker_answer_refused", extra={"reason": fault})
        return found.answers

    def _record(self, answer: Answer, workers: Iterable[WorkerAnswer], job_name: str, job: Job) -> None:
        try:
            review = self._store.get_review(answer.review_id)
            if review.status is not Status.LABELING or review.job != job_name:
                return  # an earlier try recorded it
            answers = list(workers)
            if not answers:
                self._settle_consolidated(review, answer)
            elif answer.chosen != frozenset().union(*(worker.chosen for worker in answers)):
                # The output has what any annotator chose; it was not made from these answers, or the other way round.
                self._dispute(review)
            else:
                self._settle_by_answers(review, answers, job)
        except UnknownReview:
            self._logger.info("review_gone", extra={"review_id": answer.review_id})

    def _settle_consolidated(self, review: Review, answer: Answer) -> None:
        if answer.is_lone:
            return  # one annotator makes no label: it waits again
        if None in answer.values.values():
            self._dispute(review)
        else:
            self._settle(review, answer.values, [], is_consolidated=True)

    def _settle_by_answers(self, review: Review, workers: Iterable[WorkerAnswer], job: Job) -> None:
        for worker in workers:
            self._annotate(review, worker, job)
        answers = self._store.annotations_of(review.review_id)
        reporters = {feedback.moderator for feedback in self._store.feedback_of_review(review.review_id)}
        found = consolidate(answers, self._parts.categories, reporters, self._gold.distrusted(), self._rules)
        if found.status is Status.SETTLED:
            self._settle(review, found.values, found.annotators, is_consolidated=False)
        elif found.status is Status.DISPUTED:
            self._dispute(review)

    def _annotate(self, review: Review, worker: WorkerAnswer, job: Job) -> None:
        annotation = Annotation(
            review_id=review.review_id,
            annotator=worker.annotator,
            labels=[name for name in self._parts.categories if name in worker.chosen],
            created=job.changed.isoformat(),
            job=review.job,
            expires=review.expires,
        )
        try:
            self._store.record_annotation(annotation)
        except Conflict:
            self._logger.info("annotator_answered_before", extra={"review_id": review.review_id})

    def _dispute(self, review: Review) -> None:
        self._store.move_review(review.review_id, Status.LABELING, Status.DISPUTED)
        self._parts.count("review_disputed")

    def _settle(
        self, review: Review, values: Mapping[str, bool | None], annotators: list[str], *, is_consolidated: bool
    ) -> None:
        label = Label(
            review_id=review.review_id,
            values=dict(values),
            method="groundtruth" if is_consolidated else "agreement",
            annotators=annotators,
            created=self._parts.clock().isoformat(),
            job=review.job,
            expires=review.expires,
        )
        self._store.settle(label)
        self._parts.count("review_settled")
