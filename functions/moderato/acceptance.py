"""Acceptance: the labels that are ready for a dataset, each with the way back to what it came from."""

from collections.abc import Collection, Iterator, Sequence

import msgspec

from moderato.consolidation import Rules, within_share
from moderato.decisions import Feedback
from moderato.errors import UnknownReview
from moderato.loop import pages
from moderato.reviews import Label, Review
from moderato.store import Store

ACCEPTED, ERASED = "accepted.jsonl", "erased.json"
"""The files of a batch, by which labels go from serving to training: the labels, a line each, and the ids of decisions,
reviews and feedback whose rows must go."""

_PAGE = 500


class Accepted(msgspec.Struct, frozen=True):
    """A label that may go into a dataset, with its review and the feedback that is about it."""

    label: Label
    review: Review
    feedback_ids: list[str]
    reversed: list[str] = []
    """The categories in which the label overturns the decision."""


class AcceptedLabel(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `accepted.jsonl`, the file by which labels go from serving to training."""

    review_id: str
    decision_id: str | None
    feedback_ids: list[str]
    text: str
    values: dict[str, bool | None]
    method: str
    annotators: list[str]
    created: str
    reversed: list[str] = []


def encode(accepted: Accepted) -> bytes:
    """Return the line of `accepted.jsonl`, without its end of line: JSON in UTF-8 on one line."""
    label, review = accepted.label, accepted.review
    line = AcceptedLabel(
        review_id=label.review_id,
        decision_id=review.decision_id,
        feedback_ids=accepted.feedback_ids,
        text=review.text,
        values=label.values,
        method=label.method,
        annotators=label.annotators,
        created=label.created,
        reversed=accepted.reversed,
    )
    return msgspec.json.encode(line)


def encode_labels(labels: Sequence[Accepted]) -> bytes:
    """Return the content of `accepted.jsonl`; the same labels make the same bytes."""
    return b"".join(encode(each) + b"\n" for each in labels)


def encode_erased(ids: Collection[str]) -> bytes:
    """Return the content of `erased.json`: a JSON list, sorted, so that the same ids make the same bytes."""
    return msgspec.json.encode(sorted(ids))


def decode(line: bytes) -> AcceptedLabel:
    """Return a line of `accepted.jsonl` as it was; raises msgspec.ValidationError or DecodeError."""
    return msgspec.json.decode(line, type=AcceptedLabel)


def accept(store: Store, labels: list[Label], rules: Rules, limit: int | None = None) -> list[Accepted]:
    """Return those of the labels that one batch may have, the oldest first, with their reviews and feedback."""
    batch = within_share(labels, rules)
    if limit is not None:
        batch = within_share(batch[:limit], rules)
    return list(_with_origin(store, batch))


def unused_labels(store: Store) -> Iterator[Label]:
    """Yield the labels that no dataset has, the oldest first."""
    return (label for label in all_labels(store) if label.dataset is None)


def all_labels(store: Store) -> Iterator[Label]:
    """Yield the labels of the store, the oldest first."""
    return pages(lambda cursor: store.list_labels(_PAGE, cursor))


def _with_origin(store: Store, labels: list[Label]) -> Iterator[Accepted]:
    for label in labels:
        try:
            review = store.get_review(label.review_id)
        except UnknownReview:
            continue  # erased or expired since the labels were listed: without its text it is no use
        given = store.feedback_of_review(label.review_id)
        yield Accepted(label, review, [feedback.feedback_id for feedback in given], _reversed(label, review, given))


def _reversed(label: Label, review: Review, given: list[Feedback]) -> list[str]:
    """The categories in which a label overturns the decision; where none is stored, feedback tells what it was."""
    if review.action is not None:
        flagged = {reason.category for reason in review.reasons}
        return [name for name, belongs in label.values.items() if belongs is not None and belongs != (name in flagged)]
    contradicted = {(name, belongs) for feedback in given for name, belongs in (feedback.labels or {}).items()}
    return [name for name, belongs in label.values.items() if (name, belongs) in contradicted]
