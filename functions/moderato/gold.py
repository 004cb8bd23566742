"""Gold: test items whose answer is known, and what they say of the annotators who met them unawares."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from moderato.clock import Clock
from moderato.consolidation import GoldScore, Rules, gold_scores
from moderato.reviews import Review, Status
from moderato.store import Store

FRESH = timedelta(seconds=60)
"""How long what was read holds: an answer that another container took counts a minute later here."""

RENEWED = timedelta(days=7)
"""How often a gold item looks as if it were queued anew: it never settles, and would be the oldest for ever."""

_PAGE = 200


@dataclass(frozen=True)
class Checked:
    """The gold items by id and how annotators did on them, as they were when read."""

    items: dict[str, Review]
    scores: dict[str, GoldScore]
    read: datetime


class Gold:
    """The gold items of a store, read at most once a minute: one read for each item, however many answers there are."""

    def __init__(self, store: Store, clock: Clock, rules: Rules) -> None:
        """Read nothing yet."""
        self._store, self._clock, self._rules = store, clock, rules
        self._checked: Checked | None = None

    def items(self) -> dict[str, Review]:
        """Return the gold items by their ids."""
        return self._current().items

    def scores(self) -> dict[str, GoldScore]:
        """Return by annotator how many gold items they answered, and how many of them rightly."""
        return self._current().scores

    def distrusted(self) -> frozenset[str]:
        """Return the annotators whose answers do not count."""
        return frozenset(name for name, score in self.scores().items() if score.is_distrusted(self._rules))

    def read(self) -> None:
        """Read the items and their answers anew."""
        items = {item.review_id: item for item in self._items()}
        answers = [answer for review_id in items for answer in self._store.annotations_of(review_id)]
        right = {review_id: item.gold or {} for review_id, item in items.items()}
        self._checked = Checked(items, gold_scores(answers, right), self._clock())

    def _current(self) -> Checked:
        if self._checked is None or self._clock() - self._checked.read >= FRESH:
            self.read()
        if self._checked is None:
            raise AssertionError("reading sets it")
        return self._checked

    def _items(self) -> list[Review]:
        page = self._store.list_reviews(Status.GOLD, _PAGE)
        items = page.records
        while page.cursor is not None:
            page = self._store.list_reviews(Status.GOLD, _PAGE, page.cursor)
            items = [*items, *page.records]
        return items


def as_seen(review: Review, now: datetime) -> Review:
    """Return a review as annotators see it: gold looks as if it waited, for less than a week.

    Neither has `gold`, nor `expires`, which only gold lacks.
    """
    if review.status is not Status.GOLD:
        return msgspec.structs.replace(review, expires=None)
    created = datetime.fromisoformat(review.created)
    weeks = max(now - created, timedelta()) // RENEWED
    created += weeks * RENEWED
    return msgspec.structs.replace(review, status=Status.WAITING, gold=None, expires=None, created=created.isoformat())
