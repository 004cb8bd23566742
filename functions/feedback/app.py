"""Feedback over HTTP: record what a moderator says, queue for review what was wrong, show and erase decisions."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.api import caller, create_resolver, parse, respond
from moderato.contracts import DecisionResponse, FeedbackEntry, FeedbackRequest, FeedbackResponse
from moderato.decisions import Decision, Feedback
from moderato.errors import InvalidRequest, UnknownDecision
from moderato.sqlite import SqliteStore
from moderato.telemetry import Count, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,256}")


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def create_app(
    store: SqliteStore,
    categories: Sequence[str],
    logger: Logger,
    clock: Callable[[], datetime] = utc_now,
    count: Count = ignore,
) -> Handler:
    """Return the Lambda handler of feedback and decisions; `categories` are those that labels may name."""
    resolver = create_resolver(logger)

    @resolver.post("/feedback")
    def give_feedback() -> Response[str]:
        event = resolver.current_event
        request = parse(event, FeedbackRequest)
        check(request, categories)
        review = needs_review(request, _decision_of(request, store))
        moderator = caller(event)
        digest = _digest(msgspec.json.encode(request))
        feedback_id = _feedback_id(moderator, _idempotency_key(event.headers), digest)
        feedback = _feedback(request, feedback_id, moderator, clock())
        recorded = store.record_feedback(feedback, digest, review)
        _report(recorded.feedback_id, recorded.review_queued, recorded.replayed)
        answer = FeedbackResponse(recorded.feedback_id, request.decision_id, recorded.review_queued)
        return respond(answer, status=201)

    def _report(feedback_id: str, review_queued: bool, replayed: bool) -> None:
        fields = {"feedback_id": feedback_id, "review_queued": review_queued, "replayed": replayed}
        logger.info("feedback_recorded", extra=fields)
        count("feedback_replayed" if replayed else "feedback_recorded")

    @resolver.get("/decisions/<decision_id>")
    def show_decision(decision_id: str) -> Response[str]:
        decision = store.get_decision(decision_id)
        entries = [_entry(feedback) for feedback in store.feedback_of(decision_id)]
        return respond(DecisionResponse(**msgspec.structs.asdict(decision), feedback=entries))

    @resolver.delete("/decisions/<decision_id>")
    def erase_decision(decision_id: str) -> Response[str]:
        store.delete_decision(decision_id)
        logger.info("decision_erased", extra={"decision_id": decision_id})
        count("decision_erased")
        return Response(status_code=204, body="")

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return resolver.resolve(event, context)

    return handler


def check(request: FeedbackRequest, categories: Sequence[str]) -> None:
    """Raise InvalidRequest for what the types cannot say: which fields go together, and which labels exist."""
    if (request.correct is None) == (request.labels is None):
        given = "neither" if request.correct is None else "both"
        raise InvalidRequest(f"exactly one of `correct` and `labels` is needed; the body has {given}")
    if request.decision_id is None and request.text is None:
        raise InvalidRequest("`decision_id` or `text` is needed, to say what the feedback is about; there is neither")
    if not set(request.labels or ()) <= set(categories):
        raise InvalidRequest.of("/labels", f"unknown label; the model's categories are {', '.join(categories)}")


def needs_review(request: FeedbackRequest, decision: Decision | None) -> bool:
    """Return whether annotators should look: the feedback disagrees, or labels a text that has no stored decision."""
    if request.labels is None:
        return request.correct is False
    return decision is None or decision.disagrees(request.labels)


def _decision_of(request: FeedbackRequest, store: SqliteStore) -> Decision | None:
    if request.decision_id is None:
        return None
    try:
        return store.get_decision(request.decision_id)
    except UnknownDecision:
        if request.text is None:
            raise
        return None


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("the header Idempotency-Key must have 1 to 256 printable ASCII characters")
    return key


def _feedback_id(moderator: str, key: str | None, digest: str) -> str:
    # Without a key the body itself is the key, so that a client's retry is the same write.
    source = ("body", digest) if key is None else ("key", key)
    hashed = hashlib.sha256(msgspec.json.encode((moderator, *source))).digest()
    return f"f_{base64.urlsafe_b64encode(hashed).decode()[:26]}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _feedback(request: FeedbackRequest, feedback_id: str, moderator: str, now: datetime) -> Feedback:
    fields = msgspec.structs.asdict(request)
    return Feedback(feedback_id=feedback_id, moderator=moderator, created=now.isoformat(), **fields)


def _entry(feedback: Feedback) -> FeedbackEntry:
    return FeedbackEntry(
        feedback_id=feedback.feedback_id,
        moderator=feedback.moderator,
        correct=feedback.correct,
        labels=feedback.labels,
        note=feedback.note,
        created=feedback.created,
    )
