"""Records over HTTP: decisions shown, listed and erased, and feedback erased."""

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response

from moderato.api import Identify, Resolver, parse_query, require_eraser, respond
from moderato.contracts import DecisionResponse, DecisionsResponse, FeedbackEntry, PageQuery
from moderato.decisions import Feedback
from moderato.store import Store
from moderato.telemetry import Count


def add_record_routes(resolver: Resolver, store: Store, identify: Identify, logger: Logger, count: Count) -> None:
    """Add the routes that show and erase what is stored.

    An adjudicator may erase any decision and any feedback: erasure is owed to who wrote the text, not to who judged it,
    and a moderator's token alone must not empty the store.
    """

    @resolver.get("/decisions")
    def list_decisions() -> Response[str]:
        identify(resolver.current_event)
        query = parse_query(resolver.current_event, PageQuery)
        page = store.list_decisions(query.limit, query.cursor)
        return respond(DecisionsResponse(page.records, page.cursor))

    @resolver.get("/decisions/<decision_id>")
    def show_decision(decision_id: str) -> Response[str]:
        identify(resolver.current_event)
        decision = store.get_decision(decision_id)
        entries = [_entry(feedback) for feedback in store.feedback_of(decision_id)]
        return respond(DecisionResponse(**msgspec.structs.asdict(decision), feedback=entries))

    @resolver.delete("/decisions/<decision_id>")
    def erase_decision(decision_id: str) -> Response[str]:
        require_eraser(identify(resolver.current_event))
        store.delete_decision(decision_id)
        logger.info("decision_erased", extra={"decision_id": decision_id})
        count("decision_erased")
        return Response(status_code=204, body="")

    @resolver.delete("/feedback/<feedback_id>")
    def erase_feedback(feedback_id: str) -> Response[str]:
        require_eraser(identify(resolver.current_event))
        store.delete_feedback(feedback_id)
        logger.info("feedback_erased", extra={"feedback_id": feedback_id})
        count("feedback_erased")
        return Response(status_code=204, body="")


def _entry(feedback: Feedback) -> FeedbackEntry:
    return FeedbackEntry(
        feedback_id=feedback.feedback_id,
        moderator=feedback.moderator,
        correct=feedback.correct,
        labels=feedback.labels,
        note=feedback.note,
        created=feedback.created,
    )
