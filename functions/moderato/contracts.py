"""The requests and responses of the API as types; `moderato.openapi` derives the published document from them.

Requests refuse fields they do not know, so a misspelt option is an error and not a silent default.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from moderato.artifact import Manifest
from moderato.decisions import Decision, ModelName, PolicyName
from moderato.errors import FieldError
from moderato.loop import LoopReport, Progress
from moderato.models_report import ModelsReport
from moderato.policy import Action, Reason
from moderato.reviews import ReviewReason, Status

MAX_TEXT_CHARACTERS = 20_000
MAX_ITEMS = 100
MAX_REQUEST_TOKENS = 64_000
"""What the model may have to read for one request: 8.6 s for the starter model on one core with AVX2 (17.7 ms for a
window of 128 tokens, 132 with what a run costs), so that the slowest request is answered within 10 of the function's
20 seconds."""
MAX_NOTE_CHARACTERS = 2_000
MAX_PAGE = 100

Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="A text as its author wrote it")]
DecisionId = Annotated[str, Meta(pattern="^d_[A-Za-z0-9_-]{1,64}$", description="As `POST /moderate` gave it")]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
Note = Annotated[str, Meta(max_length=MAX_NOTE_CHARACTERS)]
Labels = Annotated[list[Identifier], Meta(max_length=50, description="Categories that the text belongs to; [] = none")]

Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description=f"a whole number from 1 to {MAX_PAGE}")]
Cursor = Annotated[str, Meta(max_length=2_048, description="the `cursor` of the page before")]
OfReason = Annotated[ReviewReason, Meta(description="one of disagreement, uncertain, sampled")]
OfCategory = Annotated[
    str, Meta(min_length=1, max_length=128, description="a category, which the decision flagged or scored highest")
]
OlderThanDays = Annotated[int, Meta(ge=0, le=3_650, description="a whole number from 0 to 3650")]


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
    note: Note | None = None
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


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 25
    cursor: Cursor | None = None


class CursorQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a list goes on whose pages have a size of their own."""

    cursor: Cursor | None = None


class NextQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which reviews somebody wants to answer."""

    reason: OfReason | None = None
    category: OfCategory | None = None
    older_than_days: OlderThanDays | None = None


class ReviewsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which reviews to list, and which page of them."""

    status: Annotated[Literal["waiting", "disputed"], Meta(description="one of waiting, disputed")] = "waiting"
    reason: OfReason | None = None
    category: OfCategory | None = None
    older_than_days: OlderThanDays | None = None
    limit: Limit = 25
    cursor: Cursor | None = None


class AnnotationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An annotator's answer: the categories that the text belongs to, `[]` for none of them, null to skip it."""

    labels: Labels | None
    note: Note | None = None


class AdjudicationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An adjudicator's answer; it decides what annotators disagree on."""

    labels: Labels
    note: Note | None = None


class AnswerEntry(msgspec.Struct, frozen=True):
    """One annotator's answer to a review."""

    annotator: str
    labels: list[str] | None
    note: str | None
    created: str
    is_adjudication: bool


class ReviewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A review, with what was decided on its text; nothing was where no decision is stored."""

    review_id: str
    text: str
    reason: ReviewReason
    created: str
    status: Status
    decision_id: str | None
    scores: dict[str, float]
    reasons: list[Reason]
    action: Action | None
    model: ModelName | None
    policy: PolicyName | None


class ReviewResponse(ReviewEntry, frozen=True, kw_only=True):
    """A review and the answers to it: others' only once the viewer has answered, or is to decide between them."""

    answers: list[AnswerEntry]
    disputed: list[str]
    """The categories that an adjudicator has to decide."""
    label: dict[str, bool | None] | None
    """What the answers settled on."""


class ReviewsResponse(msgspec.Struct, frozen=True):
    """Reviews, the oldest first; a filtered page may be short, and only one without a `cursor` is the last."""

    reviews: list[ReviewEntry]
    cursor: str | None


class NextResponse(msgspec.Struct, frozen=True):
    """The review to answer next, null when none waits for this annotator, and how far they are."""

    review: ReviewEntry | None
    progress: Progress


class DecisionsResponse(msgspec.Struct, frozen=True):
    """Stored decisions, the newest first, and where the list goes on."""

    decisions: list[Decision]
    cursor: str | None


class LoopResponse(LoopReport, frozen=True, kw_only=True):
    """The loop in figures, from reviews to models; how annotators did on gold items is for adjudicators alone."""

    by_reason: dict[Status, dict[ReviewReason, str]]
    """How many reviews of a status there are and why; "200+" where more than that are there."""
    models: ModelsReport | None
    """None where whoever serves the API does not know of them."""


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


def parameters_of(query: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each parameter of a query; one that may be left out is never null in an address."""
    _, schemas = msgspec.json.schema_components([query], ref_template="#/components/schemas/{name}")
    return {name: _without_null(schema) for name, schema in schemas[query.__name__]["properties"].items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    given = [option for option in schema.get("anyOf", [schema]) if option != {"type": "null"}]
    return dict(given[0])
