"""Retention: which decisions are kept, so that what is stored is what a human may need, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from moderato.clock import KEEP_DAYS
from moderato.decisions import KeptBecause
from moderato.policy import Policy, Verdict
from moderato.reviews import ReviewReason

UNCERTAIN_SHARE = 0.2
"""A score is uncertain within this share of its review threshold, above or below: where annotators teach most."""


class Keep(StrEnum):
    """The settings of STORE_DECISIONS."""

    FLAGGED = "flagged"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class Kept:
    """Why a decision is kept, with which probability when chance drew it, and why annotators should look, if so."""

    because: KeptBecause
    probability: float | None = None
    review: ReviewReason | None = None


@dataclass(frozen=True)
class Retention:
    """What to keep: by default what was flagged, what was close to it, and a random sample of all that is allowed."""

    keep: Keep
    sampling_probability: float
    draw: Callable[[], float]
    """A random number in [0, 1)."""
    keep_days: int = KEEP_DAYS
    """After how many days a record counts as gone."""

    def __call__(self, scores: Mapping[str, float], verdict: Verdict, policy: Policy) -> Kept | None:
        """Why to keep this decision, or None."""
        if self.keep is Keep.NONE:
            return None
        # Drawn before anything else is looked at: each allowed text has the same chance, so that the share of
        # harmful ones among those drawn is that among all.
        if not verdict.is_flagged and self.draw() < self.sampling_probability:
            return Kept("sampled", self.sampling_probability, ReviewReason.SAMPLED)
        review = ReviewReason.UNCERTAIN if is_uncertain(scores, policy) else None
        if verdict.is_flagged:
            return Kept("flagged", review=review)
        if review is not None:
            return Kept("uncertain", review=review)
        return Kept("all") if self.keep is Keep.ALL else None


def is_uncertain(scores: Mapping[str, float], policy: Policy) -> bool:
    """Return whether the score of any category is close to its review threshold."""
    return any(
        abs(scores[name] - threshold.review) <= UNCERTAIN_SHARE * threshold.review
        for name, threshold in policy.thresholds.items()
    )
