"""Spans: the sentences of a text that speak for a category, as ranges of the original text."""

import re
from collections.abc import Mapping, Sequence

from moderato.contracts import Span
from moderato.scorer import Scored, Scorer

MAX_SENTENCE_CHARACTERS = 300
"""A run without an end of sentence is cut here, at a space where there is one."""

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*|[.!?\n]+")
_PIECE = re.compile(
    rf"\S.{{0,{MAX_SENTENCE_CHARACTERS - 1}}}(?=\s|$)|\S\S{{0,{MAX_SENTENCE_CHARACTERS - 1}}}", re.DOTALL
)


def locate(scorer: Scorer, text: str, scored: Scored, thresholds: Mapping[str, float]) -> list[Span]:
    """For each category whose threshold the text reached, the sentences that reach it alone, or else the strongest.

    Sentences are looked for only in the windows that reached the threshold, so a long text costs no second reading.
    """
    reached = {name: threshold for name, threshold in thresholds.items() if scored.scores[name] >= threshold}
    if not reached:
        return []
    suspects = _suspects(scorer, scored, reached)
    alone = {
        (start, end): scorer.score(text[start:end]).scores
        for start, end in sentences(text)
        if any(start < window_end and window_start < end for window_start, window_end in suspects)
    }
    return [span for name, threshold in reached.items() for span in _of_category(name, threshold, alone)]


def sentences(text: str) -> list[tuple[int, int]]:
    """The ranges of a text's sentences, without the spaces around them; every visible character is in one."""
    return [
        (piece.start(), piece.start() + len(piece[0].rstrip()))
        for sentence in _SENTENCE.finditer(text)
        for piece in _PIECE.finditer(text, sentence.start(), sentence.end())
    ]


def _suspects(scorer: Scorer, scored: Scored, reached: Mapping[str, float]) -> list[tuple[int, int]]:
    """The windows in which a category reached its threshold."""
    suspects: list[tuple[int, int]] = []
    for window in scored.windows:
        scores = scorer.calibrate(window.logits)
        if any(scores[name] >= threshold for name, threshold in reached.items()):
            suspects.append((window.start, window.end))
    return suspects


def _of_category(name: str, threshold: float, alone: Mapping[tuple[int, int], Mapping[str, float]]) -> Sequence[Span]:
    spans = [Span(start, end, name, scores[name]) for (start, end), scores in alone.items()]
    guilty = [span for span in spans if span.score >= threshold]
    # No sentence alone may reach what several together do.
    return guilty or sorted(spans, key=lambda span: span.score)[-1:]
