"""What every store refuses, and how it says so."""

from moderato.decisions import Feedback
from moderato.errors import Conflict, RequestError, UnknownDecision, UnknownFeedback, UnknownJob, UnknownReview
from moderato.reviews import Annotation, Label


def unknown_decision() -> UnknownDecision:
    """Return the error about a decision that is not stored."""
    return UnknownDecision(
        "no such decision is stored: decisions to allow are not all kept, and erased ones are gone. "
        "To give feedback on one that was not stored, send its `text` along"
    )


def unknown_feedback() -> UnknownFeedback:
    """Return the error about feedback that is not stored."""
    return UnknownFeedback("no such feedback is stored: it was never given, or is erased")


def unknown_review() -> UnknownReview:
    """Return the error about a review that is not stored."""
    return UnknownReview("no such review is stored: it was never queued, is erased, or is expired")


def unknown_job() -> UnknownJob:
    """Return the error about a job that has no batch."""
    return UnknownJob("no batch of reviews was made for this job")


def erased_subject(feedback: Feedback) -> RequestError:
    """Return the error about feedback on what was erased: a decision, or a text that has none."""
    if feedback.decision_id is not None:
        return UnknownDecision("this decision was erased; nothing more is kept of it")
    return UnknownReview("this text was erased; nothing more is kept of it")


def erased_feedback() -> UnknownFeedback:
    """Return the error about feedback that was erased and comes again."""
    return UnknownFeedback("this feedback was erased; nothing more is kept of it")


def refuse_another_request(stored_digest: str, request_digest: str) -> None:
    """Raise Conflict when a key that stands for one request comes with another."""
    if stored_digest != request_digest:
        raise Conflict("this Idempotency-Key was used with another body; use a new key for a new feedback")


def refuse_another_answer(stored: Annotation, annotation: Annotation) -> None:
    """Raise Conflict when an annotator's second answer to a review says something else than the first.

    The time does not count: a retry says the same, later.
    """
    if _said(stored) != _said(annotation):
        raise Conflict("this annotator answered this review otherwise; withdraw that answer first")


def refuse_used(label: Label | None) -> None:
    """Raise Conflict when a dataset has the label: training rests on it."""
    if label is not None and label.dataset is not None:
        raise Conflict("a dataset has the label of this review already; it cannot change any more")


def _said(annotation: Annotation) -> tuple[object, ...]:
    labels = None if annotation.labels is None else sorted(annotation.labels)
    return labels, annotation.note, annotation.is_adjudication
