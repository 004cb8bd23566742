"""Every operation of the API: what it takes, what it answers, and an example of each."""

from dataclasses import dataclass

import msgspec

from moderato.contracts import (
    MAX_ITEMS,
    MAX_REQUEST_TOKENS,
    AdjudicationRequest,
    AnnotationRequest,
    CursorQuery,
    DecisionResponse,
    DecisionsResponse,
    FeedbackRequest,
    FeedbackResponse,
    Health,
    LoopResponse,
    ModelResponse,
    ModerateRequest,
    ModerateResponse,
    NextQuery,
    NextResponse,
    PageQuery,
    ReviewResponse,
    ReviewsQuery,
    ReviewsResponse,
)
from moderato.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    RequestError,
    TooLarge,
    UnknownDecision,
    UnknownFeedback,
    UnknownReview,
    UnsupportedMediaType,
)

_BODY_ERRORS = (InvalidRequest, TooLarge, UnsupportedMediaType)


@dataclass(frozen=True)
class Operation:
    """One method of one path: what it takes, what it answers, and which errors are its own."""

    method: str
    path: str
    name: str
    summary: str
    request: type | None = None
    request_example: object = None
    response: type | None = None
    response_example: object = None
    status: int = 200
    errors: tuple[type[RequestError], ...] = ()
    headers: tuple[str, ...] = ()
    query: type[msgspec.Struct] | None = None
    media_type: str = "application/json"


_DECISION_ID = "d_4kYbUq0bV7wVxk1mB2nHc3Zt9A"
_FEEDBACK_ID = "f_Q0aJ8vXw2LrT5yNc1dEo7gKsPm"
_REVIEW_ID = "r_9sFh2Lk0QwYx7nVbTz4mRc1e8G"
_MODEL = {"name": "starter", "version": "2.0.1"}
_POLICY = {"name": "default", "version": 1}
_REASON = {"category": "insult", "score": 0.93, "threshold": 0.8, "action": "review"}
_VERDICT = {"action": "review", "scores": {"toxicity": 0.91, "insult": 0.93}, "reasons": [_REASON]}
_REVIEW = {
    "review_id": _REVIEW_ID,
    "text": "You are a complete idiot.",
    "reason": "disagreement",
    "created": "2026-11-21T12:00:00+00:00",
    "status": "waiting",
    "decision_id": _DECISION_ID,
    **_VERDICT,
    "model": _MODEL,
    "policy": _POLICY,
}
_ANSWER = {
    "annotator": "annotator-1",
    "labels": ["insult"],
    "note": None,
    "created": "2026-11-21T12:05:00+00:00",
    "is_adjudication": False,
}
_ANSWERED = {**_REVIEW, "answers": [_ANSWER], "disputed": [], "label": None}
_DECISION = {
    "decision_id": _DECISION_ID,
    "text": "You are a complete idiot.",
    **_VERDICT,
    "model": _MODEL,
    "policy": _POLICY,
    "created": "2026-11-21T12:00:00+00:00",
    "kept_because": "flagged",
    "sampling_probability": None,
    "item_id": None,
    "expires": 1810814400,
}

