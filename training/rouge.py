"""ROUGE of extractive summaries: what a model picks of a document, beside its first sentences and the best choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.dataset import Row
from training.evaluation import Estimate, Table
from training.figures import Floats, estimate, measure
from training.summary import held

KINDS = ("rouge1", "rouge2", "rougeL")

NOTE = (
    "F1 of ROUGE (Lin 2004) with stemming, mean over the documents. Every method picks the same share of a document's "
    "sentences: the lead takes the first, the oracle those of the reference as far as they fit in."
)


@dataclass(frozen=True)
class Document:
    """The sentences of one document, in its order."""

    id: str
    sentences: tuple[str, ...]
    scores: tuple[float, ...]
    reference: str
    """Its sentences that belong to the summary, a line each."""


@dataclass(frozen=True)
class RougeResult:
    """ROUGE of each way to pick sentences, by kind."""

    documents: int
    """Those that have a reference: the others cannot be measured."""
    share: float
    model: Mapping[str, Estimate]
    lead: Mapping[str, Estimate]
    oracle: Mapping[str, Estimate]

    def table(self) -> Table:
        """The result as a table of the report."""
        rows = [
            (f"{method}: {kind}", figures[kind].value, *(figures[kind].interval or (None, None)))
            for method, figures in (("model", self.model), ("lead", self.lead), ("oracle", self.oracle))
            for kind in KINDS
        ]
        note = f"{NOTE} {self.documents:,} documents, {self.share:.0%} of their sentences."
        return Table(title="ROUGE", note=note, columns=("method", "F1", "from", "to"), rows=tuple(rows))


def gather(rows: Sequence[Row], scores: Sequence[float], category: str) -> list[Document]:
    """The documents that the rows were cut from, as far as the rows hold them; rows without a document are left out."""
    numbers: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row.document is not None:
            numbers.setdefault(row.document, []).append(number)
    return [_gathered(rows, scores, category, name, found) for name, found in numbers.items()]


def positive_share(rows: Sequence[Row], category: str) -> float:
    """The share of the sentences that belong to a summary: how long a summary is to be."""
    labels = [row.labels[category] == 1 for row in rows if row.document is not None]
    if not labels:
        raise ValueError("no row was cut from a document, so there is no share of sentences to pick")
    return sum(labels) / len(labels)


def measure_rouge(
    documents: Sequence[Sequence[str]],
    scores: Sequence[Sequence[float]],
    references: Sequence[str],
    share: float,
    seed: int = 20,
) -> RougeResult:
    """ROUGE of the `share` of each document's sentences that score highest, at least one, against its reference.

    `documents` are sentences in their order, `scores` one for each of them. Intervals are over the documents.
    """
    measured = [
        _figures_of(sentences, said, reference, share)
        for sentences, said, reference in zip(documents, scores, references, strict=True)
        if sentences and reference.strip()
    ]
    if not measured:
        raise ValueError("no document has a reference, so ROUGE cannot be measured")
    figures = np.array(measured)  # (document, method, kind)
    model, lead, oracle = (_estimates(figures[:, method], seed) for method in range(3))
    return RougeResult(len(measured), share, model, lead, oracle)


def pick(scores: Sequence[float], share: float) -> list[int]:
    """The sentences with the highest scores, in their order; of equal scores, the earlier."""
    count = max(1, round(share * len(scores)))
    return sorted(sorted(range(len(scores)), key=lambda number: -scores[number])[:count])


def _gathered(
    rows: Sequence[Row], scores: Sequence[float], category: str, name: str, numbers: Sequence[int]
) -> Document:
    ordered = sorted(numbers, key=lambda number: int(rows[number].id.rpartition("-")[2]))
    return Document(
        id=name,
        sentences=tuple(rows[number].text for number in ordered),
        scores=tuple(float(scores[number]) for number in ordered),
        reference="\n".join(rows[number].text for number in ordered if rows[number].labels[category] == 1),
    )


def _figures_of(sentences: Sequence[str], scores: Sequence[float], reference: str, share: float) -> list[list[float]]:
    """(method, kind) of one document."""
    # It brings a toolkit of languages along, for whose import (1.3 s) every other command and process would pay.
    from rouge_score.rouge_scorer import RougeScorer

    first = [-number for number in range(len(sentences))]
    scorer = RougeScorer(list(KINDS), use_stemmer=True)
    return [
        [figure.fmeasure for figure in scorer.score(reference, _summary(sentences, way, share)).values()]
        for way in (scores, first, held(sentences, reference))
    ]


def _summary(sentences: Sequence[str], scores: Sequence[float], share: float) -> str:
    return "\n".join(sentences[number] for number in pick(scores, share))


def _estimates(figures: Floats, seed: int) -> Mapping[str, Estimate]:
    """The mean of each kind over the documents: (document, kind)."""

    def means(weights: Floats) -> Floats:
        weighted: Floats = weights @ figures / weights.sum(axis=1, keepdims=True)
        return weighted

    sample = measure(means, len(figures), seed)
    return {kind: estimate(sample.found[number], sample.resampled[:, number]) for number, kind in enumerate(KINDS)}
