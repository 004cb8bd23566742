"""Reviews over HTTP: what waits, what an annotator gets next, answers, and adjudication."""

from collections.abc import Sequence

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response

from moderato.api import Caller, Identify, Resolver, parse, parse_query, respond
from moderato.contracts import (
    AdjudicationRequest,
    AnnotationRequest,
    AnswerEntry,
    NextQuery,
    NextResponse,
    ReviewEntry,
    ReviewResponse,
    ReviewsQuery,
    ReviewsResponse,
)
from moderato.errors import Forbidden, InvalidRequest
from moderato.review_queue import Filters, ReviewQueue
from moderato.reviews import Annotation, Review, Status
from moderato.telemetry import Count


def add_queue_routes(resolver: Resolver, queue: ReviewQueue, categories: Sequence[str], identify: Identify) -> None:
    """Add the routes that show reviews: those that wait, the next to answer, one with its answers."""

    @resolver.get("/reviews")
    def list_reviews() -> Response[str]:
        identify(resolver.current_event)
        query = parse_query(resolver.current_event, ReviewsQuery)
        filters = _filters(query, categories)
        if query.status == "disputed":
            page = queue.disputed(query.limit, query.cursor, filters)
        else:
            page = queue.waiting(filters, query.limit, query.cursor)
        return respond(ReviewsResponse([_entry(review) for review in page.records], page.cursor))

    @resolver.get("/reviews/next")
    def show_next() -> Response[str]:
        annotator = identify(resolver.current_event).name
        filters = _filters(parse_query(resolver.current_event, NextQuery), categories)
        review = queue.offer(annotator, filters)
        return respond(NextResponse(_entry(review) if review else None, queue.progress(annotator)))

    @resolver.get("/reviews/<review_id>")
    def show_review(review_id: str) -> Response[str]:
        viewer = identify(resolver.current_event)
        return respond(_response(queue, queue.get(review_id), viewer))


def add_answer_routes(resolver: Resolver, queue: ReviewQueue, identify: Identify, logger: Logger, count: Count) -> None:
    """Add the routes by which annotators and adjudicators answer, and annotators think better of it."""

    @resolver.post("/reviews/<review_id>/annotations")
    def annotate(review_id: str) -> Response[str]:
        annotator = identify(resolver.current_event)
        request = parse(resolver.current_event, AnnotationRequest)
        review = queue.annotate(review_id, annotator.name, request.labels, request.note)
        _report("skipped" if request.labels is None else "annotated", review)
        return respond(_response(queue, review, annotator), status=201)

    @resolver.delete("/reviews/<review_id>/annotations")
    def withdraw(review_id: str) -> Response[str]:
        queue.withdraw(review_id, identify(resolver.current_event).name)
        logger.info("withdrawn", extra={"review_id": review_id})
        count("review_withdrawn")
        return Response(status_code=204, body="")

    @resolver.post("/reviews/<review_id>/adjudication")
    def adjudicate(review_id: str) -> Response[str]:
        adjudicator = identify(resolver.current_event)
        if not adjudicator.is_adjudicator:
            raise Forbidden("only an adjudicator decides what annotators disagree on")
        request = parse(resolver.current_event, AdjudicationRequest)
        review = queue.adjudicate(review_id, adjudicator.name, request.labels, request.note)
        _report("adjudicated", review)
        return respond(_response(queue, review, adjudicator), status=201)

    def _report(event: str, review: Review) -> None:
        logger.info(event, extra={"review_id": review.review_id, "review_status": review.status})
        count(f"review_{event}")


def _filters(query: NextQuery | ReviewsQuery, categories: Sequence[str]) -> Filters:
    if query.category is not None and query.category not in categories:
        raise InvalidRequest(f"the query parameter category must be one of {', '.join(categories)}")
    return Filters(reason=query.reason, category=query.category, older_than_days=query.older_than_days)


def _entry(review: Review) -> ReviewEntry:
    return ReviewEntry(**{name: getattr(review, name) for name in ReviewEntry.__struct_fields__})


def _response(queue: ReviewQueue, review: Review, viewer: Caller) -> ReviewResponse:
    answers = queue.answers(review.review_id, viewer.name, viewer.is_adjudicator)
    return ReviewResponse(
        **msgspec.structs.asdict(_entry(review)),
        answers=[_answer(answer) for answer in answers],
        disputed=queue.disputed_categories(review.review_id) if review.status is Status.DISPUTED else [],
        label=queue.label_of(review),
    )


def _answer(answer: Annotation) -> AnswerEntry:
    return AnswerEntry(answer.annotator, answer.labels, answer.note, answer.created, answer.is_adjudication)
