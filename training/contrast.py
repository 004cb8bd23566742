"""Contrast: how a model judges hand-written pairs of harmful and harmless texts that share their words.

The texts of `tests/texts/contrast.jsonl` are of the same families as the counter-examples and of none of their
templates; no model is ever trained on them.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from moderato.policy import Action, Policy, decide, default_policy
from moderato.scorer import Scorer


class ContrastText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, its family, and the categories of which it is sure; 1 or 0."""

    text: str
    family: str
    labels: dict[str, int]


class Tally(msgspec.Struct, frozen=True):
    """How many texts there are, and how many are judged rightly."""

    texts: int
    right: int

    @property
    def accuracy(self) -> float:
        """The share judged rightly; 0 where there is no text."""
        return self.right / max(self.texts, 1)


class FamilyContrast(msgspec.Struct, frozen=True):
    """One family: harmful texts that are flagged, harmless ones that are allowed."""

    family: str
    harmful: Tally
    harmless: Tally


class ContrastReport(msgspec.Struct, frozen=True, kw_only=True):
    """The families in the file's order, the whole, and each category at its own review threshold."""

    families: tuple[FamilyContrast, ...]
    harmful: Tally
    harmless: Tally
    categories: dict[str, tuple[Tally, Tally]]
    """Category to (positive texts that reach its threshold, negative ones that do not)."""


def measure_contrast(scorer: Scorer, path: Path) -> ContrastReport:
    """Judge every text by the model's own policy. A text whose toxicity is open counts only by category."""
    texts = read_contrast(path)
    policy = default_policy(scorer.manifest)
    called = [_called(scorer, policy, one.text) for one in texts]
    families = dict.fromkeys(one.family for one in texts)
    sure = [(one, bool(names)) for one, names in zip(texts, called, strict=True) if "toxicity" in one.labels]
    return ContrastReport(
        families=tuple(
            FamilyContrast(family, *_tallies([judged for judged in sure if judged[0].family == family], "toxicity"))
            for family in families
        ),
        harmful=_tallies(sure, "toxicity")[0],
        harmless=_tallies(sure, "toxicity")[1],
        categories={category: _by_category(texts, called, category) for category in policy.thresholds},
    )


def read_contrast(path: Path) -> list[ContrastText]:
    """The texts of a file with one JSON object a line."""
    return msgspec.json.Decoder(ContrastText).decode_lines(path.read_bytes())


def _called(scorer: Scorer, policy: Policy, text: str) -> frozenset[str]:
    """The categories that call for an action on a text."""
    verdict = decide(scorer.score(text).scores, policy)
    return frozenset(reason.category for reason in verdict.reasons if reason.action is not Action.ALLOW)


def _by_category(texts: Sequence[ContrastText], called: Sequence[frozenset[str]], category: str) -> tuple[Tally, Tally]:
    judged = [(one, category in names) for one, names in zip(texts, called, strict=True) if category in one.labels]
    return _tallies(judged, category)


def _tallies(judged: Sequence[tuple[ContrastText, bool]], category: str) -> tuple[Tally, Tally]:
    """Of the texts that belong to a category and of those that do not: how many there are, how many are right."""
    positive = [is_called for one, is_called in judged if one.labels[category] == 1]
    negative = [is_called for one, is_called in judged if one.labels[category] == 0]
    return Tally(len(positive), sum(positive)), Tally(len(negative), len(negative) - sum(negative))
