"""The queue of reviews in two figures, by which an alarm sees that nobody answers them."""

from datetime import datetime

from moderato.clock import Clock
from moderato.reviews import Status
from moderato.store import Store
from moderato.telemetry import Measure, Unit

REVIEWS_WAITING = "reviews_waiting"
OLDEST_REVIEW_SECONDS = "oldest_review_seconds"


def measure_queue(store: Store, measure: Measure, clock: Clock) -> None:
    """Measure how many reviews wait, and for how long the oldest does; 0 seconds where none waits."""
    oldest = store.list_reviews(Status.WAITING, 1).records
    waited = max(((clock() - datetime.fromisoformat(one.created)).total_seconds() for one in oldest), default=0.0)
    measure(REVIEWS_WAITING, store.count_reviews(Status.WAITING)[Status.WAITING], Unit.COUNT)
    # Never less than nothing: another machine's clock, which made the review, may be ahead.
    measure(OLDEST_REVIEW_SECONDS, max(0.0, waited), Unit.SECONDS)
