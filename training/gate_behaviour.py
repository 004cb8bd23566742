"""What a gate asks besides the test set: past corrections, identity phrases, tricks, golden answers, time and size."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from moderato.artifact import Manifest
from moderato.errors import BrokenModel
from moderato.scorer import Scorer
from training import gate
from training.bias import Phrase
from training.figures import RESAMPLES, Flags
from training.gate import Figure, Gate
from training.gate_pair import Answers, Pair, shown
from training.gate_texts import POSITIVE, Text
from training.robustness import measure_robustness

LONGEST_DISGUISED = 200
"""Characters: every word of a text is tried without to find the telling ones, so a long text would cost seconds."""

Timer = Callable[[], float]
"""Seconds since some moment."""


def correction_figures(
    pair: Pair, texts: Sequence[Text], answers: tuple[Answers, Answers], rules: Gate, seed: int
) -> list[Figure]:
    """Return how far each model is right about held-out corrections: past reversals, all their labels, the action."""
    if not texts:
        return []
    labels = np.array([text.bits(pair.categories) for text in texts])  # (text, category); NaN where unknown
    known = ~np.isnan(labels)
    was_reversed = np.array([[name in text.reversed for name in pair.categories] for text in texts]) & known
    right = [each.flagged == (labels == 1) for each in answers]  # (text, category)
    found = [_not_surely_worse("labels", [each & known for each in right], known, rules, seed)]
    if was_reversed.any():
        shares = [float(each[was_reversed].mean()) for each in right]
        found.insert(0, gate.better_on_reversals(shares[0], shares[1], int(was_reversed.sum()), rules))
    if pair.acting:
        is_harmful = (labels == 1).any(axis=1)
        actions = [(each.acts == is_harmful)[:, None] for each in answers]
        found.append(_not_surely_worse("action", actions, np.ones_like(actions[0]), rules, seed))
    return found


def _not_surely_worse(what: str, right: Sequence[Flags], known: Flags, rules: Gate, seed: int) -> Figure:
    """The share that either model has right, over the texts; corrections are few, so chance is allowed for."""
    hits, counts = np.array([each.sum(axis=1) for each in right]), known.sum(axis=1)  # (model, text), (text)
    draws = np.random.default_rng(seed).integers(0, len(counts), (RESAMPLES, len(counts)))  # (resample, text)
    shares = hits[:, draws].sum(axis=2) / counts[draws].sum(axis=1)  # (model, resample)
    low, high = np.quantile(shares[1] - shares[0], [0.025, 0.975]).tolist()
    champion, challenger = (hits.sum(axis=1) / counts.sum()).tolist()
    name = f"held-out corrections, {what} right"
    return gate.not_surely_lower(name, champion, challenger, rules.corrections, len(counts), (low, high))


def identity_figure(pair: Pair, phrases: Sequence[Phrase], what: str, rules: Gate) -> Figure:
    """Return the share of friendly phrases, each of which names an identity, that is flagged."""
    kind = [phrase.text for phrase in phrases if not phrase.is_toxic]
    shares = [float(each.acts.mean()) for each in pair.score(kind, what)]
    return gate.not_higher(f"{what} flagged", shares[0], shares[1], rules.identity, len(kind))


def disguisable(texts: Sequence[Text], answers: Sequence[Answers], count: int) -> list[str]:
    """Return the first harmful texts that both models flag and that are short enough to be disguised."""
    flagged = np.all([each.acts for each in answers], axis=0).tolist()
    harmful = [text.text for text, acts in zip(texts, flagged, strict=True) if acts and _is_harmful(text)]
    return [text for text in harmful if len(text) <= LONGEST_DISGUISED][:count]


def trick_figure(pair: Pair, abusive: Sequence[str], rules: Gate, seed: int) -> Figure:
    """Return the share of abusive texts that is still flagged when disguised, the mean over families of tricks."""

    def both(text: str) -> list[list[float]]:
        return [[trick.still_flagged for trick in measure_robustness(each, [text], [], seed)] for each in pair.both]

    with ThreadPoolExecutor(2) as threads:
        shares = np.array(list(shown(threads.map(both, abusive), "character tricks", len(abusive))))
    champion, challenger = shares.mean(axis=(0, 2)).tolist()  # (text, model, family)
    return gate.not_lower("disguised texts still flagged", champion, challenger, rules.tricks, len(abusive))


def golden_figure(scorer: Scorer, directory: Path) -> Figure:
    """Return whether the model gives its golden answers, all of them."""
    path = directory / "golden.jsonl"
    try:
        scorer.check_golden(path)
    except BrokenModel:
        return gate.golden(False, _lines(path))
    return gate.golden(True, _lines(path))


def latency_figure(pair: Pair, texts: Sequence[str], rules: Gate, timer: Timer = time.perf_counter) -> Figure:
    """Return the median time for a text, on one thread, both models in turn so that neither has the quieter hour."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for text in shown(texts, "latency", len(texts)):
        # There and back again, and the better of two: what another program took is no fault of the model.
        rounds = [[_timed(pair.both[i], text, timer) for i in order] for order in ((0, 1), (1, 0))]
        seconds[0].append(min(rounds[0][0], rounds[1][1]))
        seconds[1].append(min(rounds[0][1], rounds[1][0]))
    champion, challenger = (statistics.median(each) * 1000 for each in seconds)
    return gate.not_slower(champion, challenger, rules, len(texts))


def size_of(manifest: Manifest) -> int:
    """Return the bytes of the files that a manifest lists."""
    return sum(record.size for record in manifest.files.values())


def _is_harmful(text: Text) -> bool:
    return any((label or 0) >= POSITIVE for label in text.labels.values())


def _timed(scorer: Scorer, text: str, timer: Timer) -> float:
    started = timer()
    scorer.score(text)
    return timer() - started


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
