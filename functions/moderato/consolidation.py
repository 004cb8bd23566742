"""Consolidation: what annotators' answers to one review settle on, whose answers count, and how many one may give."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from moderato.reviews import Annotation, Label, Status

_FEW = 0.1
"""Share of the labels of a batch up to which those of its rarest annotators may wait for the next one."""


@dataclass(frozen=True)
class Rules:
    """How much agreement a label needs, and how annotators are checked.

    3 unanimous annotators or else an adjudicator: in simulation, with one of ten annotators against it, 0.3 % of the
    labels of a slice came out wrong; one vote alone is wrong on 10 % without any attacker.
    """

    annotators: int = 3
    """How many counted answers a label rests on, at least, when no adjudicator decides."""
    gold_answers: int = 10
    """From how many gold answers an annotator is judged by them."""
    gold_accuracy: float = 0.8
    """Share of the gold answers that must be exactly right."""
    gold_every: int = 10
    """One in about so many items on offer is gold."""
    largest_share: float = 0.5
    """Of a batch of labels for training, the share that one annotator may have taken part in."""


@dataclass(frozen=True)
class Consolidation:
    """What the counted answers say: for each category True, False, or None where it is in dispute or too early."""

    status: Literal[Status.WAITING, Status.DISPUTED, Status.SETTLED]
    values: dict[str, bool | None]
    annotators: list[str]
    """Whose answers it rests on, an adjudicator's included."""
    adjudicator: str | None = None

    @property
    def disputed(self) -> list[str]:
        """The categories that an adjudicator has to decide."""
        if self.status is not Status.DISPUTED:
            return []
        return [category for category, value in self.values.items() if value is None]


@dataclass(frozen=True)
class GoldScore:
    """How an annotator did on items whose answer is known; skipped ones are not counted."""

    answered: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """Share that was exactly right; None as long as none is answered."""
        return self.right / self.answered if self.answered else None

    def is_distrusted(self, rules: Rules) -> bool:
        """Whether this annotator's answers do not count, past ones included."""
        return self.answered >= rules.gold_answers and self.right < rules.gold_accuracy * self.answered


def consolidate(
    annotations: Iterable[Annotation],
    categories: Sequence[str],
    reporters: Collection[str] = (),
    distrusted: Collection[str] = (),
    rules: Rules = Rules(),
) -> Consolidation:
    """Return what the answers to one review come to.

    Counted are the answers of whoever neither reported it nor skipped it nor is distrusted. A category is decided
    by at least `rules.annotators` of them who are unanimous on it, and otherwise by an adjudicator. So no single
    annotator changes a label: against the others, one only causes a dispute.
    """
    counted = [one for one in annotations if _counts(one, {*reporters, *distrusted})]
    answers = [one for one in counted if not one.is_adjudication]
    adjudication = max((one for one in counted if one.is_adjudication), key=lambda one: one.created, default=None)
    is_enough = len(answers) >= rules.annotators
    values = {category: _unanimous(answers, category) if is_enough else None for category in categories}
    names = sorted({one.annotator for one in answers})
    if is_enough and None not in values.values():
        return Consolidation(Status.SETTLED, values, names)
    if adjudication is None:
        return Consolidation(Status.DISPUTED if is_enough else Status.WAITING, values, names)
    who, said = adjudication.annotator, adjudication.labels or ()
    values = {category: category in said if value is None else value for category, value in values.items()}
    return Consolidation(Status.SETTLED, values, sorted({*names, who}), who)


def gold_scores(answers: Iterable[Annotation], right_answers: Mapping[str, Mapping[str, bool]]) -> dict[str, GoldScore]:
    """Return by annotator how the answers to gold items compare with the right ones, which are given by review id."""
    answered: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for answer in answers:
        if answer.labels is None or answer.review_id not in right_answers:
            continue
        answered[answer.annotator] += 1
        right[answer.annotator] += is_right(answer.labels, right_answers[answer.review_id])
    return {annotator: GoldScore(count, right[annotator]) for annotator, count in answered.items()}


def is_right(labels: Collection[str], values: Mapping[str, bool | None]) -> bool:
    """Return whether an answer is right in every category whose value is known."""
    return all((category in labels) is value for category, value in values.items() if value is not None)


def within_share(labels: Sequence[Label], rules: Rules = Rules()) -> list[Label]:
    """Return the labels, oldest first, that may be in one batch for training; the others wait for the next.

    No annotator may have taken part in more than `rules.largest_share` of them, or in more than everybody's equal
    share where annotators are few: 3 of them who agree on everything have a share of 1 each. Adjudicators are not
    annotators of what they adjudicate. A newcomer with few answers counts as an annotator more and so can make a
    small team's batch smaller; then it is their labels that wait. In a larger team that holds as long as they are at
    most a tenth of all: otherwise one who is in every label could choose whom to count.
    """
    in_order = sorted(labels, key=lambda label: (label.created, label.review_id))
    counts = Counter(name for label in in_order for name in _seats(label))
    ranked = [name for name, _ in counts.most_common()]
    best = _capped(in_order, rules)
    is_small = len(ranked) * rules.largest_share < rules.annotators
    for size in range(len(ranked) - 1, 0, -1):
        of_regulars = [label for label in in_order if _seats(label) <= set(ranked[:size])]
        if not is_small and len(of_regulars) < (1 - _FEW) * len(in_order):
            break
        best = max(best, _capped(of_regulars, rules), key=len)
    return best


def _counts(annotation: Annotation, excluded: Collection[str]) -> bool:
    return annotation.labels is not None and annotation.annotator not in excluded


def _unanimous(answers: Sequence[Annotation], category: str) -> bool | None:
    said = {category in (answer.labels or ()) for answer in answers}
    return said.pop() if len(said) == 1 else None


def _seats(label: Label) -> set[str]:
    return set(label.annotators) - {label.adjudicator}


def _capped(labels: list[Label], rules: Rules) -> list[Label]:
    while True:
        counts = Counter(name for label in labels for name in _seats(label))
        share = max(rules.largest_share, min(1.0, rules.annotators / len(counts))) if counts else 1.0
        excess = {name: _excess(count, len(labels), share) for name, count in counts.items()}
        name = max(sorted(excess), key=excess.__getitem__, default=None)
        if name is None or excess[name] == 0:
            return labels
        labels = _without_newest(labels, name, excess[name])


def _excess(count: int, total: int, share: float) -> int:
    # The fewest labels k to leave out so that (count - k) / (total - k) <= share; 1e-9: 3/7 of 7 is not quite 3.
    over = count - share * total
    return math.ceil(over / (1 - share) - 1e-9) if over > 1e-9 else 0


def _without_newest(labels: Sequence[Label], annotator: str, number: int) -> list[Label]:
    of_annotator = [label.review_id for label in labels if annotator in _seats(label)]
    left_out = set(of_annotator[len(of_annotator) - number :])
    return [label for label in labels if label.review_id not in left_out]
