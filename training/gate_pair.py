"""Champion and challenger as a pair that scores the same texts."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from moderato.artifact import Problem
from moderato.errors import BrokenModel
from moderato.policy import default_policy
from moderato.scorer import Scorer
from training.figures import Flags, Floats
from training.gate_texts import CannotCompare

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Answers:
    """What one model says of texts: (text, category)."""

    scores: Floats
    flagged: Flags
    """By the shipped thresholds, or in a single-label model by the highest score."""
    acts: Flags
    """(text,): whether the model's own policy calls for review or block."""


@dataclass(frozen=True)
class Pair:
    """Two verified models of the same categories."""

    champion: Scorer
    challenger: Scorer

    @classmethod
    def load(cls, champion: Path, challenger: Path) -> "Pair":
        """Load both. Raises BrokenModel, or CannotCompare when they are one model or models of different things."""
        pair = cls(Scorer.load(champion), _load(challenger))
        old, new = (each.manifest for each in pair.both)
        if old.sha256 == new.sha256:
            raise CannotCompare(f"{challenger} is the champion itself: its manifest has the same digest")
        if set(old.category_names) != set(new.category_names) or old.problem is not new.problem:
            raise CannotCompare(
                f"the challenger is a {new.problem} model of {', '.join(new.category_names)}, the champion a "
                f"{old.problem} model of {', '.join(old.category_names)}: only models of the same categories can be "
                "compared; use another data folder, or name the model by --model"
            )
        return pair

    @property
    def both(self) -> tuple[Scorer, Scorer]:
        """Champion, then challenger."""
        return self.champion, self.challenger

    @property
    def categories(self) -> tuple[str, ...]:
        """The names, in the champion's order."""
        return self.champion.manifest.category_names

    @property
    def is_single_label(self) -> bool:
        """Whether a text belongs to exactly one category."""
        return self.champion.manifest.problem is Problem.SINGLE_LABEL

    @property
    def acting(self) -> list[int]:
        """The places of the categories that call for an action in either model."""
        policies = [default_policy(each.manifest) for each in self.both]
        return [i for i, name in enumerate(self.categories) if any(name in each.thresholds for each in policies)]

    def score(self, texts: Sequence[str], what: str) -> tuple[Answers, Answers]:
        """Score every text by both models, text by text and on all processors; `what` names the texts to who waits."""

        def by_both(text: str) -> list[list[float]]:
            scores = [each.score(text).scores for each in self.both]
            return [[each[name] for name in self.categories] for each in scores]

        # The runtime lets go of the interpreter's lock, and a text's scores depend on nothing but the text.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            found = list(shown(threads.map(by_both, texts), what, len(texts)))
        scores = np.array(found, dtype=float).reshape(len(texts), 2, len(self.categories))
        champion, challenger = (self._answers(each, scores[:, i]) for i, each in enumerate(self.both))
        return champion, challenger

    def _answers(self, scorer: Scorer, scores: Floats) -> Answers:
        thresholds = default_policy(scorer.manifest).thresholds
        reached = scores >= [thresholds[name].review if name in thresholds else np.inf for name in self.categories]
        highest = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        acts: Flags = np.asarray(reached.any(axis=1))
        return Answers(scores, highest if self.is_single_label else reached, acts)


def _load(challenger: Path) -> Scorer:
    try:
        return Scorer.load(challenger)
    except BrokenModel:
        raise
    except Exception as error:  # noqa: BLE001  # what the runtime raises of a graph that is none has no class in common
        raise CannotCompare(f"{challenger} cannot be loaded: {type(error).__name__}") from None


def shown(items: Iterable[_Item], what: str, total: int) -> Iterator[_Item]:
    """Yield the items with a bar on a terminal's standard error, and without a word elsewhere."""
    console = Console(stderr=True)
    yield from track(items, what, total=total, console=console, transient=True, disable=not console.is_terminal)
