"""The store: what DynamoDB and SQLite both do for decisions, feedback, reviews, annotations and labels."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

from moderato.decisions import Decision, Feedback, Recorded
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status

Record = TypeVar("Record")


class Page(msgspec.Struct, Generic[Record], frozen=True):
    """Some records of a list, and the cursor from which the list goes on; None = that was all."""

    records: list[Record]
    cursor: str | None = None


class BatchStatus(StrEnum):
    """Where a batch of reviews stands on its way through a labeling job."""

    OPEN = "open"
    """Its job is not created yet: whoever finds it so goes on with it."""
    CREATED = "created"
    COMPLETED = "completed"
    FAILED = "failed"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The reviews of one labeling job; the list is fixed before anything else happens, so that any try is the same."""

    job: str
    """The job's name: unique in an AWS account and region."""
    review_ids: list[str]
    created: str
    status: BatchStatus = BatchStatus.OPEN


class Store(Protocol):
    """Decisions, feedback, reviews, annotations, labels and batches; any number of threads and processes may use it.

    What a method has returned from is durable. A retry of the same call is the same write. Expired records are never
    returned, whether or not they are gone already. Lists are stable: a record is on one page only; a cursor that no
    list gave raises InvalidRequest. The id of a decision's review is that of `moderato.reviews.review_id_of`.
    """

    def record_decisions(self, decisions: Sequence[Decision], reviews: Sequence[Review] = ()) -> None:
        """Store decisions and their reviews, each decision together with its review; one that is there stays.

        The decision of an erased id is not stored again.
        """

    def get_decision(self, decision_id: str) -> Decision:
        """Return the decision, or raise UnknownDecision."""

    def list_decisions(self, limit: int, cursor: str | None = None) -> Page[Decision]:
        """Return decisions, the newest first."""

    def delete_decision(self, decision_id: str) -> None:
        """Erase a decision with its feedback, review, annotations and label, for good.

        Its id and its review's are remembered, and nothing else: no later write or import brings the text back.
        Raises UnknownDecision when nothing is stored under the id.
        """

    def delete_feedback(self, feedback_id: str) -> None:
        """Erase one feedback; the last on a text without a decision takes its review, annotations and label along.

        Its id is remembered, and the review's. Raises UnknownFeedback when there is none.
        """

    def record_feedback(self, feedback: Feedback, request_digest: str, review: Review | None) -> Recorded:
        """Store the feedback, and queue the review where one is given and none of its id is there, in one transaction.

        When its `feedback_id` is stored already, nothing is written: the same `request_digest` gets the first answer
        again, another one raises Conflict. Feedback on an erased decision raises UnknownDecision, on an erased text
        UnknownReview; one that was erased and comes again raises UnknownFeedback.
        """

    def feedback_of(self, decision_id: str) -> list[Feedback]:
        """Return the feedback on a decision, oldest first."""

    def feedback_of_review(self, review_id: str) -> list[Feedback]:
        """Return the feedback whose `review_id` is this, oldest first."""

    def add_review(self, review: Review) -> bool:
        """Store a review that comes from neither decision nor feedback; False when its id is there, or erased."""

    def get_review(self, review_id: str) -> Review:
        """Return the review, or raise UnknownReview."""

    def list_reviews(
        self, status: Status, limit: int, cursor: str | None = None, reason: ReviewReason | None = None
    ) -> Page[Review]:
        """Return the reviews of a status, or only those of one reason, the oldest first."""

    def count_reviews(self, *statuses: Status) -> Mapping[Status, int]:
        """Return how many reviews there are of each of these statuses, or of each there is."""

    def move_review(self, review_id: str, expected: Status, status: Status) -> bool:
        """Change a review's status; False, and nothing changed, when it is not the expected one.

        One that is made to wait is in no job any more.
        """

    def record_annotation(self, annotation: Annotation) -> None:
        """Store an answer; the same one again, be it later, changes nothing.

        Raises Conflict when this annotator gave another one, UnknownReview when the review is not stored.
        """

    def withdraw_annotation(self, review_id: str, annotator: str) -> bool:
        """Remove an annotator's answer; False when there is none."""

    def annotations_of(self, review_id: str) -> list[Annotation]:
        """Return the answers to a review, oldest first."""

    def annotations_by(self, annotator: str, limit: int, cursor: str | None = None) -> Page[Annotation]:
        """Return an annotator's answers, the newest first."""

    def annotators(self) -> list[str]:
        """Return everybody who ever answered, in alphabetical order."""

    def settle(self, label: Label) -> None:
        """Store the label of a review, in place of one that no dataset has, and make the review SETTLED, together.

        Raises UnknownReview when it is not stored, Conflict when a dataset has the label already.
        """

    def unsettle(self, review_id: str) -> None:
        """Remove a label and make its review WAITING, together; without a label nothing changes.

        Raises UnknownReview when the review is not stored, Conflict when a dataset has the label already.
        """

    def get_label(self, review_id: str) -> Label | None:
        """Return the label of a review, if it has one."""

    def list_labels(self, limit: int, cursor: str | None = None) -> Page[Label]:
        """Return labels, the oldest first."""

    def mark_labels(self, review_ids: Collection[str], dataset: str) -> None:
        """Note the dataset version that has these labels; a label that is in an earlier one keeps it."""

    def erased(self) -> set[str]:
        """Return the ids of all that was erased: decisions, reviews, feedback."""

    def open_batch(self, batch: Batch) -> Batch:
        """Store the batch, unless one is open: then return that one, and store nothing.

        A job that had its batch gets no other: then its first one is returned, however far that is.
        """

    def claim(self, job: str) -> list[Review]:
        """Move the batch's waiting reviews into the job; return all that are in it, in the order of the batch.

        The first claim makes the list final: a later one moves none, and returns the same, settled ones too.
        """

    def move_batch(self, job: str, status: BatchStatus) -> None:
        """Note how far the batch is; once it is not OPEN, another may be opened, and it is not OPEN again (Conflict).

        Raises UnknownJob.
        """

    def release(self, job: str) -> None:
        """Make the reviews WAITING that are still in the job, and the batch FAILED."""

    def get_batch(self, job: str) -> Batch:
        """Return the batch of a job, or raise UnknownJob."""
