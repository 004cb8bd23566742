"""A queue for tests: a clock that they set, and the steps that many of them begin with."""

from datetime import UTC, datetime, timedelta

from moderato.review_queue import Filters, ReviewQueue
from moderato.reviews import Review, review_id_of
from moderato.sqlite import SqliteStore
from tests.records import decision, feedback, review

CATEGORIES = ["insult", "threat"]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANY = Filters()


class Time:
    """A clock that a test sets; each look at it takes a millisecond, so that no two records are made at once."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        """Tell the time."""
        self.now += timedelta(milliseconds=1)
        return self.now


def add(store: SqliteStore, *numbers: int, **fields: object) -> list[str]:
    """Queue reviews; return their ids."""
    reviews = [review(number, **fields) for number in numbers]
    for one in reviews:
        assert store.add_review(one)
    return [one.review_id for one in reviews]


def report(store: SqliteStore, review_id: str, moderator: str) -> None:
    """Record feedback on the decision of a review."""
    given = feedback(feedback_id=f"f_{moderator}_{review_id}", moderator=moderator, review_id=review_id)
    store.record_feedback(given, "digest", None)


def settle(queue: ReviewQueue, review_id: str, *labels: str) -> None:
    """Let three annotators give the same answer."""
    for annotator in ("ann", "ben", "cem"):
        queue.annotate(review_id, annotator, labels)


def dispute(queue: ReviewQueue, review_id: str) -> Review:
    """Let two annotators find an insult and a third one none; return the review after it."""
    queue.annotate(review_id, "ann", ["insult"])
    queue.annotate(review_id, "ben", ["insult"])
    return queue.annotate(review_id, "cem", [])


def offered(queue: ReviewQueue, annotator: str, filters: Filters = ANY) -> str | None:
    """Return the id of what an annotator is offered."""
    found = queue.offer(annotator, filters)
    return None if found is None else found.review_id


def add_gold(queue: ReviewQueue, count: int) -> list[str]:
    """Add gold items whose right answer is an insult; return their ids."""
    decisions = [decision(decision_id=f"d_gold_{number}", text=f"you gold {number}") for number in range(count)]
    for one in decisions:
        assert queue.add_gold(one.text, ["insult"], one)
    return [review_id_of(one.decision_id, None) for one in decisions]
