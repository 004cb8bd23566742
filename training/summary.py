"""Extractive summaries: a document is cut into sentences, and those that its summary took from it are the positives."""

import re
from collections.abc import Sequence

_OPENERS = "\"'“‘(["
_CLOSERS = "\"'”’)]"
_END = re.compile(
    r"(?!(?<=\bNo)\.\s+\d)"  # No. 1
    rf"[.!?]+[{re.escape(_CLOSERS)}]*(?=\s+[{re.escape(_OPENERS)}]*[A-Z0-9£$€])"  # before a sentence's first letter
    r"|\n"
)
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Col|Capt|Lt|Sgt|Rev|Hon|Sen|Rep|Gov|Jr|Sr|vs|v"
    r"|Jan|Feb|Aug|Sept|Oct|Nov|Dec"
    r"|[A-Z]"  # an initial: George W. Bush
    r"|(?:[A-Za-z]\.)+[A-Za-z]"  # U.S.
    r")\.$"
)
_LONGEST_ABBREVIATION = 12
_ENDS_A_SENTENCE = re.compile(rf"\.[{re.escape(_CLOSERS)}]*$")
_BETWEEN_WORDS = re.compile(r"\W+")


def cut(document: str, summary: str) -> list[tuple[str, int]]:
    """The document's sentences, each with 1 where the summary holds it and 0 elsewhere.

    Case, spaces and the kind of punctuation do not count, so a summary may be sentences put one after the other without
    spaces. A first line that is no sentence is the title, and left out.
    """
    every = sentences(document)
    found = list(zip(every, held(every, summary), strict=True))
    return found[1:] if _starts_with_title(document, found) else found


def held(sentences: Sequence[str], summary: str) -> list[int]:
    """For each sentence 1 where the summary holds it as a whole, and 0 elsewhere."""
    words = _key(summary)
    return [int(_key(sentence) in words) for sentence in sentences]


def sentences(document: str) -> list[str]:
    """The sentences of a news text; the end of a line ends one, the point of an abbreviation or a decimal does not."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(document):
        if not _is_abbreviation(document, start, end):
            found.append(document[start : end.end()].strip())
            start = end.end()
    return [sentence for sentence in [*found, document[start:].strip()] if _key(sentence).strip("|")]


def share_explained(document: str, summary: str) -> float:
    """The share of the summary's letters and digits that sentences of the document account for."""
    rest = whole = _key(summary)
    for sentence in sorted(map(_key, sentences(document)), key=len, reverse=True):
        rest = rest.replace(sentence, "|")
    letters = _count_letters(whole)
    return 1 - _count_letters(rest) / letters if letters else 0.0


def _is_abbreviation(document: str, start: int, end: re.Match[str]) -> bool:
    before = document[max(start, end.start() - _LONGEST_ABBREVIATION) : end.end()]
    return end[0] == "." and _ABBREVIATION.search(before) is not None


def _starts_with_title(document: str, found: Sequence[tuple[str, int]]) -> bool:
    first_line = document.strip().partition("\n")[0].strip()
    return len(found) > 1 and found[0] == (first_line, 0) and _ENDS_A_SENTENCE.search(first_line) is None


def _key(text: str) -> str:
    """A text's words without case, and | for each end of a sentence, so that a sentence is found only as a whole."""
    words = _BETWEEN_WORDS.sub(_separator, text.casefold())
    return f"|{words.strip('| ')}|"


def _separator(between: re.Match[str]) -> str:
    return "|" if any(mark in between[0] for mark in ".!?") else " "


def _count_letters(key: str) -> int:
    return sum(map(str.isalnum, key))
