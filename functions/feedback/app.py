"""Feedback over HTTP: record what a moderator says, and queue for review what was wrong."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from feedback.console import Console, register
from feedback.loop import add_loop_routes
from feedback.records import add_record_routes
from feedback.reviews import add_answer_routes, add_queue_routes
from moderato.access import caller_or_local
from moderato.api import Guard, Identify, Resolver, create_resolver, open_to_all, parse, respond
from moderato.clock import KEEP_DAYS, Clock, expiry, utc_now
from moderato.contracts import FeedbackRequest, FeedbackResponse
from moderato.decisions import Decision, Feedback
from moderato.errors import InvalidRequest, UnknownDecision
from moderato.review_queue import ReviewQueue
from moderato.reviews import Review, ReviewReason, review_id_of, review_of
from moderato.store import Store
from moderato.telemetry import Count, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,256}")


def create_app(
    store: Store,
    categories: Sequence[str],
    logger: Logger,
    clock: Clock = utc_now,
    count: Count = ignore,
    identify: Identify = caller_or_local,
    console: Console | None = None,
    keep_days: int = KEEP_DAYS,
    guard: Guard = open_to_all,
) -> Handler:
    """Return the Lambda handler of feedback, decisions and reviews.

    `categories` are those that labels may name. What is recorded is kept for `keep_days`, or as long as the decision
    that it is about. Without a `console` there are no pages, only the API. `guard` sees each request first.
    """
    resolver = create_resolver(logger, guard, count)
    queue = ReviewQueue(store, categories, clock, keep_days=keep_days)
    _add_feedback_route(resolver, store, categories, identify, logger, clock, count, keep_days)
    add_record_routes(resolver, store, identify, logger, count)
    add_queue_routes(resolver, queue, categories, identify)
    add_answer_routes(resolver, queue, identify, logger, count)
    add_loop_routes(resolver, queue, store, categories, identify, console.models if console else None)
    if console is not None:
        register(resolver, queue, store, categories, identify, logger, clock, console)

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
    if request.decision_id is None and request.correct is not None:
        raise InvalidRequest("`correct` is about a decision: send its `decision_id`, or `labels` of the text instead")
    if not set(request.labels or ()) <= set(categories):
        raise InvalidRequest.of("/labels", f"unknown label; the model's categories are {', '.join(categories)}")


def needs_review(request: FeedbackRequest, decision: Decision | None) -> bool:
    """Return whether annotators should look: the feedback disagrees, or labels a text that has no stored decision."""
    if request.labels is None:
        return request.correct is False
    return decision is None or decision.disagrees(request.labels)


def _add_feedback_route(
    resolver: Resolver,
    store: Store,
    categories: Sequence[str],
    identify: Identify,
    logger: Logger,
    clock: Clock,
    count: Count,
    keep_days: int,
) -> None:
    @resolver.post("/feedback")
    def give_feedback() -> Response[str]:
        event = resolver.current_event
        moderator = identify(event).name
        request = parse(event, FeedbackRequest)
        check(request, categories)
        decision = _decision_of(request, store)
        digest = _digest(msgspec.json.encode(request))
        feedback_id = _feedback_id(moderator, _idempotency_key(event.headers), digest)
        now = clock()
        expires = decision.expires if decision else expiry(now, keep_days)
        feedback = _feedback(request, feedback_id, moderator, now, expires)
        review = _review(request, decision, now, expires) if needs_review(request, decision) else None
        recorded = store.record_feedback(feedback, digest, review)
        _report(recorded.feedback_id, recorded.review_queued, recorded.replayed)
        answer = FeedbackResponse(recorded.feedback_id, request.decision_id, recorded.review_queued)
        return respond(answer, status=201)

    def _report(feedback_id: str, review_queued: bool, replayed: bool) -> None:
        fields = {"feedback_id": feedback_id, "review_queued": review_queued, "replayed": replayed}
        logger.info("feedback_recorded", extra=fields)
        count("feedback_replayed" if replayed else "feedback_recorded")


def _decision_of(request: FeedbackRequest, store: Store) -> Decision | None:
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


def _feedback(
    request: FeedbackRequest, feedback_id: str, moderator: str, now: datetime, expires: int | None
) -> Feedback:
    return Feedback(
        feedback_id=feedback_id,
        moderator=moderator,
        created=now.isoformat(),
        review_id=review_id_of(request.decision_id, request.text),
        expires=expires,
        **msgspec.structs.asdict(request),
    )


def _review(request: FeedbackRequest, decision: Decision | None, now: datetime, expires: int | None) -> Review:
    if decision is not None:
        return review_of(decision, ReviewReason.DISAGREEMENT, now.isoformat())
    return Review(
        review_id=review_id_of(request.decision_id, request.text),
        text=request.text or "",
        reason=ReviewReason.DISAGREEMENT,
        created=now.isoformat(),
        decision_id=request.decision_id,
        expires=expires,
    )
