"""Reviews, annotations and labels in DynamoDB."""

from collections.abc import Collection, Iterable, Mapping

from moderato.dynamodb_erasure import DynamoErasure
from moderato.dynamodb_items import (
    ANNOTATORS,
    LABELS,
    Item,
    Value,
    annotation_key,
    annotations_by,
    case,
    item_of_annotation,
    item_of_label,
    item_of_review,
    label_key,
    record_of,
    review_key,
    reviews_of,
)
from moderato.dynamodb_writes import FREE, STORED
from moderato.refusals import refuse_another_answer, refuse_used, unknown_review
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status
from moderato.store import Page


class DynamoReviews(DynamoErasure):
    """The part of `moderato.store.Store` that is about reviews, annotations and labels."""

    def add_review(self, review: Review) -> bool:
        """Store a review that comes from neither decision nor feedback; False when its id is there, or erased."""
        return not self._transact(self._writer().put(item_of_review(review), FREE))

    def get_review(self, review_id: str) -> Review:
        """Return the review, or raise UnknownReview."""
        return record_of(Review, self._review(review_id))

    def list_reviews(
        self, status: Status, limit: int, cursor: str | None = None, reason: ReviewReason | None = None
    ) -> Page[Review]:
        """Return the reviews of a status, or only those of one reason, the oldest first."""
        reasons: Iterable[ReviewReason] = ReviewReason if reason is None else [reason]
        return self._page(Review, [reviews_of(status, one) for one in reasons], limit, cursor)

    def count_reviews(self, *statuses: Status) -> Mapping[Status, int]:
        """Return how many reviews there are of each of these statuses, or of each there is."""
        return {
            status: sum(self._count(reviews_of(status, reason)) for reason in ReviewReason)
            for status in statuses or Status
        }

    def move_review(self, review_id: str, expected: Status, status: Status) -> bool:
        """Change a review's status; False, and nothing changed, when it is not the expected one."""
        writer = self._writer()
        for _ in self._tries():
            item = self._get_live(review_key(review_id))
            if item is None or item["status"] != expected:
                return False
            if not self._transact(writer.change(item, **moved(item, status))):
                break
        return True

    def record_annotation(self, annotation: Annotation) -> None:
        """Store an answer; the same one again changes nothing, another one raises Conflict."""
        writer = self._writer()
        for _ in self._tries():
            self._review(annotation.review_id)
            stored = self._get_live(annotation_key(annotation.review_id, annotation.annotator))
            if stored is not None:
                return refuse_another_answer(record_of(Annotation, stored), annotation)
            failed = self._transact(
                writer.check(review_key(annotation.review_id), STORED),
                writer.put(item_of_annotation(annotation), FREE),
                writer.put({"pk": ANNOTATORS, "sk": annotation.annotator}),
            )
            if not failed:
                break
        return None

    def withdraw_annotation(self, review_id: str, annotator: str) -> bool:
        """Remove an annotator's answer; False when there is none."""
        writer, key = self._writer(), annotation_key(review_id, annotator)
        for _ in self._tries():
            item = self._get_live(key)
            if item is None:
                return False
            if not self._transact(writer.remove(key, item)):
                break
        return True

    def annotations_of(self, review_id: str) -> list[Annotation]:
        """Return the answers to a review, oldest first."""
        items = [item for item in self._case(case(review_id)) if str(item["sk"]).startswith("annotation#")]
        found = [record_of(Annotation, item) for item in items]
        return sorted(found, key=lambda annotation: (annotation.created, annotation.annotator))

    def annotations_by(self, annotator: str, limit: int, cursor: str | None = None) -> Page[Annotation]:
        """Return an annotator's answers, the newest first."""
        return self._page(Annotation, [annotations_by(annotator)], limit, cursor, newest_first=True)

    def annotators(self) -> list[str]:
        """Return everybody who ever answered, in alphabetical order."""
        return [str(item["sk"]) for item in self._partition(ANNOTATORS)]

    def settle(self, label: Label) -> None:
        """Store the label of a review, in place of one that no dataset has, and make the review SETTLED, together."""
        writer = self._writer()
        for _ in self._tries():
            review = self._review(label.review_id)
            stored = self._get(label_key(label.review_id))
            refuse_used(self._label_of(stored))
            changes = moved(review, Status.SETTLED, label.job)
            if not self._transact(writer.renew(item_of_label(label), stored), writer.change(review, **changes)):
                break

    def unsettle(self, review_id: str) -> None:
        """Remove a label and make its review WAITING, together; without a label nothing changes."""
        writer, key = self._writer(), label_key(review_id)
        for _ in self._tries():
            review, stored = self._review(review_id), self._get_live(key)
            refuse_used(self._label_of(stored))
            if stored is None:
                break
            changes = moved(review, Status.WAITING)
            if not self._transact(writer.remove(key, stored), writer.change(review, **changes)):
                break

    def get_label(self, review_id: str) -> Label | None:
        """Return the label of a review, if it has one."""
        return self._label_of(self._get(label_key(review_id)))

    def list_labels(self, limit: int, cursor: str | None = None) -> Page[Label]:
        """Return labels, the oldest first."""
        return self._page(Label, [LABELS], limit, cursor)

    def mark_labels(self, review_ids: Collection[str], dataset: str) -> None:
        """Note the dataset version that has these labels; a label that is in an earlier one keeps it."""
        writer = self._writer()
        unmarked = "attribute_exists(#record) AND attribute_not_exists(#dataset)"
        writes = {one: writer.update(label_key(one), {"dataset": dataset}, unmarked) for one in review_ids}
        self._write_what_can([write] for write in writes.values())

    def _review(self, review_id: str) -> Item:
        item = self._get_live(review_key(review_id))
        if item is None:
            raise unknown_review()
        return item

    def _label_of(self, item: Item | None) -> Label | None:
        return record_of(Label, item) if self._is_live(item) else None


def moved(review: Item, status: Status, job: str | None = None) -> dict[str, Value | None]:
    """Return what changes when a review moves; only a waiting one is in no job, and was settled by none."""
    reason = record_of(Review, review).reason
    now_in = None if status is Status.WAITING else job or review.get("job")
    return {"status": status.value, "listing": reviews_of(status, reason), "job": now_in}
