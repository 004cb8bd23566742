"""The frozen test set in a gate: areas and F1 of two models on the same texts, with paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training import gate
from training.figures import (
    CATEGORY_FIGURES,
    CLASS_FIGURES,
    Floats,
    Sample,
    category_figures,
    class_figures,
    estimate,
    measure,
)
from training.gate import Figure, Gate, Interval
from training.gate_pair import Answers, Pair
from training.gate_texts import Text

RESAMPLES = 500


@dataclass(frozen=True)
class Paired:
    """One figure of champion and challenger, and the interval of their difference on the same resamples."""

    champion: float
    challenger: float
    interval: Interval | None


def held_out_figures(
    pair: Pair, texts: Sequence[Text], answers: tuple[Answers, Answers], rules: Gate, seed: int
) -> tuple[list[Figure], list[str]]:
    """Return the figures on the frozen test set, and the categories that are of one class only in it."""
    labels = np.array([text.bits(pair.categories) for text in texts])  # (text, category)
    measured = [i for i in range(len(pair.categories)) if {0.0, 1.0} <= set(labels[:, i].tolist())]
    samples = {i: _category_samples(labels[:, i], i, answers, seed) for i in measured}
    areas = {i: _mean([samples[i]], "roc_auc") for i in measured}
    figures = []
    if measured:
        mean = _mean([samples[i] for i in measured], "roc_auc")
        loss = rules.test_auc
        figures.append(gate.not_lower(gate.MEAN_AUC, mean.champion, mean.challenger, loss, len(texts), mean.interval))
    f1 = _macro_f1(pair, labels, answers, [samples[i] for i in measured if i in pair.acting], seed)
    if f1 is not None:
        figures.append(
            gate.not_lower(gate.MACRO_F1, f1.champion, f1.challenger, rules.macro_f1, len(texts), f1.interval)
        )
    figures += [
        gate.not_surely_lower(
            f"ROC AUC, {pair.categories[i]}",
            area.champion,
            area.challenger,
            rules.category_auc,
            int((~np.isnan(labels[:, i])).sum()),
            area.interval,
        )
        for i, area in areas.items()
    ]
    return figures, [name for i, name in enumerate(pair.categories) if i not in measured]


def _category_samples(labels: Floats, place: int, answers: Sequence[Answers], seed: int) -> list[Sample]:
    """The figures of one category by either model; the same seed draws the same texts for both."""
    return [
        measure(category_figures(labels, each.scores[:, place], each.flagged[:, place]), len(labels), seed, RESAMPLES)
        for each in answers
    ]


def _mean(samples: Sequence[Sequence[Sample]], figure: str) -> Paired:
    """One figure averaged over the categories, resample by resample."""
    at = CATEGORY_FIGURES.index(figure)
    found = np.mean([[each.found[at] for each in both] for both in samples], axis=0)  # (model,)
    resampled = np.mean([[each.resampled[:, at] for each in both] for both in samples], axis=0)  # (model, resample)
    return _paired(found, resampled)


def _macro_f1(
    pair: Pair, labels: Floats, answers: Sequence[Answers], acting: Sequence[Sequence[Sample]], seed: int
) -> Paired | None:
    """The mean F1 of the categories that act, or of the classes of a single-label model; None where none acts."""
    if not pair.is_single_label:
        return _mean(acting, "f1") if acting else None
    known = ~np.isnan(labels).all(axis=1)
    true = np.nanargmax(labels[known], axis=1)
    at = CLASS_FIGURES.index("macro_f1")
    samples = [
        measure(class_figures(true, each.flagged[known].argmax(axis=1), labels.shape[1]), len(true), seed, RESAMPLES)
        for each in answers
    ]
    found, resampled = [each.found[at] for each in samples], [each.resampled[:, at] for each in samples]
    return _paired(np.array(found), np.array(resampled))


def _paired(found: Floats, resampled: Floats) -> Paired:
    difference = estimate(float(found[1] - found[0]), resampled[1] - resampled[0])
    return Paired(float(found[0]), float(found[1]), difference.interval)
