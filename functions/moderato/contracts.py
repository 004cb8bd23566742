"""The requests and responses of the API as types; `moderato.openapi` derives the published document from them.

Requests refuse fields they do not know, so a misspelt option is an error and not a silent default.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from moderato.artifact import Manifest
from moderato.decisions import Decision, ModelName, PolicyName
from moderato.errors import FieldError
from moderato.policy import Action, Reason

MAX_TEXT_CHARACTERS = 20_000
MAX_ITEMS = 100
MAX_NOTE_CHARACTERS = 2_000

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="A text as its author wrote it")]
DecisionId = Annotated[str, Meta(pattern="^d_[A-Za-z0-9_-]{1,64}$", description="As `POST /moderate` gave it")]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]


class ModerateItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text of a batch; `id` is the caller's own name for it and comes back with its result."""

    text: Text
    id: Identifier | None = None


class ModerateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to moderate: exactly one of `text` and `items`. With `store` false, nothing about the texts is kept."""

    text: Text | None = None
    items: Annotated[list[ModerateItem], Meta(min_length=1, max_length=MAX_ITEMS)] | None = None
    policy: Identifier | None = None
    store: bool = True
    explain: bool = False


class Span(msgspec.Struct, frozen=True):
    """The characters `start` to `end` (end excluded) of the original text that speak for a category, and how much."""

    start: int
    end: int
    category: str
    score: float


class ModerateResult(msgspec.Struct, frozen=True):
    """What was decided on one text; `spans` is there when `explain` was asked for, `id` when the item had one."""

    decision_id: str
    action: Action
    flagged: bool
    scores: dict[str, float]
    reasons: list[Reason]
    stored: bool
    spans: list[Span] | UnsetType = UNSET
    id: str | UnsetType = UNSET


class ModerateResponse(msgspec.Struct, frozen=True):
    """The results in the order of the request's texts, with the model and the policy that made them."""

    model: ModelName
    policy: PolicyName
    results: list[ModerateResult]


class FeedbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a moderator says of a decision: exactly one of `correct` and `labels`.

    `labels` says of each category it names whether the text belongs to it. `text` is needed when the decision was not
    stored, or none was made.
    """

    decision_id: DecisionId | None = None
    correct: bool | None = None
    labels: Annotated[dict[str, bool], Meta(min_length=1)] | None = None
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARACTERS)] | None = None
    text: Text | None = None


class FeedbackResponse(msgspec.Struct, frozen=True):
    """The feedback is on disk; `review_queued` says whether annotators will look at the text."""

    feedback_id: str
    decision_id: str | None
    review_queued: bool


class FeedbackEntry(msgspec.Struct, frozen=True):
    """One moderator's feedback, as it is shown under its decision."""

    feedback_id: str
    moderator: str
    correct: bool | None
    labels: dict[str, bool] | None
    note: str | None
    created: str


class DecisionResponse(Decision, frozen=True, kw_only=True):
    """A stored decision and what moderators said of it, oldest first."""

    feedback: list[FeedbackEntry]


class ModelResponse(msgspec.Struct, frozen=True):
    """The model in use: its manifest, and its card in Markdown."""

    manifest: Manifest
    card: str


class Health(msgspec.Struct, frozen=True):
    """The process (`/healthz`) or its verified model (`/readyz`) is up."""

    status: Literal["ok"] = "ok"


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not answered (RFC 9457): `errors` points at the fields that are wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
