"""How retraining is set up: which pipeline it starts, what for, and from how many new labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a retraining is due."""

    LABELS = "labels"
    """There are enough new labels."""
    WEEKLY = "weekly"
    DRIFT = "drift"
    """What is scored has moved away from what the model was made with."""
    HAND = "hand"
    """Somebody wants it."""


@dataclass(frozen=True)
class Settings:
    """The names are those of the deployment; a batch begins with `fewest_labels` new labels when nobody asks for it."""

    bucket: str
    pipeline: str
    model_group: str
    dataset: str
    """Name of the dataset that grows by the labels: with a batch's number it is what a label is marked with."""
    fewest_labels: int

    @property
    def needed(self) -> Mapping[Reason, int]:
        """How many new labels make a retraining worth its price, by its reason."""
        return {Reason.LABELS: self.fewest_labels, Reason.WEEKLY: 1, Reason.DRIFT: 1, Reason.HAND: 0}
