"""The review queue: what an annotator gets next, what becomes of answers, and which labels come out of it."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from moderato import acceptance, loop
from moderato.acceptance import Accepted
from moderato.clock import KEEP_DAYS, Clock, expiry, utc_now
from moderato.consolidation import Consolidation, Rules, consolidate
from moderato.contracts import MAX_NOTE_CHARACTERS
from moderato.decisions import Decision
from moderato.errors import Conflict, Forbidden, InvalidRequest, UnknownReview
from moderato.gold import Gold
from moderato.loop import LoopReport, Progress
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status, review_id_of, review_of
from moderato.store import Page, Store

__all__ = ["Accepted", "Filters", "LoopReport", "Progress", "ReviewQueue", "Rules"]

REVISITED_ANSWERS = 500
"""How many of an annotator's newest answers are looked at again at once when trust in them changes; what is older
follows when a dataset is grown."""

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

    def offer(self, annotator: str, filters: Filters = Filters()) -> Review | None:  # noqa: B008  # immutable
        """Return the next review for an annotator, or None when none waits that they may answer.

        Never one that they reported, answered or skipped. Disagreements first, then uncertain scores, then the
        sample, the oldest first; about one in `gold_every` is gold instead. Asked again, it returns the same.
        """
        seen = {one.review_id for one in loop.history_of(self._store, annotator)}
        review = self._next(annotator, seen, filters)
        if review is None:
            return None
        return _as_seen(self._gold_item(annotator, seen, filters) or review)

    def waiting(self, filters: Filters, limit: int, cursor: str | None = None) -> Page[Review]:
        """Return reviews that wait, the oldest first, without gold.

        With filters a page may be short, or empty, and the list still go on: only without a cursor is it the end.
        """
        return self._filtered(Status.WAITING, filters, limit, cursor)

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
        return _as_seen(self._store.get_review(review_id))

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
        """Return the categories on which annotators disagree; none unless the review is in dispute."""
        return self._consolidated(review_id).disputed

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
        if self._store.withdraw_annotation(review_id, annotator):
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

    def accepted(self, limit: int | None = None) -> list[Accepted]:
        """Return the labels that are ready for a dataset, the oldest first, at most `limit`.

        Each is consolidated again first, without the annotators who are distrusted, or reported it, by now: what no
        longer stands is taken back, and its review waits again. No annotator's share is larger than the rules allow.
        """
        self._gold.read()
        standing = [label for label in list(acceptance.unused_labels(self._store)) if self._stands(label)]
        return acceptance.accept(self._store, standing, self._rules, limit)

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
        now = self._clock()
        for reason in ReviewReason if filters.reason is None else (filters.reason,):
            for review in self._waiting_for(reason):
                if review.review_id not in seen and filters.match(review, now) and self._may_answer(review, annotator):
                    return review
        return None

    def _waiting_for(self, reason: ReviewReason) -> Iterator[Review]:
        return loop.pages(lambda cursor: self._store.list_reviews(Status.WAITING, _PAGE, cursor, reason=reason))

    def _gold_item(self, annotator: str, seen: Collection[str], filters: Filters) -> Review | None:
        items = sorted(self._gold.items())
        # Drawn by a hash and not by chance: whoever asks twice is offered the same. Nobody can foretell it who does
        # not know the gold items' ids.
        if not items or _drawn(annotator, len(seen), *items) % self._rules.gold_every:
            return None
        now = self._clock()
        for review_id in sorted(set(items) - set(seen), key=lambda name: _drawn(annotator, name)):
            item = self._gold.items()[review_id]
            if filters.match(item, now) and self._may_answer(item, annotator):
                return item
        return None

    def _may_answer(self, review: Review, annotator: str) -> bool:
        return annotator not in self._reporters(review.review_id)

    def _filtered(self, status: Status, filters: Filters, limit: int, cursor: str | None) -> Page[Review]:
        now, found = self._clock(), list[Review]()
        for _ in range(_MOST_PAGES):
            # No more than are missing: so the cursor always stands behind the last review that is returned.
            page = self._store.list_reviews(status, limit - len(found), cursor, reason=filters.reason)
            found += [_as_seen(review) for review in page.records if filters.match(review, now)]
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
        if annotator in self._reporters(review_id):
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

    def _reporters(self, review_id: str) -> set[str]:
        return {feedback.moderator for feedback in self._store.feedback_of_review(review_id)}

    def _updated(self, review: Review, annotator: str) -> Review:
        if review.status is Status.GOLD:
            self._check_trust(annotator)
            return _as_seen(review)
        return _as_seen(msgspec.structs.replace(review, status=self._bring_into_line(review)))

    def _check_trust(self, annotator: str) -> None:
        before = self._gold.distrusted()
        self._gold.read()
        if (annotator in before) != (annotator in self._gold.distrusted()):
            answers = self._store.annotations_by(annotator, REVISITED_ANSWERS).records
            for review_id in [answer.review_id for answer in answers if answer.labels is not None]:
                self._revisit(review_id)

    def _revisit(self, review_id: str) -> None:
        try:
            review = self._store.get_review(review_id)
        except UnknownReview:
            return  # erased or expired: nothing of it can go into a dataset
        label = self._store.get_label(review_id)
        if review.status is not Status.GOLD and (label is None or label.dataset is None):
            self._bring_into_line(review)

    def _stands(self, label: Label) -> bool:
        if label.method == "groundtruth":
            return True  # it rests on its job's answers, not on any that are here
        self._revisit(label.review_id)
        now = self._store.get_label(label.review_id)
        return now is not None and now.values == label.values

    def _bring_into_line(self, review: Review) -> Status:
        """Give the review the status, and the label, that its answers come to; safe to repeat, and after a crash."""
        if review.status is Status.LABELING:
            return review.status
        consolidation = self._consolidated(review.review_id)
        if consolidation.status is Status.SETTLED:
            self._settle(review, consolidation)
        elif review.status is Status.SETTLED:
            self._store.unsettle(review.review_id)
            self._store.move_review(review.review_id, Status.WAITING, consolidation.status)
        elif review.status is not consolidation.status:
            self._store.move_review(review.review_id, review.status, consolidation.status)
        return consolidation.status

    def _consolidated(self, review_id: str) -> Consolidation:
        answers = self._store.annotations_of(review_id)
        distrusted = self._gold.distrusted()
        return consolidate(answers, self._categories, self._reporters(review_id), distrusted, self._rules)

    def _settle(self, review: Review, consolidation: Consolidation) -> None:
        label = Label(
            review_id=review.review_id,
            values=consolidation.values,
            method="agreement" if consolidation.adjudicator is None else "adjudication",
            annotators=consolidation.annotators,
            created=self._clock().isoformat(),
            adjudicator=consolidation.adjudicator,
            expires=review.expires,
        )
        stored = self._store.get_label(review.review_id)
        if stored is None or msgspec.structs.replace(stored, created=label.created) != label:
            self._store.settle(label)


def _main_categories(review: Review) -> set[str]:
    flagged = {reason.category for reason in review.reasons}
    return flagged | ({max(review.scores, key=review.scores.__getitem__)} if review.scores else set())


def _age(review: Review, now: datetime) -> timedelta:
    created = datetime.fromisoformat(review.created)
    return now - (created if created.tzinfo else created.replace(tzinfo=UTC))


def _drawn(*of: str | int) -> int:
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(of)).digest()[:8])


def _as_seen(review: Review) -> Review:
    # Gold looks as if it waited; a `gold`, or an `expires` that only gold lacks, would tell it apart.
    status = Status.WAITING if review.status is Status.GOLD else review.status
    return msgspec.structs.replace(review, status=status, gold=None, expires=None)
