"""Policies: what a community makes of scores."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from moderato.artifact import Manifest
from moderato.errors import BrokenPolicy


class Action(StrEnum):
    """What happens to a text."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


@dataclass(frozen=True)
class Threshold:
    """The scores from which a category calls for review, and for block (None = never by itself)."""

    review: float
    block: float | None


@dataclass(frozen=True)
class Policy:
    """Named, versioned thresholds by category; a category without one is scored and never acts."""

    name: str
    version: int
    thresholds: Mapping[str, Threshold]


class Reason(msgspec.Struct, frozen=True):
    """A category whose score reached the threshold for `action`."""

    category: str
    score: float
    threshold: float
    action: Action


@dataclass(frozen=True)
class Verdict:
    """An action and the reasons for it, the most severe and surest first."""

    action: Action
    reasons: tuple[Reason, ...]

    @property
    def is_flagged(self) -> bool:
        """Whether a person should look at the text, or nobody should see it."""
        return self.action is not Action.ALLOW


def default_policy(manifest: Manifest) -> Policy:
    """The policy that ships with a model: the thresholds which training chose on validation."""
    return Policy(
        "default",
        1,
        {
            category.name: Threshold(category.review, category.block)
            for category in manifest.categories
            if category.review is not None
        },
    )


def require_known(policies: Mapping[str, Policy], categories: Collection[str]) -> None:
    """Raise BrokenPolicy when a policy has a threshold for a category that the model does not score."""
    for policy in policies.values():
        unknown = sorted(set(policy.thresholds) - set(categories))
        if unknown:
            raise BrokenPolicy(
                f"policy {policy.name} version {policy.version} has thresholds for {', '.join(unknown)}, "
                f"but the model's categories are {', '.join(categories)}"
            )


def decide(scores: Mapping[str, float], policy: Policy) -> Verdict:
    """The most severe action that any category calls for."""
    reasons = [
        reason
        for name, threshold in policy.thresholds.items()
        if (reason := _reason(name, scores[name], threshold)) is not None
    ]
    reasons.sort(key=lambda reason: (reason.action is not Action.BLOCK, -reason.score))
    return Verdict(reasons[0].action if reasons else Action.ALLOW, tuple(reasons))


def _reason(category: str, score: float, threshold: Threshold) -> Reason | None:
    if threshold.block is not None and score >= threshold.block:
        return Reason(category, score, threshold.block, Action.BLOCK)
    if score >= threshold.review:
        return Reason(category, score, threshold.review, Action.REVIEW)
    return None
