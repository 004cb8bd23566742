"""Settlement: each review has the status, and the label, that the answers to it come to."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from moderato import acceptance, loop
from moderato.clock import Clock
from moderato.consolidation import Consolidation, Rules, consolidate
from moderato.errors import UnknownReview
from moderato.gold import Gold
from moderato.reviews import Label, Review, Status
from moderato.store import Store

REVISITED_ANSWERS = 500
"""How many of an annotator's newest answers are looked at again at once when trust in them changes; what is older
follows when a dataset is grown."""

_MOST_LOOKS = 5
_OF_ANSWERS = (Status.WAITING, Status.DISPUTED, Status.SETTLED)
"""Where a review stands that answers decide on: no job has it, and it is no test item."""


class Settlement:
    """Settles reviews, opens disputes, and takes back what no longer stands; all state is the store's."""

    def __init__(self, store: Store, categories: Sequence[str], clock: Clock, rules: Rules, gold: Gold) -> None:
        """Settle the reviews of `store`, which are about `categories`; `gold` says whose answers do not count."""
        self._store, self._categories, self._clock, self._rules = store, tuple(categories), clock, rules
        self._gold = gold

    def consolidated(self, review_id: str) -> Consolidation:
        """Return what the answers to a review come to by now."""
        answers = self._store.annotations_of(review_id)
        distrusted = self._gold.distrusted()
        return consolidate(answers, self._categories, self.reporters(review_id), distrusted, self._rules)

    def reporters(self, review_id: str) -> set[str]:
        """Return who gave feedback on what a review is about: they neither annotate nor adjudicate it."""
        return {feedback.moderator for feedback in self._store.feedback_of_review(review_id)}

    def bring_into_line(self, review_id: str) -> Status:
        """Give a review the status, and the label, that its answers come to; return the status.

        Safe to repeat, and after a crash. It looks again after every change: of several who answer at once, the last
        to look sees all answers. A label that a dataset has, or that a job's own consolidation made, stays.
        """
        status = Status.WAITING
        for _ in range(_MOST_LOOKS):
            review, label = self._store.get_review(review_id), self._store.get_label(review_id)
            if review.status not in _OF_ANSWERS or _is_final(label):
                return review.status
            consolidation = self.consolidated(review_id)
            status = consolidation.status
            if not self._change(review, label, consolidation):
                break
        return status

    def check_trust(self, annotator: str) -> None:
        """Read the gold answers anew; if trust in this annotator changed by them, revisit their newest answers."""
        before = self._gold.distrusted()
        self._gold.read()
        if (annotator in before) != (annotator in self._gold.distrusted()):
            answers = self._store.annotations_by(annotator, REVISITED_ANSWERS).records
            for review_id in [answer.review_id for answer in answers if answer.labels is not None]:
                self._revisit(review_id)

    def standing(self, known: Collection[str] | None = None) -> list[Label]:
        """Return the labels that still stand, the oldest first: those that no dataset has, or all but the `known`.

        Every review with enough answers is looked at again first, without the annotators who are distrusted, or
        reported it, by now: what no longer stands is taken back, and what was left behind by a crash is settled.
        """
        self._gold.read()
        unused = [label.review_id for label in acceptance.unused_labels(self._store)]
        for review_id in dict.fromkeys((*unused, *self._answered_enough())):
            self._revisit(review_id)
        if known is None:
            return list(acceptance.unused_labels(self._store))
        others = (label for label in acceptance.all_labels(self._store) if label.review_id not in known)
        return [label for label in others if label.dataset is None or self._would_stand(label)]

    def _would_stand(self, label: Label) -> bool:
        """Whether a label that a dataset has would come out the same today; it is not changed."""
        if label.method == "groundtruth":
            return True
        today = self.consolidated(label.review_id)
        return today.status is Status.SETTLED and today.values == label.values

    def _answered_enough(self) -> list[str]:
        counts = Counter(review_id for name in self._store.annotators() for review_id in self._answered_by(name))
        return [review_id for review_id, count in counts.items() if count >= self._rules.annotators]

    def _answered_by(self, annotator: str) -> Iterator[str]:
        history = loop.history_of(self._store, annotator)
        return (one.review_id for one in history if one.labels is not None)

    def _revisit(self, review_id: str) -> None:
        try:
            self.bring_into_line(review_id)
        except UnknownReview:
            return  # erased or expired: nothing of it can go into a dataset

    def _change(self, review: Review, label: Label | None, consolidation: Consolidation) -> bool:
        """Do the next step from what is stored to what the answers come to; False when there is none."""
        if consolidation.status is Status.SETTLED:
            right = self._label(review, label, consolidation)
            if label == right and review.status is Status.SETTLED:
                return False
            self._store.settle(right)
        elif label is not None:
            self._store.unsettle(review.review_id)
        elif review.status is not consolidation.status:
            self._store.move_review(review.review_id, review.status, consolidation.status)
        else:
            return False
        return True

    def _label(self, review: Review, stored: Label | None, consolidation: Consolidation) -> Label:
        is_same = stored is not None and stored.values == consolidation.values
        return Label(
            review_id=review.review_id,
            values=consolidation.values,
            method="agreement" if consolidation.adjudicator is None else "adjudication",
            annotators=consolidation.annotators,
            created=stored.created if stored is not None and is_same else self._clock().isoformat(),
            adjudicator=consolidation.adjudicator,
            job=review.job,
            expires=review.expires,
        )


def _is_final(label: Label | None) -> bool:
    # What Ground Truth consolidated rests on its job's answers, not on those of the console that may be here too.
    return label is not None and (label.dataset is not None or label.method == "groundtruth")
