"""The loop over HTTP: its figures as one viewer may see them, and the labels as Ground Truth would write them."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec
from aws_lambda_powertools.event_handler import Response

from moderato.api import Caller, Identify, Resolver, parse_query, respond
from moderato.contracts import CursorQuery, LoopResponse
from moderato.errors import UnknownReview
from moderato.groundtruth import output_line
from moderato.models_report import ModelsReport
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, Status
from moderato.store import Store

SHOWN = (Status.WAITING, Status.LABELING, Status.DISPUTED, Status.SETTLED)
"""Where a review can stand, in the order of its way; gold is nobody's business."""

MAX_COUNTED = 200
"""Reviews of a status and a reason that are counted: nobody who looks should make a table of millions be read."""

MANIFEST_TYPE = "application/x-ndjson"
MANIFEST_BYTES = 2_000_000
"""From which size a page of the manifest ends: with its last 25 lines it is below Lambda's 6 MB."""

_LABELS = 25

Models = Callable[[], ModelsReport]
"""Tells of champion, challengers and datasets."""


def add_loop_routes(
    resolver: Resolver,
    queue: ReviewQueue,
    store: Store,
    categories: Sequence[str],
    identify: Identify,
    models: Models | None,
) -> None:
    """Add the routes that show what came of it all; without `models` they have nothing on models and datasets."""

    @resolver.get("/loop")
    def show_loop() -> Response[str]:
        return respond(loop_of(queue, store, models, identify(resolver.current_event)))

    @resolver.get("/labels.manifest")
    def show_labels() -> Response[str]:
        identify(resolver.current_event)
        query = parse_query(resolver.current_event, CursorQuery)
        manifest, cursor = _manifest(store, categories, query.cursor)
        link = {"Link": f'</labels.manifest?cursor={quote(cursor)}>; rel="next"'} if cursor else {}
        return Response(status_code=200, content_type=MANIFEST_TYPE, body=manifest.decode(), headers=link)


def loop_of(queue: ReviewQueue, store: Store, models: Models | None, viewer: Caller) -> LoopResponse:
    """Return the loop's figures, with those on gold items for an adjudicator alone."""
    report = queue.loop_report()
    seen = report if viewer.is_adjudicator else report.without_gold()
    return LoopResponse(
        **msgspec.structs.asdict(seen),
        by_reason={status: count_by_reason(store, status) for status in SHOWN},
        models=None if models is None else models(),
    )


def count_by_reason(store: Store, status: Status) -> dict[ReviewReason, str]:
    """Return how many reviews of a status there are by reason, in words: "200+" for more than are counted."""
    pages = {reason: store.list_reviews(status, MAX_COUNTED, reason=reason) for reason in ReviewReason}
    return {reason: f"{len(page.records)}{'+' if page.cursor else ''}" for reason, page in pages.items()}


def _manifest(store: Store, categories: Sequence[str], cursor: str | None) -> tuple[bytes, str | None]:
    lines: list[bytes] = []
    size = 0
    while size < MANIFEST_BYTES:
        page = store.list_labels(_LABELS, cursor)
        for label in page.records:
            try:
                lines.append(output_line(store.get_review(label.review_id), label, categories))
            except UnknownReview:
                continue  # erased since the page was read
        size, cursor = sum(map(len, lines)), page.cursor
        if cursor is None:
            break
    return b"".join(line + b"\n" for line in lines), cursor
