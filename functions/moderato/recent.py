"""What a model decided lately: its stored decisions, each standing for as many texts as it was kept for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

import msgspec

from moderato.decisions import Decision, Feedback, ModelName
from moderato.drift import FEWEST_TEXTS, Observation, effective_size
from moderato.loop import pages
from moderato.store import Store

MOST_DECISIONS = 20_000
"""The newest ones; a hundred reads at a time of DynamoDB, so that it takes seconds."""

MOST_JUDGED = 1_000
"""Flagged decisions whose feedback is looked up, the newest first: one read each."""

_PAGE = 500


@dataclass(frozen=True)
class Recent:
    """The texts that the decisions stand for, and of each flag that moderators judged whether they overturned it."""

    observations: Sequence[Observation]
    reversals: Sequence[bool]

    @property
    def effective_texts(self) -> float:
        """How many texts, each drawn alike, would tell as much."""
        return effective_size(one.weight for one in self.observations)

    @property
    def is_enough(self) -> bool:
        """Whether anything can be said of them."""
        return self.effective_texts >= FEWEST_TEXTS


def read_recent(store: Store, model: ModelName, since: datetime) -> Recent:
    """Read what a model decided since then, among the newest `MOST_DECISIONS` of any model; no text stays in memory."""
    found = [decision for decision in _newest(store, since) if decision.model == model]
    judged = islice((one for one in found if one.reasons), MOST_JUDGED)
    outcomes = (_is_reversed(one, store.feedback_of(one.decision_id)) for one in judged)
    return Recent(observe(found), [outcome for outcome in outcomes if outcome is not None])


def observe(decisions: Sequence[Decision]) -> list[Observation]:
    """Return the decisions as observations of all texts there were (Horvitz and Thompson, JASA 47, 1952, 663-685).

    A flagged text was kept for certain and counts once; an allowed one that chance drew counts for all those that it
    did not, 1 / probability. One kept because it was close to a threshold counts not at all: the drawn ones stand for
    it. While everything was kept, each counts once, drawn or not. Without any that was drawn or kept with all others,
    nothing stands for the allowed texts: then there are no observations.
    """
    whole = [_time(one) for one in decisions if one.kept_because == "all"]
    if not whole and not any(one.kept_because == "sampled" for one in decisions):
        return []
    first, last = (min(whole), max(whole)) if whole else (None, None)
    weighed = ((one, _weight(one, first, last)) for one in decisions)
    return [
        Observation(one.scores, frozenset(reason.category for reason in one.reasons), weight)
        for one, weight in weighed
        if weight
    ]


def _newest(store: Store, since: datetime) -> Iterator[Decision]:
    listed = islice(pages(lambda cursor: store.list_decisions(_PAGE, cursor)), MOST_DECISIONS)
    recent = takewhile(lambda decision: _time(decision) >= since, listed)
    return (msgspec.structs.replace(decision, text="") for decision in recent)


def _weight(decision: Decision, first: datetime | None, last: datetime | None) -> float:
    """Return how many texts a decision stands for; everything was kept from `first` to `last`."""
    if first is not None and last is not None and first <= _time(decision) <= last:
        return 1.0
    if decision.kept_because == "sampled":
        return 1 / (decision.sampling_probability or 1.0)
    return float(decision.kept_because == "flagged")


def _is_reversed(decision: Decision, feedback: Sequence[Feedback]) -> bool | None:
    """Return whether more than half of the feedback contradicts a decision; None without any."""
    if not feedback:
        return None
    return 2 * sum(_contradicts(one, decision) for one in feedback) > len(feedback)


def _contradicts(feedback: Feedback, decision: Decision) -> bool:
    return feedback.correct is False if feedback.labels is None else decision.disagrees(feedback.labels)


def _time(decision: Decision) -> datetime:
    return datetime.fromisoformat(decision.created)
