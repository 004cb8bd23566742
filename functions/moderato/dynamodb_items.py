"""Items of the DynamoDB table: where each record lies, and what of it the table has to know."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeGuard, TypeVar

import msgspec

from moderato.clock import is_expired
from moderato.decisions import Decision, Feedback
from moderato.errors import TooLarge
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status, review_id_of
from moderato.store import Batch

Record = TypeVar("Record", bound=msgspec.Struct)

Value = str | int | bool
Item = Mapping[str, Value]
Key = tuple[str, str]
"""The two parts of a key: the partition, and the place in it."""

MAX_ITEM_BYTES = 400_000
MAX_RECORD_BYTES = 390_000
"""What DynamoDB's limit leaves for a record beside its keys and attributes."""

OPEN_BATCH: Key = ("batches", "open")
ANNOTATORS = "annotators"
REPORTS = "reports"
ERASED = "erased"
DECISIONS = "decisions"
LABELS = "labels"

_MOVING: Mapping[type, tuple[str, ...]] = {Review: ("status", "job"), Label: ("dataset",), Batch: ("status",)}


class Request(msgspec.Struct, frozen=True):
    """That feedback was given, under whatever key, and what was answered."""

    digest: str
    review_queued: bool
    partition: str
    """Where the feedback lies."""
    decision_id: str | None


def case_of(decision_id: str | None, review_id: str | None, text: str | None = None) -> str:
    """Return the partition of a case: a decision, or a text that has none, with all that was ever said of it."""
    if decision_id is None:
        return case(review_id or review_id_of(None, text))
    if review_id not in (None, derived := review_id_of(decision_id, None)):
        raise ValueError("the id of a decision's review is that of moderato.reviews.review_id_of")
    return case(derived)


def case(review_id: str) -> str:
    """Return the partition of the case that has this review, or would have it."""
    return f"case#{review_id}"


def review_id_in(partition: str) -> str:
    """Return the id of the review that a case has, or would have."""
    return partition.removeprefix("case#")


def decision_key(decision_id: str) -> Key:
    """Return where a decision lies."""
    return case_of(decision_id, None), "decision"


def review_key(review_id: str) -> Key:
    """Return where a review lies, or what is remembered of an erased one."""
    return case(review_id), "review"


def label_key(review_id: str) -> Key:
    """Return where the label of a review lies."""
    return case(review_id), "label"


def annotation_key(review_id: str, annotator: str) -> Key:
    """Return where an annotator's answer to a review lies."""
    return case(review_id), f"annotation#{annotator}"


def request_key(feedback_id: str) -> Key:
    """Return where it is noted that feedback was given, so that it is given once whatever it is on."""
    return f"feedback#{feedback_id}", "request"


def feedback_place(feedback_id: str) -> str:
    """Return the place of feedback in the partition of its case."""
    return f"feedback#{feedback_id}"


def batch_key(job: str) -> Key:
    """Return where the batch of a job lies."""
    return f"job#{job}", "batch"


def reviews_of(status: Status, reason: ReviewReason) -> str:
    """Return the listing of the reviews of a status and a reason."""
    return f"reviews#{status}#{reason}"


def annotations_by(annotator: str) -> str:
    """Return the listing of an annotator's answers."""
    return f"annotations#{annotator}"


def position(created: str, record_id: str) -> str:
    """Return the place of a record in its listing: by time, and of the same time by id."""
    return f"{created}#{record_id}"


def item_of_decision(decision: Decision) -> Item:
    """Return the item of a decision."""
    listed = {"listing": DECISIONS, "position": position(decision.created, decision.decision_id)}
    return _item(decision_key(decision.decision_id), decision, decision.expires, **listed)


def item_of_feedback(feedback: Feedback) -> Item:
    """Return the item of feedback, which no listing has."""
    partition = case_of(feedback.decision_id, feedback.review_id, feedback.text)
    return _item((partition, feedback_place(feedback.feedback_id)), feedback, feedback.expires)


def item_of_request(feedback_id: str, request: Request, expires: int | None) -> Item:
    """Return the item that says that feedback was given."""
    return _item(request_key(feedback_id), request, expires, partition=request.partition)


def item_of_review(review: Review) -> Item:
    """Return the item of a review; `status` and `job`, which change, are attributes of their own."""
    moving = {"status": review.status.value} | ({} if review.job is None else {"job": review.job})
    listed = {
        "listing": reviews_of(review.status, review.reason),
        "position": position(review.created, review.review_id),
    }
    key = case_of(review.decision_id, review.review_id), "review"
    return _item(key, review, review.expires, **listed, **moving)


def item_of_annotation(annotation: Annotation) -> Item:
    """Return the item of an annotator's answer."""
    listed = {
        "listing": annotations_by(annotation.annotator),
        "position": position(annotation.created, annotation.review_id),
    }
    key = annotation_key(annotation.review_id, annotation.annotator)
    return _item(key, annotation, annotation.expires, **listed)


def item_of_label(label: Label) -> Item:
    """Return the item of a label; `dataset`, which is noted later, is an attribute of its own."""
    noted = {} if label.dataset is None else {"dataset": label.dataset}
    listed = {"listing": LABELS, "position": position(label.created, label.review_id)}
    return _item(label_key(label.review_id), label, label.expires, **listed, **noted)


def item_of_batch(batch: Batch) -> Item:
    """Return the item of a batch; `status`, which changes, is an attribute of its own."""
    return _item(batch_key(batch.job), batch, None, status=batch.status.value)


def item_of_erased(key: Key, erased: str, **more: Value) -> Item:
    """Return what takes the place of an erased item: its id, and nothing else of it."""
    return {"pk": key[0], "sk": key[1], "erased": True, "listing": ERASED, "position": erased, **more}


def record_of(record_type: type[Record], item: Item) -> Record:
    """Return the record of an item, with what changed since it was made."""
    fields = msgspec.json.decode(str(item["record"]))
    return msgspec.convert(fields | {name: item.get(name) for name in _MOVING.get(record_type, ())}, record_type)


def is_live(item: Item | None, now: datetime) -> TypeGuard[Item]:
    """Return whether there is a record in this item: nothing erased, expired or never stored."""
    return item is not None and "record" in item and not is_expired(expires_of(item), now)


def key_of(item: Item) -> Key:
    """Return where an item lies."""
    return str(item["pk"]), str(item["sk"])


def size_of(item: Item) -> int:
    """Return the size of an item in bytes, at most."""
    return len(str(item.get("record", "")).encode()) + MAX_ITEM_BYTES - MAX_RECORD_BYTES


def expires_of(item: Item) -> int | None:
    """Return the second since 1970 from which an item counts as gone."""
    expires = item.get("expires")
    return expires if isinstance(expires, int) else None


def _item(key: Key, record: msgspec.Struct, expires: int | None, **more: Value) -> Item:
    encoded = msgspec.json.encode(record)
    if len(encoded) > MAX_RECORD_BYTES:
        raise TooLarge(f"a record may have {MAX_RECORD_BYTES} bytes as JSON; this one has {len(encoded)}")
    expiry = {} if expires is None else {"expires": expires}
    return {"pk": key[0], "sk": key[1], "record": encoded.decode(), **more, **expiry}
