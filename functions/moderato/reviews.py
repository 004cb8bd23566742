"""Reviews: decisions that wait for annotators, what annotators answer, and the label that their answers settle on."""

import base64
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from moderato.decisions import Decision, ModelName, PolicyName
from moderato.policy import Action, Reason
from moderato.text import letters_of


class ReviewReason(StrEnum):
    """Why annotators should look."""

    DISAGREEMENT = "disagreement"
    """A moderator contradicted the decision, or labelled a text that has none."""
    UNCERTAIN = "uncertain"
    """A score was close to its threshold."""
    SAMPLED = "sampled"
    """Chance drew it from the allowed texts, with a recorded probability."""


class Status(StrEnum):
    """Where a review stands."""

    WAITING = "waiting"
    """It needs answers."""
    LABELING = "labeling"
    """It is in a labeling job."""
    DISPUTED = "disputed"
    """Annotators disagree: an adjudicator decides."""
    SETTLED = "settled"
    """It has a label."""
    GOLD = "gold"
    """Its right answer is known: it tests annotators, and never becomes a label."""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A text that annotators should look at, with what was decided on it (nothing, where no decision was stored).

    `expires` is in seconds since 1970. `gold` is the right answer of a test item, and never shown.
    """

    review_id: str
    text: str
    reason: ReviewReason
    created: str
    status: Status = Status.WAITING
    decision_id: str | None = None
    scores: dict[str, float] = {}
    reasons: list[Reason] = []
    action: Action | None = None
    model: ModelName | None = None
    policy: PolicyName | None = None
    sampling_probability: float | None = None
    job: str | None = None
    """The labeling job that it is in, or was settled by."""
    gold: dict[str, bool] | None = None
    expires: int | None = None


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """One annotator's answer to one review: the categories that the text belongs to, none of them, or a skip."""

    review_id: str
    annotator: str
    labels: list[str] | None
    """Empty = none of the categories; None = skipped."""
    created: str
    note: str | None = None
    is_adjudication: bool = False
    job: str | None = None
    """The labeling job that it came from; None = the console."""
    expires: int | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What annotations settled on: for each category whether the text belongs to it, or None where nobody decided."""

    review_id: str
    values: dict[str, bool | None]
    method: Literal["agreement", "adjudication", "groundtruth"]
    annotators: list[str]
    """Whose answers it rests on, an adjudicator's included."""
    created: str
    adjudicator: str | None = None
    job: str | None = None
    dataset: str | None = None
    """The first dataset version that has it."""
    expires: int | None = None


def review_of(decision: Decision, reason: ReviewReason, created: str) -> Review:
    """Return the review of a stored decision."""
    return Review(
        review_id=review_id_of(decision.decision_id, decision.text),
        text=decision.text,
        reason=reason,
        created=created,
        decision_id=decision.decision_id,
        scores=decision.scores,
        reasons=decision.reasons,
        action=decision.action,
        model=decision.model,
        policy=decision.policy,
        sampling_probability=decision.sampling_probability if reason is ReviewReason.SAMPLED else None,
        expires=decision.expires,
    )


def review_id_of(decision_id: str | None, text: str | None) -> str:
    """Return the id of the one review that a decision can have, or a text that has no decision.

    Derived, so that any number of moderators who report the same thing queue it once.
    """
    source = ("decision", decision_id) if decision_id is not None else ("text", letters_of(text or "") or text)
    hashed = hashlib.sha256(msgspec.json.encode(source)).digest()
    return f"r_{base64.urlsafe_b64encode(hashed).decode()[:26]}"


def chosen(values: Mapping[str, bool | None]) -> list[str]:
    """Return the categories that a label says the text belongs to."""
    return [name for name, belongs in values.items() if belongs]
