"""Retention: which decisions are kept, so that what is stored is what a human may need, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from moderato.decisions import KeptBecause
from moderato.policy import Policy, Verdict

UNCERTAIN_SHARE = 0.5
"""A score is uncertain from this share of its review threshold: the texts that a moderator might have flagged."""


class Keep(StrEnum):
    """The settings of STORE_DECISIONS."""

    FLAGGED = "flagged"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class Kept:
    """Why a decision is kept and, when chance drew it, with which probability (so that recall can be estimated)."""

    because: KeptBecause
    probability: float | None = None


@dataclass(frozen=True)
class Retention:
    """What to keep: by default what was flagged, what was close to it, and a random sample of the rest."""

    keep: Keep
    sampling_probability: float
    draw: Callable[[], float]
    """A random number in [0, 1)."""

    def __call__(self, scores: Mapping[str, float], verdict: Verdict, policy: Policy) -> Kept | None:
        """Why to keep this decision, or None."""
        if self.keep is Keep.NONE:
            return None
        if self.keep is Keep.ALL:
            return Kept("all")
        if verdict.is_flagged:
            return Kept("flagged")
        if any(scores[name] >= threshold.review * UNCERTAIN_SHARE for name, threshold in policy.thresholds.items()):
            return Kept("uncertain")
        return Kept("sampled", self.sampling_probability) if self.draw() < self.sampling_probability else None
