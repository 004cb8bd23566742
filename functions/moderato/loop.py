"""The feedback loop in figures: how far one annotator is, and how the whole loop does."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from moderato.agreement import Share, agreement_with_labels, alpha, weighted_share
from moderato.consolidation import GoldScore, Rules
from moderato.reviews import Annotation, Label, Review, ReviewReason, Status
from moderato.store import Page, Store

NEWEST_ANSWERS = 50
"""How many of an annotator's newest answers their own agreement is measured over: one read for each."""

_PAGE = 500
_Record = TypeVar("_Record")


class Progress(msgspec.Struct, frozen=True):
    """How far one annotator is; `agreement` is the share of their newest answers that equal the settled label."""

    answered: int
    skipped: int
    today: int
    """Answered since midnight, UTC."""
    waiting: int
    """Reviews that wait for answers, whoever's."""
    agreement: float | None
    """None as long as none of them is settled. Items that test annotators are not told apart: they never count."""


class AnnotatorReport(msgspec.Struct, frozen=True):
    """One annotator: answers without skips, agreement with settled labels, and how they did on gold items.

    The last three are None for viewers who may not tell gold items apart, `gold_accuracy` also without an answer.
    """

    annotator: str
    answers: int
    agreement: float | None
    gold_answers: int | None
    gold_accuracy: float | None
    is_distrusted: bool | None

    def without_gold(self) -> "AnnotatorReport":
        """Return what other annotators may see."""
        return msgspec.structs.replace(self, gold_answers=None, gold_accuracy=None, is_distrusted=None)


class LabelCounts(msgspec.Struct, frozen=True):
    """How many labels wait for a dataset, were not accepted, are in a dataset."""

    accepted: int
    """Settled, and in no dataset yet; the share of one annotator may still let some of them wait."""
    rejected: int
    """Enough answers, but not without those of distrusted annotators: the review needs more."""
    in_dataset: int


class LoopReport(msgspec.Struct, frozen=True):
    """The loop in figures: reviews, labels, annotators, and what the model lets through."""

    reviews: dict[Status, int]
    labels: LabelCounts
    annotators: list[AnnotatorReport]
    alpha: dict[str, float | None]
    """Krippendorff's alpha by category, over the answers of trusted annotators; None where it is not defined."""
    harmful_allowed: Share | None
    """Of the allowed texts, the share that annotators found harmful in any category: the random sample's settled
    reviews say so. None as long as there is none."""

    def without_gold(self) -> "LoopReport":
        """Return what annotators may see: nothing that would let them tell gold items apart."""
        reviews = {status: count for status, count in self.reviews.items() if status is not Status.GOLD}
        annotators = [one.without_gold() for one in self.annotators]
        return msgspec.structs.replace(self, reviews=reviews, annotators=annotators)


def progress(store: Store, annotator: str, now: datetime) -> Progress:
    """Return how far an annotator is."""
    history = [one for one in history_of(store, annotator) if not one.is_adjudication]
    answers = [one for one in history if one.labels is not None]
    pairs = [(one, store.get_label(one.review_id)) for one in answers[:NEWEST_ANSWERS]]
    return Progress(
        answered=len(answers),
        skipped=len(history) - len(answers),
        today=sum(one.created[:10] == now.isoformat()[:10] for one in answers),
        waiting=store.count_reviews(Status.WAITING)[Status.WAITING],
        agreement=agreement_with_labels((one.labels or [], label.values) for one, label in pairs if label),
    )


def history_of(store: Store, annotator: str) -> Iterator[Annotation]:
    """Yield all of an annotator's answers, the newest first."""
    return pages(lambda cursor: store.annotations_by(annotator, _PAGE, cursor))


def pages(read: Callable[[str | None], Page[_Record]]) -> Iterator[_Record]:
    """Yield the records of all pages; `read` is given the cursor of the page before, at first None."""
    page = read(None)
    yield from page.records
    while page.cursor is not None:
        page = read(page.cursor)
        yield from page.records


def report(store: Store, categories: Sequence[str], gold: Mapping[str, GoldScore], rules: Rules) -> LoopReport:
    """Return the loop's figures. It reads every label and every answer: for a page that few people open."""
    labels = {label.review_id: label for label in pages(lambda cursor: store.list_labels(_PAGE, cursor))}
    answers = {name: _answers_of(store, name) for name in store.annotators()}
    distrusted = {name for name, score in gold.items() if score.is_distrusted(rules)}
    by_review = _by_review(answers)
    return LoopReport(
        reviews=dict(store.count_reviews()),
        labels=_label_counts(labels, by_review, distrusted, rules),
        annotators=[_annotator(name, said, labels, gold.get(name), rules) for name, said in answers.items()],
        alpha={category: alpha(_trusted(by_review, distrusted), category) for category in categories},
        harmful_allowed=weighted_share(list(_draws(store, labels))),
    )


def _answers_of(store: Store, annotator: str) -> dict[str, list[str]]:
    history = history_of(store, annotator)
    return {one.review_id: one.labels for one in history if one.labels is not None and not one.is_adjudication}


def _by_review(answers: Mapping[str, Mapping[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    by_review: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for annotator, said in answers.items():
        for review_id, labels in said.items():
            by_review[review_id][annotator] = labels
    return by_review


def _trusted(
    by_review: Mapping[str, Mapping[str, list[str]]], distrusted: Collection[str]
) -> dict[str, dict[str, list[str]]]:
    return {
        review_id: {name: labels for name, labels in said.items() if name not in distrusted}
        for review_id, said in by_review.items()
    }


def _label_counts(
    labels: Mapping[str, Label],
    by_review: Mapping[str, Mapping[str, list[str]]],
    distrusted: Collection[str],
    rules: Rules,
) -> LabelCounts:
    in_dataset = sum(label.dataset is not None for label in labels.values())
    unlabelled = [set(said) for review_id, said in by_review.items() if review_id not in labels]
    rejected = sum(len(names) >= rules.annotators > len(names - set(distrusted)) for names in unlabelled)
    return LabelCounts(len(labels) - in_dataset, rejected, in_dataset)


def _annotator(
    name: str, said: Mapping[str, list[str]], labels: Mapping[str, Label], gold: GoldScore | None, rules: Rules
) -> AnnotatorReport:
    score = gold or GoldScore(0, 0)
    pairs = [(chosen, labels[review_id].values) for review_id, chosen in said.items() if review_id in labels]
    distrusted = score.is_distrusted(rules)
    return AnnotatorReport(name, len(said), agreement_with_labels(pairs), score.answered, score.accuracy, distrusted)


def _draws(store: Store, labels: Mapping[str, Label]) -> Iterator[tuple[bool, float]]:
    settled: Iterator[Review] = pages(lambda cursor: store.list_reviews(Status.SETTLED, _PAGE, cursor))
    for review in settled:
        label = labels.get(review.review_id)
        if review.reason is ReviewReason.SAMPLED and review.sampling_probability and label is not None:
            yield any(label.values.values()), review.sampling_probability
