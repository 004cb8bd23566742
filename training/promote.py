"""Promotion: champion and challenger side by side on the same texts, the verdict, and the report that says why."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moderato.artifact import Manifest
from training import bias
from training.bias import Phrase
from training.gate import Comparison, Contestant, Figure, Gate, Verdict, better_somewhere, not_larger, verdict
from training.gate_behaviour import (
    correction_figures,
    disguisable,
    golden_figure,
    identity_figure,
    latency_figure,
    size_of,
    trick_figure,
)
from training.gate_pair import Pair
from training.gate_report import report
from training.gate_test_set import held_out_figures
from training.gate_texts import CannotCompare, GateTexts, Text, read_texts

__all__ = ["FULL", "QUICK", "CannotCompare", "Comparison", "Gate", "Verdict", "compare", "report", "verdict"]

TEMPLATES = "identity_templates_en.csv.gz"
"""The public identity phrases, in the folder of public files."""


@dataclass(frozen=True)
class Sampling:
    """How many texts each figure is taken on; chosen by hash, so that any run takes the same."""

    test: int | None
    """None = the whole test set."""
    corrections: int | None
    identity: int
    """Friendly phrases of each term."""
    templates: int
    """Friendly template phrases of each term."""
    disguised: int
    timed: int


FULL = Sampling(test=None, corrections=None, identity=20, templates=20, disguised=60, timed=100)
"""Under two minutes on two cores for the starter model and its 4,342 texts."""

QUICK = Sampling(test=800, corrections=400, identity=5, templates=5, disguised=20, timed=40)
"""For a first look: areas of rare categories mean little on so few texts."""


def compare(
    champion: Path,
    challenger: Path,
    dataset: Path,
    *,
    gate: Gate | None = None,
    sampling: Sampling = FULL,
    sources: Path | None = None,
    seed: int = 1,
) -> Comparison:
    """Measure both models on a dataset's frozen test set and past reversals, and on phrases, tricks, time and size.

    `sources` is the folder of public files, where the identity phrases may be. Raises BrokenModel when a model is not
    whole, and CannotCompare when the two have not the same categories, are one model, or the dataset is not whole.
    """
    rules = gate or Gate()
    texts = read_texts(dataset)
    pair = Pair.load(champion, challenger)
    test = _sample(texts.test, sampling.test)
    answers = pair.score([text.text for text in test], "held-out texts")
    figures, unmeasured = held_out_figures(pair, test, answers, rules, seed)
    corrections = _sample(texts.corrections, sampling.corrections)
    figures += correction_figures(
        pair, corrections, pair.score([text.text for text in corrections], "past corrections"), rules, seed
    )
    figures.append(better_somewhere(figures))
    figures += _identity(pair, sampling, sources, rules)
    abusive = disguisable(test, answers, sampling.disguised)
    figures += [trick_figure(pair, abusive, rules, seed)] if abusive else []
    figures += [
        golden_figure(pair.challenger, challenger),
        latency_figure(pair, [text.text for text in test[: sampling.timed]], rules),
        not_larger(size_of(pair.champion.manifest), size_of(pair.challenger.manifest), rules),
    ]
    return Comparison(
        champion=_contestant(pair.champion.manifest),
        challenger=_contestant(pair.challenger.manifest),
        dataset=texts.dataset,
        test_sha256=texts.test_sha256,
        figures=tuple(figures),
        notes=tuple(_notes(pair, texts, test, unmeasured, abusive, sources)),
    )


def _sample(texts: Sequence[Text], count: int | None) -> Sequence[Text]:
    if count is None or count >= len(texts):
        return texts
    return sorted(texts, key=lambda text: hashlib.sha256(text.text.encode()).digest())[:count]


def _identity(pair: Pair, sampling: Sampling, sources: Path | None, rules: Gate) -> list[Figure]:
    if not pair.acting:
        return []
    figures = [identity_figure(pair, _kind(bias.sentences(), sampling.identity), "friendly identity sentences", rules)]
    path = _templates(sources)
    if path is not None:
        phrases = _kind(bias.read_phrases(path), sampling.templates)
        figures.append(identity_figure(pair, phrases, "friendly identity phrases", rules))
    return figures


def _kind(phrases: Sequence[Phrase], of_each_term: int) -> list[Phrase]:
    kind = [phrase for phrase in phrases if not phrase.is_toxic]
    return bias.sample(kind, bias.TERMS, at_most=2 * of_each_term)  # half of what it takes is kind


def _templates(sources: Path | None) -> Path | None:
    path = None if sources is None else sources / TEMPLATES
    return path if path is not None and path.is_file() else None


def _contestant(manifest: Manifest) -> Contestant:
    return Contestant(name=manifest.name, version=manifest.version, sha256=manifest.sha256, dataset=manifest.dataset)


def _notes(
    pair: Pair,
    texts: GateTexts,
    test: Sequence[Text],
    unmeasured: Sequence[str],
    abusive: Sequence[str],
    sources: Path | None,
) -> list[str]:
    notes = []
    if len(test) < len(texts.test):
        notes.append(f"A quick comparison: {len(test):,} of {len(texts.test):,} held-out texts.")
    notes += [f"{name}: the held-out texts are of one class, so nothing was measured." for name in unmeasured]
    if not texts.corrections:
        notes.append("The dataset has no past reversals (corrections.jsonl), so none were compared.")
    if not pair.acting:
        notes.append("No category calls for an action, so identity phrases and tricks were not compared.")
    elif not abusive:
        notes.append("No short harmful text is flagged by both models, so tricks were not compared.")
    if pair.acting and _templates(sources) is None:
        notes.append("The public identity phrases are not there; identity was measured on our own sentences alone.")
    if pair.challenger.manifest.dataset.digest != texts.dataset.digest:
        notes.append(
            "The challenger was trained on another dataset than this one: if its test set differs, the challenger may "
            "have been trained on these texts."
        )
    return notes
