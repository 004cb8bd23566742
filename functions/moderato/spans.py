"""Spans: the sentences of a text that speak for a category, as ranges of the original text."""

import re
from collections.abc import Mapping, Sequence

from moderato.contracts import Span
from moderato.scorer import RUN_TOKENS, Piece, Scored, Scorer
from moderato.scorer import cost as cost_of_reading

MAX_SENTENCE_CHARACTERS = 300
"""A run without an end of sentence is cut here, at a space where there is one."""

MAX_SENTENCES = 200
"""Sentences of a text that are scored alone: a text of 10,000 sentences must not cost 10,000 runs of the model."""

MAX_SPANS = 20
"""Spans of a text for each category: more would be a colouring book, and could be larger than Lambda's answer."""

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*|[.!?\n]+")
_PIECE = re.compile(
    rf"\S.{{0,{MAX_SENTENCE_CHARACTERS - 1}}}(?=\s|$)|\S\S{{0,{MAX_SENTENCE_CHARACTERS - 1}}}", re.DOTALL
)


def locate(scorer: Scorer, text: str, scored: Scored, thresholds: Mapping[str, float]) -> list[Span]:
    """For each category whose threshold the text reached, the sentences that reach it alone, or else the strongest.

    Sentences are looked for only in the windows that reached the threshold, or else in the surest, so a long text costs
    no second reading.
    """
    reached = {name: threshold for name, threshold in thresholds.items() if scored.scores[name] >= threshold}
    if not reached:
        return []
    known: dict[str, Mapping[str, float]] = {}
    alone: dict[tuple[int, int], Mapping[str, float]] = {}
    for start, end in _suspects(scorer, text, scored, reached):
        sentence = text[start:end]
        if sentence not in known:
            known[sentence] = scorer.score(sentence).scores
        alone[start, end] = known[sentence]
    return [span for name, threshold in reached.items() for span in _of_category(name, threshold, alone)]


def cost(text: str, pieces: Sequence[Piece]) -> int:
    """How much `locate` costs at most, in tokens as of `scorer.cost`: all of the text again, sentence by sentence."""
    runs = 2 * min(MAX_SENTENCES, len(sentences(text)))  # in two views
    return cost_of_reading(pieces) + runs * (2 + RUN_TOKENS)


def sentences(text: str) -> list[tuple[int, int]]:
    """The ranges of a text's sentences, without the spaces around them; every visible character is in one."""
    return [
        (piece.start(), piece.start() + len(piece[0].rstrip()))
        for sentence in _SENTENCE.finditer(text)
        for piece in _PIECE.finditer(text, sentence.start(), sentence.end())
    ]


def _suspects(scorer: Scorer, text: str, scored: Scored, reached: Mapping[str, float]) -> list[tuple[int, int]]:
    """At most `MAX_SENTENCES` sentences of the windows that reached a threshold, or else of the surest window.

    Those of the surest windows come first.
    """
    surest = sorted(
        (_margin(scorer.calibrate(window.logits), reached), window.start, window.end) for window in scored.windows
    )
    found: dict[tuple[int, int], None] = {}
    ranges = sentences(text)
    for margin, window_start, window_end in reversed(surest):
        # The mean over the windows, which decides for a single-label model, may be surer than each of them.
        if len(found) >= MAX_SENTENCES or (found and margin < 0):
            break
        found |= {(start, end): None for start, end in ranges if start < window_end and window_start < end}
    return list(found)[:MAX_SENTENCES]


def _margin(scores: Mapping[str, float], reached: Mapping[str, float]) -> float:
    """By how much the surest category is above its threshold; negative where none reaches it."""
    return max(scores[name] - threshold for name, threshold in reached.items())


def _of_category(name: str, threshold: float, alone: Mapping[tuple[int, int], Mapping[str, float]]) -> Sequence[Span]:
    """The surest spans that reach the threshold, in the order of the text."""
    spans = [Span(start, end, name, scores[name]) for (start, end), scores in alone.items()]
    spans.sort(key=lambda span: -span.score)
    guilty = [span for span in spans[:MAX_SPANS] if span.score >= threshold]
    # No sentence alone may reach what several together do.
    return sorted(guilty or spans[:1], key=lambda span: span.start)
