"""The review queue: what an annotator gets next, what becomes of answers, and which labels come out of it."""

import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec

from moderato import acceptance, loop
from moderato.acceptance import Accepted
from moderato.clock import KEEP_DAYS, Clock, expiry, utc_now
from moderato.consolidation import Rules
from moderato.contracts import MAX_NOTE_CHARACTERS
from moderato.cursors import cursor_of, position_of
from moderato.decisions import Decision
from moderato.errors import Conflict, Forbidden, InvalidRequest, UnknownReview
from moderato.gold import Gold, as_seen
from moderato.loop import LoopReport, Progress
from moderato.reviews import Annotation, Review, ReviewReason, Status, review_id_of, review_of
from moderato.settlement import Settlement
from moderato.store import Page, Store

__all__ = ["Accepted", "Filters", "LoopReport", "Progress", "ReviewQueue", "Rules"]

MOST_SPREAD = 10
"""Over how many of the most urgent reviews annotators are spread, at most: each costs a read, and waits for longer."""

_PAGE = 100
_MOST_PAGES = 50
_OPEN = (Status.WAITING, Status.GOLD)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which reviews somebody wants to see: all that are given must hold."""

    reason: ReviewReason | None = None
    category: str | None = None
    """A category that the decision flagged or scored highest."""
    older_than_days: int | None = None

    def match(self, review: Review, now: datetime) -> bool:
        """Return whether somebody who filters so wants this review."""
        if self.reason is not None and review.reason is not self.reason:
            return False
        if self.category is not None and self.category not in _main_categories(review):
            return False
        return self.older_than_days is None or _age(review, now) > timedelta(days=self.older_than_days)


class ReviewQueue:
    """Hands out reviews, takes answers and settles them; all state is the store's, so any number may work at once.

    Gold items are handed out and answered like any other: nothing that an annotator gets from here tells them apart.
    """

    def __init__(
        self,
        store: Store,
        categories: Sequence[str],
        clock: Clock = utc_now,
        rules: Rules = Rules(),  # noqa: B008  # immutable
        keep_days: int = KEEP_DAYS,
    ) -> None:
        """Queue the reviews of `store`, which are about `categories`; new ones are kept for `keep_days`."""
        self._store, self._categories, self._clock, self._rules = store, tuple(categories), clock, rules
        self._keep_days = keep_days
        self._gold = Gold(store, clock, rules)
        self._settlement = Settlement(store, categories, clock, rules, self._gold)

    def offer(self, annotator: str, filters: Filters = Filters()) -> Review | None:  # noqa: B008  # immutable
        """Return the next review for an annotator, or None when none waits that they may answer.

        Never one that they reported, answered or skipped. Disagreements first, then uncertain scores, then the
        sample, the oldest first; about one in `gold_every` is gold instead. Where there are more annotators than one
        review needs, they are spread over as many of the oldest as they are enough for, so that they do not all read
        the same one. Asked again, it returns the same, as long as nobody else answers.
        """
        seen = {one.review_id for one in loop.history_of(self._store, annotator)}
        review = self._next(annotator, seen, filters)
        if review is None:
            return None
        return self._as_seen(self._gold_item(annotator, seen, filters) or review)

    def waiting(self, filters: Filters, limit: int, cursor: str | None = None) -> Page[Review]:
        """Return reviews that wait, the oldest first; some gold is among them, as if it waited.

        With filters a page may be short, or empty, and the list still go on: only without a cursor is it the end.
        """
        page = self._filtered(Status.WAITING, filters, limit, cursor)
        # No more of it than is offered: where little waits, a list would else be gold and hardly anything besides.
        most = math.ceil(len(page.records) / self._rules.gold_every)
        gold = self._gold_between(filters, most, cursor, page.cursor)
        return _cut(sorted([*page.records, *gold], key=_position), limit, page.cursor)

    def disputed(
        self,
        limit: int,
        cursor: str | None = None,
        filters: Filters = Filters(),  # noqa: B008  # immutable
    ) -> Page[Review]:
        """Return reviews that wait for an adjudicator, the oldest first; pages are as those of `waiting`."""
        return self._filtered(Status.DISPUTED, filters, limit, cursor)

    def get(self, review_id: str) -> Review:
        """Return a review as an annotator may see it, or raise UnknownReview."""
        return self._as_seen(self._store.get_review(review_id))

    def answers(self, review_id: str, viewer: str, is_adjudicator: bool = False) -> list[Annotation]:
        """Return the answers to a review that somebody may see, oldest first.

        None before their own answer, so that nobody is led by others; adjudicators see those of what is in dispute.
        """
        review = self._store.get_review(review_id)
        answers = self._store.annotations_of(review_id)
        own = [answer for answer in answers if answer.annotator == viewer]
        if review.status is Status.GOLD:
            return own
        has_answered = any(answer.labels is not None for answer in own)
        return answers if has_answered or (is_adjudicator and review.status is Status.DISPUTED) else own

    def disputed_categories(self, review_id: str) -> list[str]:
        """Return the categories that an adjudicator of a disputed review has to decide."""
        # A job's own consolidation can open a dispute without any answer that is known here.
        return self._settlement.consolidated(review_id).disputed or list(self._categories)

    def label_of(self, review: Review) -> dict[str, bool | None] | None:
        """Return what a review settled on; None as long as it has not."""
        label = self._store.get_label(review.review_id) if review.status is Status.SETTLED else None
        return None if label is None else label.values

    def annotate(self, review_id: str, annotator: str, labels: Sequence[str] | None, note: str | None = None) -> Review:
        """Take an answer (None = skipped), and return the review with its new status.

        Raises UnknownReview, InvalidRequest for an unknown label, Forbidden for a reporter, and Conflict when this
        annotator gave another answer or the review no longer waits.
        """
        review = self._store.get_review(review_id)
        answer = self._answer(review, annotator, labels, note)
        self._refuse_reporter(review_id, annotator)
        if not self._is_there(answer):
            if review.status not in _OPEN:
                raise Conflict("this review does not wait for answers any more")
            self._store.record_annotation(answer)
        return self._updated(review, annotator)

    def withdraw(self, review_id: str, annotator: str) -> None:
        """Take an annotator's or adjudicator's answer back; without one, nothing happens.

        A label that rested on it goes too. Raises UnknownReview, and Conflict when a dataset has the label already.
        """
        review = self._store.get_review(review_id)
        self._refuse_in_dataset(review_id)
        self._store.withdraw_annotation(review_id, annotator)
        # Without an answer too: an earlier try may have got as far as taking it away.
        self._updated(review, annotator)

    def adjudicate(self, review_id: str, adjudicator: str, labels: Sequence[str], note: str | None = None) -> Review:
        """Decide what annotators disagree on; where they are unanimous, their answer stands. Return the settled review.

        Raises UnknownReview, InvalidRequest for an unknown label, Forbidden for a reporter or one of its annotators,
        and Conflict when the review is not in dispute.
        """
        review = self._store.get_review(review_id)
        answer = msgspec.structs.replace(self._answer(review, adjudicator, labels, note), is_adjudication=True)
        self._refuse_reporter(review_id, adjudicator)
        if not self._is_there(answer):
            if review.status is not Status.DISPUTED:
                raise Conflict("this review is not in dispute")
            self._refuse_annotator(review_id, adjudicator)
            self._store.record_annotation(answer)
        return self._updated(review, adjudicator)

    def progress(self, annotator: str) -> Progress:
        """Return how far an annotator is."""
        return loop.progress(self._store, annotator, self._clock())

    def loop_report(self) -> LoopReport:
        """Return the figures of the whole loop; it reads all labels and answers."""
        self._gold.read()
        return loop.report(self._store, self._categories, self._gold.scores(), self._rules)

    def accepted(self, limit: int | None = None, known: Collection[str] | None = None) -> list[Accepted]:
        """Return the labels that are ready for a dataset, the oldest first, at most `limit`.

        Ready are those that no dataset has, or, where `known` gives the reviews whose labels a dataset has, all but
        these: a version that is gone, or of another line, keeps no label from it.

        Each is consolidated again first, without the annotators who are distrusted, or reported it, by now: what no
        longer stands is taken back, and its review waits again. No annotator's share is larger than the rules allow.
        """
        return acceptance.accept(self._store, self._settlement.standing(known), self._rules, limit)

    def add_gold(self, text: str, labels: Sequence[str], decision: Decision | None = None) -> bool:
        """Add a test item whose right answer is `labels`; False when the text, or the decision, has a review already.

        With its decision it looks like a review that a decision has, without like a text that a moderator sent in.
        """
        self._check(labels, None)
        now = self._clock()
        review = Review(
            review_id=review_id_of(None, text), text=text, reason=ReviewReason.DISAGREEMENT, created=now.isoformat()
        )
        if decision is not None:
            review = review_of(decision, ReviewReason.DISAGREEMENT, now.isoformat())
        right = {category: category in labels for category in self._categories}
        self._gold.read()
        added = self._store.add_review(msgspec.structs.replace(review, status=Status.GOLD, gold=right, expires=None))
        self._gold.read()
        return added

    def _next(self, annotator: str, seen: Collection[str], filters: Filters) -> Review | None:
        spread = min(MOST_SPREAD, math.ceil(len(self._store.annotators()) / self._rules.annotators) or 1)
        for reason in ReviewReason if filters.reason is None else (filters.reason,):
            found = list(islice(self._answerable(annotator, seen, filters, reason), spread))
            if found:
                return found[_drawn(annotator, len(seen)) % len(found)]
        return None

    def _answerable(
        self, annotator: str, seen: Collection[str], filters: Filters, reason: ReviewReason
    ) -> Iterator[Review]:
        now = self._clock()
        for review in self._waiting_for(reason):
            if review.review_id not in seen and filters.match(review, now) and self._may_answer(review, annotator):
                yield review

    def _waiting_for(self, reason: ReviewReason) -> Iterator[Review]:
        return loop.pages(lambda cursor: self._store.list_reviews(Status.WAITING, _PAGE, cursor, reason=reason))

    def _gold_item(self, annotator: str, seen: Collection[str], filters: Filters) -> Review | None:
        items = sorted(self._gold.items())
        # Drawn by a hash and not by chance: whoever asks twice is offered the same. Nobody can foretell it who does
        # not know the gold items' ids.
        if not items or _drawn(annotator, len(seen), *items) % self._rules.gold_every:
            return None
        for review_id in sorted(set(items) - set(seen), key=lambda name: _drawn(annotator, name)):
            item = self._stored(review_id)
            if item and filters.match(self._as_seen(item), self._clock()) and self._may_answer(item, annotator):
                return item
        return None

    def _stored(self, review_id: str) -> Review | None:
        try:
            return self._store.get_review(review_id)
        except UnknownReview:
            return None  # erased since the gold items were read

    def _gold_between(self, filters: Filters, most: int, after: str | None, until: str | None) -> list[Review]:
        now = self._clock()
        shown = (as_seen(item, now) for item in self._gold.items().values())
        wanted = (item for item in shown if filters.match(item, now) and _is_between(_position(item), after, until))
        return [item for item in sorted(wanted, key=_position)[:most] if self._stored(item.review_id)]

    def _may_answer(self, review: Review, annotator: str) -> bool:
        return annotator not in self._settlement.reporters(review.review_id)

    def _filtered(self, status: Status, filters: Filters, limit: int, cursor: str | None) -> Page[Review]:
        now, found = self._clock(), list[Review]()
        for _ in range(_MOST_PAGES):
            # No more than are missing: so the cursor always stands behind the last review that is returned.
            page = self._store.list_reviews(status, limit - len(found), cursor, reason=filters.reason)
            found += [as_seen(review, now) for review in page.records if filters.match(review, now)]
            cursor = page.cursor
            if cursor is None or len(found) == limit:
                break
        return Page(found, cursor)

    def _answer(self, review: Review, annotator: str, labels: Sequence[str] | None, note: str | None) -> Annotation:
        self._check(labels or (), note)
        chosen = None if labels is None else [category for category in self._categories if category in labels]
        return Annotation(
            review_id=review.review_id,
            annotator=annotator,
            labels=chosen,
            created=self._clock().isoformat(),
            note=note or None,
            # A gold item does not expire, and its answers must not look different for it.
            expires=review.expires or expiry(self._clock(), self._keep_days),
        )

    def _check(self, labels: Sequence[str], note: str | None) -> None:
        if not set(labels) <= set(self._categories):
            raise InvalidRequest.of("/labels", f"unknown label; the categories are {', '.join(self._categories)}")
        if len(note or "") > MAX_NOTE_CHARACTERS:
            raise InvalidRequest.of("/note", f"at most {MAX_NOTE_CHARACTERS} characters are allowed")

    def _is_there(self, answer: Annotation) -> bool:
        for stored in self._store.annotations_of(answer.review_id):
            if stored.annotator == answer.annotator and stored.is_adjudication == answer.is_adjudication:
                if (stored.labels, stored.note) != (answer.labels, answer.note):
                    raise Conflict("you gave another answer to this review; withdraw it to change it")
                return True
        return False

    def _refuse_reporter(self, review_id: str, annotator: str) -> None:
        if annotator in self._settlement.reporters(review_id):
            raise Forbidden("you gave feedback on this; others have to annotate it")

    def _refuse_annotator(self, review_id: str, adjudicator: str) -> None:
        for answer in self._store.annotations_of(review_id):
            if answer.annotator != adjudicator:
                continue
            if answer.labels is not None:
                raise Forbidden("you are one of its annotators; another adjudicator has to decide it")
            self._store.withdraw_annotation(review_id, adjudicator)  # a skip says nothing

    def _refuse_in_dataset(self, review_id: str) -> None:
        label = self._store.get_label(review_id)
        if label is not None and label.dataset is not None:
            raise Conflict("a dataset has this label already; its answers stay as they are")

    def _updated(self, review: Review, annotator: str) -> Review:
        if review.status is Status.GOLD:
            self._settlement.check_trust(annotator)
            return self._as_seen(review)
        status = self._settlement.bring_into_line(review.review_id)
        return self._as_seen(msgspec.structs.replace(review, status=status))

    def _as_seen(self, review: Review) -> Review:
        return as_seen(review, self._clock())


def _main_categories(review: Review) -> set[str]:
    flagged = {reason.category for reason in review.reasons}
    return flagged | ({max(review.scores, key=review.scores.__getitem__)} if review.scores else set())


def _age(review: Review, now: datetime) -> timedelta:
    created = datetime.fromisoformat(review.created)
    return now - (created if created.tzinfo else created.replace(tzinfo=UTC))


def _drawn(*of: str | int) -> int:
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(of)).digest()[:8])


def _position(review: Review) -> tuple[str, str]:
    return review.created, review.review_id


def _is_between(position: tuple[str, str], after: str | None, until: str | None) -> bool:
    return (after is None or position > position_of(after)) and (until is None or position <= position_of(until))


def _cut(reviews: list[Review], limit: int, cursor: str | None) -> Page[Review]:
    if len(reviews) <= limit:
        return Page(reviews, cursor)
    return Page(reviews[:limit], cursor_of(*_position(reviews[limit - 1])))
