"""Text as the model reads it: a clean view and, for disguised words, a folded one, both mapped to the original."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = 1
"""Changes when a clean view changes: a model names the version that it was trained with."""

MAX_MARKS = 8
"""Combining marks kept after a letter: `unicodedata.normalize` is quadratic in the length of a run of them."""

MAX_EXPANSION = 4
"""How many times longer NFKC may make a character; one that would grow more stays as it is."""

# Look-alikes of Latin letters, from Unicode's confusables (UTS 39), for words that mix scripts.
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјкорсухԁһԛԝѵгпбɡΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβγειικνορτυχωϲϳ",
    "ABESIJKMHOPCTYXaesijkopcyxdhqwvrnbgABEZHIKMNOPTYXabyeiiknoptuxwcj",
)
_LEET = str.maketrans("@431!0$57+8|", "aaeiiossttbl")
_LEET_WORD = re.compile(r"[A-Za-z0-9@!$+|]+")
_LEET_MIN_LETTERS = 2
_MAX_ORDINAL_CHARACTERS = 4
_SPACED_WORD = re.compile(r"(?<![^\W_])[^\W\d_]([ .\-_*])[^\W\d_](?:\1[^\W\d_])+(?![^\W_])")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class View:
    """A text together with where each of its characters stands in the original."""

    text: str
    starts: Sequence[int]
    """For each character of `text`, the index in the original at which it begins; one more for the end."""

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original (end exclusive) that characters `start` to `end` of this view came from."""
        return self.starts[start], self.starts[end]


def normalize(text: str) -> View:
    """The clean view: NFKC, no invisible or control characters, at most 8 combining marks in a row. Linear in time.

    Training and serving both read texts through this function.
    """
    if text.isascii() and text.isprintable():
        return View(text, range(len(text) + 1))
    characters: list[str] = []
    starts: list[int] = []
    for start, cluster in _clusters(text):
        clean = unicodedata.normalize("NFKC", cluster)
        # One Arabic ligature becomes 18 letters: a short request would become a long text.
        if len(clean) > MAX_EXPANSION * len(cluster):
            clean = cluster
        characters.extend(clean)
        starts.extend([start] * len(clean))
    return View("".join(characters), [*starts, len(text)])


def fold(view: View) -> View | None:
    """The folded view, in which disguised words are spelled out, or None where nothing is disguised.

    Look-alikes from other scripts, digits and signs for letters, spaced-out words and stretched letters are undone.
    A model scores both views and keeps the higher score, so folding an innocent text by mistake hides nothing.
    """
    folded = view
    for undo in (_undo_look_alikes, _undo_spacing, _undo_leet, _undo_repeats):
        folded = undo(folded)
    return folded if folded.text != view.text else None


def _clusters(text: str) -> list[tuple[int, str]]:
    """Each visible character with its combining marks, capped, and where it starts."""
    clusters: list[tuple[int, str]] = []
    base, start, marks = "", 0, 0
    for index, character in enumerate(text):
        if _is_invisible(character):
            continue
        if unicodedata.category(character) in ("Mn", "Me"):
            marks += 1
            if marks <= MAX_MARKS:
                base += character
            continue
        if base:
            clusters.append((start, base))
        base, start, marks = (" " if unicodedata.category(character) == "Cc" else character), index, 0
    if base:
        clusters.append((start, base))
    return clusters


def _is_invisible(character: str) -> bool:
    """Format characters, variation selectors and fillers: a reader does not see them inside a word."""
    if character.isascii():
        return False
    return (
        unicodedata.category(character) in ("Cf", "Cs", "Co")
        or character in "\u115f\u1160\u3164\uffa0\u034f\u180b"
        or ("\ufe00" <= character <= "\ufe0f")
    )


def _undo_look_alikes(view: View) -> View:
    if view.text.isascii():
        return view
    text = _WORD.sub(lambda word: word[0].translate(_LOOK_ALIKES) if _mixes_scripts(word[0]) else word[0], view.text)
    return View(text, view.starts)


def _mixes_scripts(word: str) -> bool:
    return not word.isascii() and any("a" <= letter <= "z" for letter in word.lower())


def _undo_leet(view: View) -> View:
    return View(_LEET_WORD.sub(lambda word: _spell(word[0]), view.text), view.starts)


def _spell(word: str) -> str:
    """`sh1t` is spelled out; `2024`, `covid19`, `4th` and `wow!!!` stay: signs count only before a letter."""
    core = word.rstrip("0123456789!+|")
    if core.isalpha() or sum(letter.isalpha() for letter in core) < _LEET_MIN_LETTERS or _is_ordinal(core):
        return word
    return core.translate(_LEET) + word[len(core) :]


def _is_ordinal(word: str) -> bool:
    """`4th`, `10am`, `80km`: a number with its unit."""
    return word[0].isdigit() and len(word) <= _MAX_ORDINAL_CHARACTERS


def _undo_spacing(view: View) -> View:
    return _drop(
        view,
        [
            (index, index + 1)
            for match in _SPACED_WORD.finditer(view.text)
            for index in range(match.start() + 1, match.end(), 2)
        ],
    )


def _undo_repeats(view: View) -> View:
    return _drop(view, [(match.start() + 1, match.end()) for match in _REPEATED.finditer(view.text)])


def _drop(view: View, ranges: Sequence[tuple[int, int]]) -> View:
    """The view without the given ranges, which are in order and do not overlap."""
    if not ranges:
        return view
    characters: list[str] = []
    starts: list[int] = []
    position = 0
    for start, end in [*ranges, (len(view.text), len(view.text))]:
        characters.append(view.text[position:start])
        starts.extend(view.starts[position:start])
        position = end
    return View("".join(characters), [*starts, view.starts[len(view.text)]])
