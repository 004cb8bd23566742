"""Text as the model reads it: a clean view and, for disguised words, a folded one, both mapped to the original."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from moderato import look_alikes
from moderato.spelling import lexicon

VERSION = 2
"""Changes when a clean view changes: a model names the version that it was trained with."""

MAX_MARKS = 8
"""Combining marks kept after a letter: `unicodedata.normalize` is quadratic in the length of a run of them."""

MAX_EXPANSION = 4
"""How many times longer NFKC may make a character; one that would grow more stays as it is."""

_TOKEN = re.compile(r"\S+")
_PIECE = re.compile(r"[^\s/_.,:;~|-]+|[^\s\w]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_EDGES = "\"'`“”‘’«»()[]{}<>.,;:!?*_~-…|/\\=+"
_SENTENCE_MARKS = ".,;:!?\"'"
_PARTS = re.compile(r"[^\W\d_]+(?:[-/'’`´.,_:;~|]+[^\W\d_]+)+")
_ADDRESS = re.compile(
    r"://|www\.|@\w+\.\w|\w\.(?:com|org|net|edu|gov|io|html?|php|jpe?g|png|gif|pdf|svg)\b", re.IGNORECASE
)
_NUMBER = re.compile(
    r"[(\[\"'$€£#+~-]*\d[\d.,:/%–-]*(?:[a-z]{1,2}|mph|utc|mins?|hrs|yrs|pts)?[)\]\"'.,;:!?…-]*", re.IGNORECASE
)
_SPACED_WORD = re.compile(
    r"(?<![\w@$])[^\W_]( {1,3}|_{1,2}|[^\w\s@$!]{1,2}| [^\w\s] )(?:[^\W_]|[@$!])(?:\1(?:[^\W_]|[@$!]))+"
)
_WORD_GOES_ON = re.compile(r"[\w@$]|[^\w\s]\w")
_LOWER_L = re.compile(r"(?<=[a-z])I(?=[a-zI]|\b)")
_MAX_TOKEN = 120
_MIN_LOOK_ALIKES = 3
_MIN_SPACED_LETTERS = 4
_MAX_UNKNOWN_LETTERS = 20
_MAX_FRAGMENTS = 3


@dataclass(frozen=True)
class View:
    """A text together with where each of its characters stands in the original."""

    text: str
    starts: Sequence[int]
    """For each character of `text`, the index in the original at which it begins; one more for the end."""

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original (end exclusive) that characters `start` to `end` of this view came from.

        A character that became several is whole in it, whichever of them is asked for.
        """
        while start < end < len(self.text) and self.starts[end] == self.starts[end - 1]:
            end += 1
        return self.starts[start], self.starts[end]


def normalize(text: str) -> View:
    """The clean view: NFKC, no invisible or control characters, at most 8 combining marks in a row, no look-alikes.

    Linear in time. Look-alikes of Latin letters from other scripts are undone where a word or its text is Latin, and
    spaced-out words are closed up.

    Training and serving both read texts through this function.
    """
    if text.isascii() and text.isprintable():
        return _undo_spacing(View(text, range(len(text) + 1)))
    characters: list[str] = []
    starts: list[int] = []
    for start, cluster in _clusters(text):
        clean = unicodedata.normalize("NFKC", cluster)
        # One Arabic ligature becomes 18 letters: a short request would become a long text.
        if len(clean) > MAX_EXPANSION * len(cluster):
            clean = cluster
        characters.extend(clean)
        starts.extend([start] * len(clean))
    return _undo_spacing(_undo_look_alikes(View("".join(characters), [*starts, len(text)])))


def letters_of(text: str) -> str:
    """A text's letters, digits and emoji, normalized and without case: what tells it from other texts."""
    # Normalizing changes no ASCII letter or digit, and costs more than all the rest for a text of several lines.
    clean = text if text.isascii() else normalize(text).text
    return "".join(filter(_tells, clean.casefold()))


def fold(view: View) -> View | None:
    """The folded view, in which disguised words are spelled out, or None where nothing is disguised.

    Spaced-out, split and joined words, signs for letters, stars, stretched letters and slips are undone, as far as a
    list of known words says what was meant. A model of harms scores both views and keeps the higher score, so folding
    an innocent text by mistake hides nothing.
    """
    folded = _undo_spelling(_undo_splits(view), lexicon().spell_out)
    # A text that hides one word may hide others, and there is a second view to pay for now anyway.
    return None if folded.text == view.text else _undo_spelling(folded, lexicon().correct)


def _tells(character: str) -> bool:
    # "I love my 🐀" and "I love my 🦊" are not the same text.
    return character.isalnum() or (not character.isascii() and unicodedata.category(character) == "So")


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
    """Letters of other scripts that look Latin, in words that are otherwise Latin or in a text that mostly is."""
    if view.text.isascii():
        return view
    is_latin = _is_latin(view.text)
    return View(_TOKEN.sub(lambda token: _translate(token[0], is_latin), view.text), view.starts)


def _is_latin(text: str) -> bool:
    """Whether half of a text's letters are Latin: then a word of look-alikes is no word of another language."""
    letters = sum(character.isalpha() for character in text)
    return 2 * sum("a" <= character <= "z" for character in text.lower()) >= letters


def _translate(token: str, in_latin_text: bool) -> str:
    if token.isascii() or not any(ord(character) in look_alikes.LETTERS for character in token):
        return token
    if not any("a" <= character <= "z" for character in token.lower()):
        others = [letter for letter in token if letter.isalpha() and ord(letter) not in look_alikes.LETTERS]
        if others or len(token) < _MIN_LOOK_ALIKES or not (in_latin_text or _mixes_scripts(token)):
            return token
    return _LOWER_L.sub("l", token.translate(look_alikes.LETTERS))


