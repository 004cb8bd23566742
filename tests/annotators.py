"""Scripted annotators who work through a queue: careful ones who err at times, and some who mean harm.

What an honest annotator answers depends on the seed, the review and how many honest answers it had before, and not on
who else works: so two runs differ by what an attacker does, and by nothing else.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from moderato.consolidation import consolidate
from moderato.review_queue import ReviewQueue
from moderato.reviews import Annotation

CATEGORIES = ["toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat"]

Truths = Mapping[str, frozenset[str]]
"""By review id: the categories that the text really belongs to."""

Lie = Callable[[str, frozenset[str]], list[str] | None]
"""What an attacker answers, given the review's id and the truth; None = they answer honestly here."""

ADJUDICATE_EVERY = 20


@dataclass(frozen=True)
class Annotator:
    """Somebody who answers; `volume` is their share of the answers, against the others' shares."""

    name: str
    volume: float = 1.0
    lie: Lie | None = None


@dataclass(frozen=True)
class Errors:
    """How often the honest are wrong about a category: annotators, annotators on gold (clear cases), adjudicators."""

    annotators: float = 0.05
    gold: float = 0.01
    adjudicators: float = 0.0


@dataclass
class Crowd:
    """Annotators and an adjudicator who work on one queue until nothing is left for anybody to do."""

    queue: ReviewQueue
    truths: Truths
    gold: Truths
    annotators: Sequence[Annotator]
    seed: int
    errors: Errors = field(default_factory=Errors)
    answers: Counter[str] = field(default_factory=Counter)
    """How many answers each annotator gave."""

    def __post_init__(self) -> None:
        """Begin with no answers."""
        self._turns = random.Random(self.seed)
        self._honest: Counter[str] = Counter()

    def work(self) -> None:
        """Take turns until nobody is offered anything, with disputes decided on the way."""
        idle: set[str] = set()
        while active := [one for one in self.annotators if one.name not in idle]:
            (one,) = self._turns.choices(active, [annotator.volume for annotator in active])
            if not self._turn(one):
                idle.add(one.name)
            elif self.answers.total() % ADJUDICATE_EVERY == 0:
                self._adjudicate()
                idle.clear()  # a review may wait again, after trust in somebody changed
        self._adjudicate()

    def labels(self) -> dict[str, dict[str, bool | None]]:
        """Return the accepted labels' values by review id."""
        return {one.label.review_id: one.label.values for one in self.queue.accepted()}

    def _turn(self, annotator: Annotator) -> bool:
        review = self.queue.offer(annotator.name)
        if review is None:
            return False
        lie = None if annotator.lie is None else annotator.lie(review.review_id, self._right(review.review_id))
        self.queue.annotate(review.review_id, annotator.name, self._honestly(review.review_id) if lie is None else lie)
        self.answers[annotator.name] += 1
        return True

    def _honestly(self, review_id: str) -> list[str]:
        self._honest[review_id] += 1
        error = self.errors.gold if review_id in self.gold else self.errors.annotators
        return erring(self._right(review_id), error, f"{self.seed} {review_id} {self._honest[review_id]}")

    def _right(self, review_id: str) -> frozenset[str]:
        return self.gold[review_id] if review_id in self.gold else self.truths[review_id]

    def _adjudicate(self) -> None:
        while disputed := self.queue.disputed(100).records:
            for review in disputed:
                key = f"{self.seed} {review.review_id} adjudicator"
                labels = erring(self.truths[review.review_id], self.errors.adjudicators, key)
                self.queue.adjudicate(review.review_id, "adjudicator", labels)


def honest(count: int) -> list[Annotator]:
    """Return so many honest annotators."""
    return [Annotator(f"honest-{number}") for number in range(count)]


def invert(_: str, right: frozenset[str]) -> list[str]:
    """Answer the opposite of the truth in every category."""
    return [category for category in CATEGORIES if category not in right]


def erring(right: frozenset[str], error: float, key: str) -> list[str]:
    """Return the truth with each category wrong by this chance; the same for the same key."""
    draw = random.Random(key)
    return [category for category in CATEGORIES if (category in right) != (draw.random() < error)]


def draw_truths(review_ids: Sequence[str], seed: int) -> dict[str, frozenset[str]]:
    """Return made-up truths: each category with a chance of 1 in 5."""
    draw = random.Random(f"truths {seed}")
    return {one: frozenset(name for name in CATEGORIES if draw.random() < 0.2) for one in review_ids}


def wrong_under_a_slice_attacker(texts: int, annotators: int, category: str, errors: Errors, seed: int) -> float:
    """Return the share of a slice's labels that are wrong in a category which one annotator always gets wrong there.

    Each text has 3 annotators out of so many, drawn by chance, of whom one may be the attacker; gold does not catch
    them. An adjudicator decides what is in dispute.
    """
    draw = random.Random(seed)
    wrong = 0
    for number in range(texts):
        right = frozenset(name for name in CATEGORIES if draw.random() < 0.2)
        seats = draw.sample(range(annotators), 3)
        answers = [_slice_answer(seat, right, category, errors, f"{seed} {number} {seat}") for seat in seats]
        decided = erring(right, errors.adjudicators, f"{seed} {number} adjudicator")
        found = consolidate([*answers, _annotation("adjudicator", decided, is_adjudication=True)], CATEGORIES)
        wrong += found.values[category] is not (category in right)
    return wrong / texts


def _slice_answer(seat: int, right: frozenset[str], category: str, errors: Errors, key: str) -> Annotation:
    said = erring(right, errors.annotators, key)
    if seat == 0:  # the attacker
        said = [name for name in said if name != category] + ([] if category in right else [category])
    return _annotation(f"annotator-{seat}", said)


def _annotation(annotator: str, labels: list[str], is_adjudication: bool = False) -> Annotation:
    return Annotation(
        review_id="r_1",
        annotator=annotator,
        labels=labels,
        created="2026-11-21T12:00:00+00:00",
        is_adjudication=is_adjudication,
    )
