"""What a model decided lately: its stored decisions, each standing for as many texts as it was kept for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice, takewhile

import msgspec

from moderato.decisions import Decision, Feedback, ModelName
from moderato.drift import FEWEST_TEXTS, Observation, effective_size
from moderato.loop import pages
from moderato.store import Store

MOST_DECISIONS = 20_000
"""The newest ones; a hundred reads at a time of DynamoDB, so that it takes seconds."""

MOST_JUDGED = 1_000
"""Flagged decisions whose feedback is looked up, the newest first: one read each."""

LONGEST_GAP = 20
"""While everything is kept, so many allowed decisions at most come in a row of which none was kept for that alone. More
happen once in a million times where as many as half of the allowed are drawn or close to a threshold (0.5^20)."""

_PAGE = 500


@dataclass(frozen=True)
class Recent:
    """The texts that the decisions stand for, and of each flag that moderators judged whether they overturned it."""

    observations: Sequence[Observation]
    reversals: Sequence[bool]
    decisions: int
    """How many were found; those that others stand for are no observations."""

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
    return Recent(observe(found), [outcome for outcome in outcomes if outcome is not None], len(found))


def last_decided(store: Store, model: ModelName) -> datetime | None:
    """Return when a model decided last, among the newest `MOST_DECISIONS` of all models; None where none is its own."""
    return next((_time(one) for one in _listed(store) if one.model == model), None)


def observe(decisions: Sequence[Decision]) -> list[Observation]:
    """Return the decisions as observations of all texts there were, the oldest first.

    Each counts 1 / the probability with which it was kept (Horvitz and Thompson, JASA 47, 1952, 663-685):

        flagged     1                          it is kept for certain, whatever else is
        all         1                          it is kept for certain, and so is every other while this is
        sampled     1 / sampling_probability   it stands for the allowed texts that chance left out, and those close to
                    1 while all are kept       a threshold too; of these none is left out
        uncertain   0                          the sampled ones stand for it
                    1 while all are kept       all have the same chance, 1, and it stands for itself

    Which it was is not stored. Those between two `all` ones, before the first and after the last, were kept like them,
    unless more than `LONGEST_GAP` of them are allowed: then the setting changed meanwhile. Flags do not tell: they are
    kept in any case, and many may come at once. So at each change 20 decisions at most count as one text where they
    stand for more or for none, and no single one outweighs all others. Without any that is `sampled` or `all` nothing
    stands for the allowed texts: then there are no observations.
    """
    if not any(one.kept_because in ("all", "sampled") for one in decisions):
        return []
    ordered = sorted(decisions, key=_time)
    weighed = zip(ordered, _weights(ordered), strict=True)
    return [
        Observation(one.scores, frozenset(reason.category for reason in one.reasons), weight)
        for one, weight in weighed
        if weight
    ]


def _newest(store: Store, since: datetime) -> Iterator[Decision]:
    recent = takewhile(lambda decision: _time(decision) >= since, _listed(store))
    return (msgspec.structs.replace(decision, text="") for decision in recent)


def _listed(store: Store) -> Iterator[Decision]:
    return islice(pages(lambda cursor: store.list_decisions(_PAGE, cursor)), MOST_DECISIONS)


def _weights(ordered: Sequence[Decision]) -> Iterator[float]:
    """Yield how many texts each decision stands for; they come in the order of their time."""
    is_ever_whole = any(one.kept_because == "all" for one in ordered)
    for _, run in groupby(ordered, key=lambda one: one.kept_because == "all"):
        between = list(run)
        allowed = sum(one.kept_because in ("sampled", "uncertain") for one in between)
        is_whole = is_ever_whole and allowed <= LONGEST_GAP
        yield from (1.0 if is_whole else _weight(one) for one in between)


def _weight(decision: Decision) -> float:
    """Return how many texts a decision stands for where not everything was kept."""
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