def _mixes_scripts(token: str) -> bool:
    return len({unicodedata.name(letter, "").partition(" ")[0] for letter in token if letter.isalpha()}) > 1


def _undo_spacing(view: View) -> View:
    """`i d i o t`, `i.d.i.o.t`: characters that stand alone, with the same sign between all of them, become words."""
    replacements = []
    for match in _SPACED_WORD.finditer(view.text):
        start, end = match.span()
        # Checked here, not by a lookahead: failing in the regex would read a long run again from each of its letters.
        if _WORD_GOES_ON.match(view.text, end):
            end -= len(match[1]) + 1
        word = _close_up(view.text[start : end : len(match[1]) + 1], match[1])
        if word is not None:
            replacements.append((start, end, word))
    return _replace(view, replacements)


def _close_up(letters: str, sign: str) -> str | None:
    """Letters that stood apart, cut into words where they make several; None where they were no word."""
    if any("a" <= letter <= "z" for letter in letters.lower()):
        letters = letters.translate(look_alikes.LETTERS)
    if len(letters) < 3 or sum(letter.isalpha() for letter in letters) * 2 <= len(letters):
        return None
    if len(letters) < _MIN_SPACED_LETTERS:
        return letters if lexicon().is_harmful(letters) or _is_short_word(letters, sign) else None
    ends = lexicon().cut(letters.lower())
    if ends is None:
        return letters if letters.isascii() and len(letters) <= _MAX_UNKNOWN_LETTERS else None
    return " ".join(letters[start:end] for start, end in pairwise([0, *ends]))


def _is_short_word(letters: str, sign: str) -> bool:
    """Three letters may be initials (`U.S.A.`) or a list (`a b c`); `y o u` and `h/i/s` are words."""
    if sign == "." or letters.isupper():
        return False
    return lexicon().is_frequent(letters) if sign == " " else lexicon().is_known(letters)


def _undo_splits(view: View) -> View:
    """`id iot`: neighbouring fragments that make a harmful word and are not all words themselves."""
    words = list(_LETTERS.finditer(view.text))
    replacements: list[tuple[int, int, str]] = []
    position = 0
    for first, word in enumerate(words):
        if word.start() < position:
            continue
        for last in range(first + 1, min(first + _MAX_FRAGMENTS, len(words))):
            if view.text[words[last - 1].end() : words[last].start()] != " ":
                break
            fragments = view.text[word.start() : words[last].end()].lower().split(" ")
            if lexicon().is_split(fragments):
                position = words[last].end()
                replacements.append((word.start(), position, "".join(fragments)))
                break
    return _replace(view, replacements)


def _undo_spelling(view: View, spell: Callable[[str], str | None]) -> View:
    known: dict[str, list[tuple[int, int, str]]] = {}
    replacements = []
    for start, token in _tokens(view.text):
        # A text that repeats itself is read once, here as by the model.
        if token not in known:
            known[token] = _spell_out(token, spell)
        replacements += [(start + first, start + last, word) for first, last, word in known[token]]
    return _replace(view, replacements)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """What stands between spaces and where; of what is longer than any word, the pieces between its signs."""
    for token in _TOKEN.finditer(text):
        if len(token[0]) <= _MAX_TOKEN:
            yield token.start(), token[0]
        else:
            pieces = _PIECE.finditer(token[0])
            yield from ((token.start() + piece.start(), piece[0]) for piece in pieces if len(piece[0]) <= _MAX_TOKEN)


def _spell_out(token: str, spell: Callable[[str], str | None]) -> list[tuple[int, int, str]]:
    """The parts of a token that are disguised: start, end, and what they stand for."""
    core = token.strip(_EDGES)
    start = token.find(core)
    if lexicon().is_known(core) or _ADDRESS.search(token) or _NUMBER.fullmatch(token):
        return []
    if _PARTS.fullmatch(core):
        return _spell_out_parts(core, start, spell)
    # Signs at an edge may be letters, as in `$h!t` and `(unt`, or enclose: brackets in pairs do.
    pieces = dict.fromkeys((core,) if ")" in token else (core, token.strip(_SENTENCE_MARKS), token))
    found = [(token.find(piece), piece, word) for piece in pieces if (word := spell(piece))]
    found.sort(key=lambda reading: not lexicon().is_harmful(reading[2]))
    # `@alice` and `#1` name somebody or something.
    is_name = token[0] in "@#" and not (found and lexicon().is_harmful(found[0][2]))
    return [] if is_name else [(begin, begin + len(piece), word) for begin, piece, word in found[:1]]


def _spell_out_parts(core: str, start: int, spell: Callable[[str], str | None]) -> list[tuple[int, int, str]]:
    """`i-diot` is one word, `stupid-lookng` are two."""
    parts = list(_LETTERS.finditer(core))
    if lexicon().is_split([part[0].lower() for part in parts]):
        return [(start, start + len(core), "".join(part[0].lower() for part in parts))]
    return [(start + part.start(), start + part.end(), word) for part in parts if (word := spell(part[0])) is not None]


def _replace(view: View, replacements: Sequence[tuple[int, int, str]]) -> View:
    """The view with ranges replaced by words; the ranges are in order and do not overlap.

    The characters of a word are spread evenly over the range that it replaces.
    """
    if not replacements:
        return view
    pieces: list[str] = []
    starts: list[int] = []
    position = 0
    for start, end, word in replacements:
        pieces += [view.text[position:start], word]
        starts.extend(view.starts[position:start])
        starts.extend(view.starts[start + index * (end - start) // len(word)] for index in range(len(word)))
        position = end
    pieces.append(view.text[position:])
    starts.extend(view.starts[position : len(view.text)])
    return View("".join(pieces), [*starts, view.starts[len(view.text)]])