OPERATIONS = (
    Operation(
        "post",
        "/moderate",
        "moderate",
        f"Score one text or up to {MAX_ITEMS}, together at most {MAX_REQUEST_TOKENS} tokens for the model to read, and "
        "decide what to do with each",
        request=ModerateRequest,
        request_example={"text": "You are a complete idiot."},
        response=ModerateResponse,
        response_example={
            "model": _MODEL,
            "policy": _POLICY,
            "results": [{"decision_id": _DECISION_ID, **_VERDICT, "flagged": True, "stored": True}],
        },
        errors=_BODY_ERRORS,
    ),
    Operation(
        "post",
        "/feedback",
        "giveFeedback",
        "Say whether a decision was right, or which labels are",
        request=FeedbackRequest,
        request_example={"decision_id": _DECISION_ID, "labels": {"insult": False}, "note": "a friendly joke"},
        response=FeedbackResponse,
        response_example={"feedback_id": _FEEDBACK_ID, "decision_id": _DECISION_ID, "review_queued": True},
        status=201,
        errors=(*_BODY_ERRORS, UnknownDecision, Conflict),
        headers=("Idempotency-Key",),
    ),
    Operation(
        "delete",
        "/feedback/{id}",
        "eraseFeedback",
        "Erase one feedback for good, whoever gave it; on a text without a decision, its review too",
        status=204,
        errors=(Forbidden, UnknownFeedback),
    ),
    Operation(
        "get",
        "/decisions",
        "listDecisions",
        "List stored decisions, the newest first",
        response=DecisionsResponse,
        response_example={"decisions": [_DECISION], "cursor": None},
        errors=(InvalidRequest,),
        query=PageQuery,
    ),
    Operation(
        "get",
        "/decisions/{id}",
        "showDecision",
        "Show a stored decision and the feedback on it",
        response=DecisionResponse,
        response_example={**_DECISION, "feedback": []},
        errors=(UnknownDecision,),
    ),
    Operation(
        "delete",
        "/decisions/{id}",
        "eraseDecision",
        "Erase a decision for good: its text, the feedback on it, its review, the answers and the label",
        status=204,
        errors=(Forbidden, UnknownDecision),
    ),
    Operation(
        "get",
        "/reviews",
        "listReviews",
        "List reviews that wait for annotators, or for an adjudicator, the oldest first",
        response=ReviewsResponse,
        response_example={"reviews": [_REVIEW], "cursor": None},
        errors=(InvalidRequest,),
        query=ReviewsQuery,
    ),
    Operation(
        "get",
        "/reviews/next",
        "nextReview",
        "Show the review that the caller should answer next",
        response=NextResponse,
        response_example={
            "review": _REVIEW,
            "progress": {"answered": 41, "skipped": 2, "today": 12, "waiting": 310, "agreement": 0.93},
        },
        errors=(InvalidRequest,),
        query=NextQuery,
    ),
    Operation(
        "get",
        "/reviews/{id}",
        "showReview",
        "Show a review; others' answers only once the caller has answered",
        response=ReviewResponse,
        response_example=_ANSWERED,
        errors=(UnknownReview,),
    ),
    Operation(
        "post",
        "/reviews/{id}/annotations",
        "annotate",
        "Answer a review: the categories that the text belongs to, none of them, or a skip",
        request=AnnotationRequest,
        request_example={"labels": ["insult"]},
        response=ReviewResponse,
        response_example=_ANSWERED,
        status=201,
        errors=(*_BODY_ERRORS, Forbidden, UnknownReview, Conflict),
    ),
    Operation(
        "delete",
        "/reviews/{id}/annotations",
        "withdrawAnnotation",
        "Take the caller's answer to a review back",
        status=204,
        errors=(UnknownReview, Conflict),
    ),
    Operation(
        "post",
        "/reviews/{id}/adjudication",
        "adjudicate",
        "Decide what annotators disagree on; for adjudicators",
        request=AdjudicationRequest,
        request_example={"labels": ["insult"], "note": "meant to hurt"},
        response=ReviewResponse,
        response_example={**_ANSWERED, "status": "settled", "label": {"insult": True, "threat": False}},
        status=201,
        errors=(*_BODY_ERRORS, Forbidden, UnknownReview, Conflict),
    ),
    Operation(
        "get",
        "/loop",
        "showLoop",
        "Show the feedback loop in figures; how annotators did on gold items for adjudicators only",
        response=LoopResponse,
    ),
    Operation(
        "get",
        "/labels.manifest",
        "exportLabels",
        "Give out the labels as lines of Ground Truth's augmented manifest; the header Link leads to the next page",
        response=str,
        errors=(InvalidRequest,),
        query=CursorQuery,
        media_type="application/x-ndjson",
    ),
    Operation(
        "get",
        "/model",
        "showModel",
        "Show the model in use: its manifest and its card",
        response=ModelResponse,
    ),
    Operation(
        "get",
        "/healthz",
        "health",
        "Answer as long as the process lives",
        response=Health,
        response_example={"status": "ok"},
    ),
    Operation(
        "get",
        "/readyz",
        "readiness",
        "Answer when the model is loaded and verified",
        response=Health,
        response_example={"status": "ok"},
    ),
    Operation("get", "/openapi.json", "showOpenapi", "Show this document", response=dict),
)
"""Every route of the API, whichever function answers it."""
