"""Losses over what is known: an unknown label adds nothing, and a rare category weighs more."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

UNKNOWN = -100.0
"""Stands for a label that its source does not give. The Trainer counts labels that are not -100 over all
accumulated batches and processes, and hands the sum to the loss: what makes accumulation and DDP exact."""


class MaskedLoss:
    """Binary cross-entropy over the known labels, which may be soft; positives are weighted by category."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights  # (category,)

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | None = None) -> Tensor:
        """The mean over known labels; `outputs.logits` and `labels` are (batch, category).

        `num_items_in_batch` is the number of known labels in the whole step, when this batch is a part of it.
        """
        known = labels != UNKNOWN
        losses = binary_cross_entropy_with_logits(
            outputs.logits.float(), labels.clamp(min=0), pos_weight=self.weights.to(labels.device), reduction="none"
        )
        total = known.sum() if num_items_in_batch is None else num_items_in_batch
        return (losses * known).sum() / max(total, 1)


class SingleLabelLoss:
    """Cross-entropy between one-hot or soft labels and the softmax of the logits, weighted by category."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights  # (category,)

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | None = None) -> Tensor:
        """The mean over texts; `outputs.logits` and `labels` are (batch, category), and every label is known."""
        losses = -(log_softmax(outputs.logits.float(), dim=-1) * labels * self.weights.to(labels.device)).sum()
        texts = labels.shape[0] if num_items_in_batch is None else num_items_in_batch / labels.shape[1]
        return losses / max(texts, 1)


def class_weights(labels: Sequence[Sequence[float]], power: float, highest: float) -> Tensor:
    """Per category (negatives / positives) ** power, between 1 and `highest`; soft labels count as their share."""
    table = torch.tensor(labels)  # (row, category)
    known = table != UNKNOWN
    positives = (table * known).sum(dim=0).clamp(min=1)
    return ((known.sum(dim=0) - positives).clamp(min=0) / positives).pow(power).clamp(1, highest)


def single_label_weights(labels: Sequence[Sequence[float]], power: float, highest: float) -> Tensor:
    """Per category (rows of the most frequent / its rows) ** power, at most `highest`."""
    rows = torch.tensor(labels).sum(dim=0).clamp(min=1)  # (category,)
    return (rows.max() / rows).pow(power).clamp(1, highest)
