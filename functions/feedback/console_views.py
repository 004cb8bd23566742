"""What the console's pages show of reviews and decisions, gathered from the queue and the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from moderato.api import Caller
from moderato.contracts import Span
from moderato.errors import UnknownReview
from moderato.policy import Action, Reason, Threshold
from moderato.review_queue import Filters, ReviewQueue
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status
from moderato.store import Store

Explain = Callable[[str], Sequence[Span]]
"""Finds the spans of a text that speak for a category."""

WHY = {
    ReviewReason.DISAGREEMENT: ("Disagreement", "A moderator contradicted the decision, or labelled the text."),
    ReviewReason.UNCERTAIN: ("Uncertain", "A score was close to its threshold."),
    ReviewReason.SAMPLED: ("Sampled", "Chance drew it from the allowed texts."),
}


class Standing(StrEnum):
    """What somebody can do about a review."""

    OPEN = "open"
    ANSWERED = "answered"
    REPORTED = "reported"
    """It is their own report: others decide."""
    LABELING = "labeling"
    DISPUTED = "disputed"
    SETTLED = "settled"


@dataclass(frozen=True)
class ScoreRow:
    """A category's score, and the threshold that it reached or would have to."""

    category: str
    score: float
    threshold: float | None
    action: Action | None
    """What it called for; None = nothing."""


@dataclass(frozen=True)
class ReviewView:
    """A review as one viewer may see it. Others' answers are there only when the viewer has answered."""

    review: Review
    standing: Standing
    mine: Annotation | None
    others: list[Annotation]
    label: Label | None


@dataclass(frozen=True)
class Views:
    """Gathers what pages show."""

    queue: ReviewQueue
    store: Store
    categories: Sequence[str]
    thresholds: Mapping[str, Threshold]
    explain: Explain | None

    def scores(self, scores: Mapping[str, float], reasons: Sequence[Reason]) -> list[ScoreRow]:
        """Return a row for each category, the highest score first."""
        by_category = {reason.category: reason for reason in reasons}
        rows = [self._row(name, score, by_category.get(name)) for name, score in scores.items()]
        return sorted(rows, key=lambda row: -row.score)

    def spans(self, text: str) -> Sequence[Span]:
        """Return the spans to highlight."""
        return () if self.explain is None else self.explain(text)

    def review(self, review_id: str, caller: Caller) -> ReviewView:
        """Return a review as this caller may see it, or raise UnknownReview."""
        review = self.queue.get(review_id)
        answers = self.queue.answers(review_id, caller.name)
        mine = next((answer for answer in answers if answer.annotator == caller.name), None)
        return ReviewView(
            review=review,
            standing=self._standing(review, mine, caller),
            mine=mine,
            others=[answer for answer in answers if answer.annotator != caller.name],
            label=self.store.get_label(review_id) if review.status is Status.SETTLED else None,
        )

    def review_status(self, review_id: str) -> Status | None:
        """Return where a review stands, or None where none is queued."""
        try:
            return self.queue.get(review_id).status
        except UnknownReview:
            return None

    def last_answer(self, annotator: str) -> str | None:
        """Return the review that an annotator answered last, for undoing."""
        answers = self.store.annotations_by(annotator, limit=1).records
        return answers[0].review_id if answers else None

    def _row(self, category: str, score: float, reason: Reason | None) -> ScoreRow:
        if reason is not None:
            return ScoreRow(category, score, reason.threshold, reason.action)
        threshold = self.thresholds.get(category)
        return ScoreRow(category, score, None if threshold is None else threshold.review, None)

    def _standing(self, review: Review, mine: Annotation | None, caller: Caller) -> Standing:
        if review.status is not Status.WAITING:
            return Standing(review.status.value)
        if mine is not None:
            return Standing.ANSWERED
        return Standing.REPORTED if self.is_reporter(review.review_id, caller) else Standing.OPEN

    def is_reporter(self, review_id: str, caller: Caller) -> bool:
        """Return whether the review is about what this caller reported."""
        return any(feedback.moderator == caller.name for feedback in self.store.feedback_of_review(review_id))


def flagged(review: Review) -> list[str]:
    """Return the categories that a text was flagged for, or else the one that it scored highest on."""
    if review.reasons:
        return [reason.category for reason in review.reasons]
    return [max(review.scores, key=lambda name: review.scores[name])] if review.scores else []


def parameters_of(filters: Filters) -> dict[str, str]:
    """Return filters as the parameters of an address, without those that filter nothing."""
    values = {"reason": filters.reason, "category": filters.category, "older_than_days": filters.older_than_days}
    return {name: str(value) for name, value in values.items() if value is not None}
