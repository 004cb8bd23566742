"""The records of moderation: a decision, the feedback on it, and the review that disagreement asks for."""

import secrets
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from moderato.policy import Action, Reason

KeptBecause = Literal["flagged", "uncertain", "sampled", "all"]
"""Why a decision is stored: it flagged, it was close to a threshold, chance drew it, or everything is stored."""


class ModelName(msgspec.Struct, frozen=True):
    """Which model made the scores."""

    name: str
    version: str


class PolicyName(msgspec.Struct, frozen=True):
    """Which policy made scores into an action."""

    name: str
    version: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided on one text. `sampling_probability` is that of having been kept, when chance drew it."""

    decision_id: str
    text: str
    scores: dict[str, float]
    action: Action
    reasons: list[Reason]
    model: ModelName
    policy: PolicyName
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    kept_because: KeptBecause
    sampling_probability: float | None = None
    item_id: str | None = None
    expires: int | None = None
    """The second since 1970 from which it counts as gone."""

    def disagrees(self, labels: dict[str, bool]) -> bool:
        """Return whether a label contradicts this decision, which flagged the categories of its reasons."""
        flagged = {reason.category for reason in self.reasons}
        return any(belongs != (category in flagged) for category, belongs in labels.items())


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What one moderator says of one decision, or of a text of their own when `decision_id` is None."""

    feedback_id: str
    decision_id: str | None
    moderator: str
    correct: bool | None
    labels: dict[str, bool] | None
    note: str | None
    text: str | None
    created: str
    review_id: str | None = None
    """The review that the decision or the text has, or would have."""
    expires: int | None = None


class Recorded(msgspec.Struct, frozen=True):
    """The outcome of storing feedback; `replayed` says that it was stored before, by an earlier try."""

    feedback_id: str
    review_queued: bool
    replayed: bool


def new_decision_id() -> str:
    """Return a fresh id that nobody can guess: 152 random bits."""
    return f"d_{secrets.token_urlsafe(19)}"
