"""Near-duplicates: training texts that are almost a held-out text, found exactly by prefix filtering."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from moderato.text import letters_of

GRAM_LETTERS = 5

MIN_LETTERS = 20
"""Shorter texts are alike only where their letters are equal: one word more or less makes another text of them."""


def near_duplicates(held_out: Sequence[str], training: Sequence[str], threshold: float = 0.8) -> list[int]:
    """The indices of the training texts whose likeness to any held-out text is at least the threshold.

    Likeness is the Jaccard similarity of the sets of 5 letters (or digits) in a row, after normalizing, without case,
    spaces and punctuation. No pair is missed: see `_Index`.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not above 0 and at most 1")
    index = _Index(held_out, threshold)
    return [number for number, text in enumerate(training) if index.has_a_likeness_of(text)]


def repeats(texts: Sequence[str], threshold: float = 0.8) -> list[int]:
    """The indices of the texts that are like an earlier one which is no repeat itself: the first one stands."""
    index = _Index(texts, threshold)
    repeated: set[int] = set()
    for number, text in enumerate(texts):
        if any(other < number and other not in repeated for other in index.likenesses_of(text)):
            repeated.add(number)
    return sorted(repeated)


class _Index:
    """Held-out texts by their rarest grams.

    Two sets of which each has a share `threshold` in the other must share one of their few rarest members, as long
    as "rarest" is the same order for both ("prefix filtering": Chaudhuri, Ganti and Kaushik, ICDE 2006; Bayardo, Ma
    and Srikant, WWW 2007). So only texts that share a rare gram are compared in full.
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._threshold = threshold
        every = [letters_of(text) for text in texts]
        self._short: dict[str, list[int]] = defaultdict(list)
        self._texts: dict[int, set[str]] = {}
        for number, letters in enumerate(every):
            if len(letters) >= MIN_LETTERS:
                self._texts[number] = _grams(letters)
            elif letters:
                self._short[letters].append(number)
        self._frequency = Counter(gram for grams in self._texts.values() for gram in grams)
        self._by_gram: dict[str, list[int]] = defaultdict(list)
        for number, grams in self._texts.items():
            for gram in self._rarest(grams, self._spare(len(grams)) + 1):
                self._by_gram[gram].append(number)

    def has_a_likeness_of(self, text: str) -> bool:
        """Whether a held-out text is like this one."""
        return next(self.likenesses_of(text), None) is not None

    def likenesses_of(self, text: str) -> Iterator[int]:
        """The indices of the texts that are like this one, in no order."""
        letters = letters_of(text)
        if len(letters) < MIN_LETTERS:
            yield from self._short.get(letters, ())
            return
        grams = _grams(letters)
        known = grams & self._frequency.keys()
        # Grams that no held-out text has come first in the order: they use up what may differ.
        differing = len(grams) - len(known)
        if not known or differing > self._spare(len(grams)):
            return
        rarest = self._rarest(known, self._spare(len(grams)) + 1 - differing)
        candidates = {number for gram in rarest for number in self._by_gram.get(gram, ())}
        yield from (number for number in candidates if self._are_alike(grams, self._texts[number]))

    def _spare(self, size: int) -> int:
        """How many of a text's grams another text may lack and still be like it."""
        return size - math.ceil(self._threshold * size - 1e-9)

    def _rarest(self, grams: set[str], count: int) -> list[str]:
        return sorted(grams, key=lambda gram: (self._frequency[gram], gram))[:count]

    def _are_alike(self, one: set[str], other: set[str]) -> bool:
        if min(len(one), len(other)) / max(len(one), len(other)) < self._threshold:
            return False  # their sizes alone tell; counting what they share costs more
        shared = len(one & other)
        return shared / (len(one) + len(other) - shared) >= self._threshold


def _grams(letters: str) -> set[str]:
    return {letters[start : start + GRAM_LETTERS] for start in range(len(letters) - GRAM_LETTERS + 1)}
