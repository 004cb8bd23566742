"""Spelling: which plain word a disguised one stands for, by a list of words that people know."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

MAX_WORD_CHARACTERS = 40
"""A longer run is no word that anybody disguised; reading it would only cost time."""

MAX_READINGS = 8
"""Signs like `1` are read both as i and as l; a word with many of them is read all one way or all the other."""

MIN_HARMFUL_LETTERS = 4
"""Harmful words with fewer letters are found as they are, never by a slip: too many innocent words are near them."""

MIN_READ_LETTERS = 3
"""Shorter words are not sought behind signs: `x2`, `:-D` and `4u` stand for themselves."""

MAX_CUT_LETTERS = 1_000
"""A longer run of single letters is joined, not cut into words."""

MAX_LETTERS = 20
"""Letters of a word at most, where letters are cut into words."""

STARRED = 1_500
"""Only harmful words as frequent as this are guessed from their first letter and their length."""

HOLDING = 150
"""How many of the most frequent words hold sentences together: `a`, `is`, `of`."""

CORRECTED = 400
"""How many of the most frequent words are corrected in a text that hides a word."""

COMMON = 3_000
"""Only the most frequent words are taken for a neighbour that a harmful word was joined with."""

# What a sign stands for, the likelier letter first. Two signs that look like one letter come first of all.
_PAIRS = {
    "|3": "b", "|)": "d", "|-|": "h", "|<": "k", "|\\|": "n", "|_|": "u", "\\/": "v", "/\\": "a", "()": "o", "><": "x",
    "|=": "f", "|_": "l", "[)": "d", "]-[": "h", "/-/": "h", "/V\\": "m", "|V|": "m", "\\/\\/": "w", "vv": "w",
}  # fmt: skip
_SIGNS = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g", "@": "a",
    "$": "s", "!": "il", "|": "il", "+": "t", "#": "h", "%": "x", "(": "c", "<": "c", "[": "c", "{": "c", "^": "a",
    "&": "e", "€": "e", "£": "l", "¥": "y", "¢": "c", "§": "s", "µ": "u", "μ": "u", "†": "t", "‡": "t", "¡": "i",
    "°": "o", "*": "", "¿": "", "ß": "b", "×": "x", "¶": "p", "®": "r", "©": "c", "ƒ": "f", "¦": "i", "/": "", "\\": "",
    "-": "", "_": "", ".": "", "~": "", ",": "", ":": "", ";": "", "'": "", "’": "", "=": "", '"': "", "`": "", "?": "",
    ")": "", "]": "", "}": "", ">": "", "·": "", "•": "", "´": "",
}  # fmt: skip
_PAIR = re.compile("|".join(re.escape(pair) for pair in sorted(_PAIRS, key=len, reverse=True)))
_RUN = re.compile(r"(.)\1*")
_BLANKS = frozenset("*#%@$!?_.-~+&^=")
_LETTER_SIGNS = frozenset("@$!")
_LONG_RUN = re.compile(r"([^\W\d_])\1{3,}")
_DOUBLED = re.compile(r"\b[a-z]*?([a-z])\1[a-z]*")
_CODE = re.compile(r"[a-z]{1,3}-?\d+")
_SOUNDS = (
    ("ph", "f"), ("ck", "k"), ("x", "ks"), ("qu", "k"), ("q", "k"), ("c", "k"), ("z", "s"), ("ee", "i"), ("ie", "i"),
    ("ea", "i"), ("oo", "u"), ("ou", "u"), ("y", "i"), ("v", "u"),
)  # fmt: skip
_ENDINGS = frozenset(("ll", "re", "ve"))
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True)
class Lexicon:
    """Words that people know, and the harmful ones among them, which alone are looked for behind slips and stars."""

    ranks: Mapping[str, int]
    """Every word with its rank by frequency, 0 the most frequent."""
    harmful: frozenset[str]
    by_first: Mapping[str, Sequence[str]]
    """The harmful words by their first letter."""
    squeezed: Mapping[str, Sequence[str]]
    """The words with doubled letters that, runs made single, are the key."""
    slips: Mapping[str, str]
    """Misspellings of harmful words that are no words themselves."""
    common_slips: Mapping[str, str]
    """The same of the most frequent words."""
    sounds: Mapping[str, str]
    """How harmful words sound."""

    def spell_out(self, token: str) -> str | None:
        """The word or words that a token without spaces stands for, in lower case; None when it is what it seems."""
        lower = _LONG_RUN.sub(r"\1\1\1", token.lower())
        if lower in self.ranks or len(lower) > MAX_WORD_CHARACTERS or not _may_hide(lower):
            return None
        if lower.isalpha():
            return self._among_letters(lower)
        return self._among_signs(lower)

    def correct(self, token: str) -> str | None:
        """The common word that a token misspells; None when it is spelled as it should be."""
        word = token.lower()
        return None if word in self.ranks or len(word) < MIN_READ_LETTERS else self.common_slips.get(word)

    def fill_in(self, token: str) -> str | None:
        """The harmful word whose letters are hidden by signs, one by one: `f*ck`, `sh#t`, `b****`."""
        pattern = ["" if sign in _BLANKS else sign for sign in token.lower()]
        shown = "".join(pattern)
        if len(shown) == len(token) or not shown.isalpha() or not pattern[0]:
            return None
        rarest = STARRED if len(shown) == 1 else len(self.ranks)
        for word in self.by_first.get(pattern[0], ()):
            if self.ranks[word] < rarest and _fits(word, pattern):
                return word
        return None

    def cut(self, letters: str) -> Sequence[int] | None:
        """Where the words end that the letters make up: the fewest and most frequent; None where they make none."""
        alone = letters if letters in self.ranks or len(letters) > MAX_CUT_LETTERS else self.spell_out(letters)
        if alone and " " not in alone:
            return [len(letters)]
        best: list[tuple[int, int, int] | None] = [(0, 0, 0)]  # words, sum of their ranks, where the last one begins
        for end in range(1, len(letters) + 1):
            options = [
                (before[0] + 1, before[1] + self.ranks[letters[start:end]], start)
                for start in range(max(0, end - MAX_LETTERS), end)
                if (before := best[start]) is not None and self._is_building_block(letters[start:end])
            ]
            best.append(min(options, default=None))
        ends: list[int] = []
        end = len(letters)
        while end and (last := best[end]):
            ends.append(end)
            end = last[2]
        return ends[::-1] or None

    def is_known(self, word: str) -> bool:
        """Whether it is a word that people know, whatever its case."""
        return word.lower() in self.ranks

    def is_frequent(self, word: str) -> bool:
        """Whether it is one of the words that hold sentences together."""
        return self.ranks.get(word.lower(), COMMON) < HOLDING

    def is_harmful(self, letters: str) -> bool:
        """Whether the letters are one harmful word, disguised or not."""
        return letters.lower() in self.harmful or (self.spell_out(letters) or "") in self.harmful

    def is_split(self, fragments: Sequence[str]) -> bool:
        """Whether the fragments are one word together, and what they are alone is not said more often."""
        word = "".join(fragments)
        if len(word) < MIN_HARMFUL_LETTERS or word not in self.ranks:
            return False
        if word in self.harmful:
            return not all(self._is_common(fragment) for fragment in fragments)
        return any(
            len(fragment) > 1 and fragment not in self.ranks and fragment not in _ENDINGS for fragment in fragments
        )

    def _among_letters(self, word: str) -> str | None:
        return self._stretched(word) or self._slip(word) or self._joined(word)

    def _among_signs(self, token: str) -> str | None:
        word = self._read(token)
        is_sure = word in self.harmful or len(word or "") == len(token)
        if word and is_sure and _LETTER_SIGNS.issuperset(_BLANKS.intersection(token)):
            return word
        return self.fill_in(token) or word or (None if _CODE.fullmatch(token) else self._slipped(token))

    def _read(self, token: str) -> str | None:
        """`1d10t`: the best word among those that the signs may spell."""
        found = {
            word for reading in _readings(token) if (word := self._best(reading)) and len(word) >= MIN_READ_LETTERS
        }
        if _CODE.fullmatch(token) or any(_SIGNS.get(character) == "" for character in token):
            found &= self.harmful
        return min(found, key=self._order, default=None)

    def _slipped(self, token: str) -> str | None:
        for reading in _readings(token):
            found = self._slip(reading) or self._joined(reading)
            if found:
                return found
        return None

    def _slip(self, word: str) -> str | None:
        if len(word) < MIN_READ_LETTERS or word in self.ranks:
            return None
        sounding = self.sounds.get(_sound(word))
        return self.slips.get(word) or (sounding if sounding and abs(len(sounding) - len(word)) < 2 else None)

    def _stretched(self, word: str) -> str | None:
        """`loooser`; a word with a doubled letter only, such as a name, must be harmful to be taken for another."""
        longest = max(len(run[0]) for run in _RUN.finditer(word))
        found = self._best(word) if longest > 1 else None
        return found if found and (longest > 2 or found in self.harmful) else None

    def _best(self, word: str) -> str | None:
        """The best known word that the given one is, or stretches."""
        if word in self.ranks:
            return word
        runs = [len(run[0]) for run in _RUN.finditer(word)]
        fitting = [
            other
            for other in self.squeezed_to(_squeeze(word))
            if all(len(run[0]) <= most for run, most in zip(_RUN.finditer(other), runs, strict=True))
        ]
        return min(fitting, key=self._order, default=None)

    def squeezed_to(self, key: str) -> Sequence[str]:
        """The words that are the key when their runs of letters are made single."""
        return [*([key] if key in self.ranks else []), *self.squeezed.get(key, ())]

    def _order(self, word: str) -> tuple[bool, int]:
        return word not in self.harmful, self.ranks[word]

    def _joined(self, word: str) -> str | None:
        """`youidiot`: a harmful word with known words before or behind it."""
        for cut in range(2, len(word) - 1):
            before, behind = word[:cut], word[cut:]
            if (before in self.harmful and self._is_common(behind)) or (
                behind in self.harmful and self._is_common(before)
            ):
                return f"{before} {behind}"
        return None

    def _is_building_block(self, word: str) -> bool:
        """Of the words with one or two letters only those that hold sentences together."""
        return self.is_frequent(word) if len(word) < MIN_READ_LETTERS else word in self.ranks

    def _is_common(self, word: str) -> bool:
        return self.ranks.get(word, COMMON) < COMMON


@cache
def lexicon() -> Lexicon:
    """The lexicon that comes with this release. Read when the first text is folded, then kept."""
    folder = Path(__file__).parent
    words = (folder / "words.txt").read_text(encoding="ascii").split()
    harmful = (folder / "harmful_words.txt").read_text(encoding="ascii").split()
    return make_lexicon(words, harmful)


def make_lexicon(words: Sequence[str], harmful: Sequence[str]) -> Lexicon:
    """A lexicon of words in order of frequency; harmful ones, also in that order, need not be among them."""
    ranks = {word: rank for rank, word in enumerate(dict.fromkeys([*words, *harmful]))}
    squeezed: dict[str, list[str]] = {}
    # One search over all words: squeezing each of them would cost 130 ms of a cold start instead of 10.
    for match in _DOUBLED.finditer(" ".join(ranks)):
        squeezed.setdefault(_squeeze(match[0]), []).append(match[0])
    by_first: dict[str, list[str]] = {}
    for word in harmful:
        by_first.setdefault(word[0], []).append(word)
    sounds: dict[str, str] = {}
    for word in harmful:
        sounds.setdefault(_sound(word), word)
    slips = _slips_of([word for word in harmful if len(word) >= MIN_HARMFUL_LETTERS], ranks)
    common_slips = _slips_of([word for word in words[:CORRECTED] if len(word) >= MIN_READ_LETTERS], ranks)
    return Lexicon(ranks, frozenset(harmful), by_first, squeezed, slips, common_slips, sounds)


def is_near_miss(known: Lexicon, word: str) -> bool:
    """Whether a word would be taken for a slip of a harmful one, were it not known itself."""
    return (
        word in known.slips
        or _sound(word) in known.sounds
        or not known.harmful.isdisjoint(known.squeezed_to(_squeeze(word)))
    )


def _slips_of(words: Iterable[str], known: Container[str]) -> dict[str, str]:
    """The misspellings that are no words themselves, and the first word that each may stand for."""
    slips: dict[str, str] = {}
    for word in words:
        for slip in _slips(word):
            if slip not in known:
                slips.setdefault(slip, word)
    return slips


def _fits(word: str, pattern: Sequence[str]) -> bool:
    return len(word) == len(pattern) and all(shown in ("", letter) for letter, shown in zip(word, pattern, strict=True))


def _may_hide(token: str) -> bool:
    return len(token) >= MIN_READ_LETTERS and (
        any(letter.isalpha() for letter in token) or _PAIR.search(token) is not None
    )


def _readings(token: str) -> Iterator[str]:
    """What a token may say when its signs are read as letters, the likeliest reading first."""
    token = _PAIR.sub(lambda pair: _PAIRS[pair[0]], token)
    choices = [_SIGNS.get(character, character) or ("",) for character in token]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_READINGS:
        yield "".join(choice[0] for choice in choices)
        yield "".join(choice[-1] for choice in choices)
        return
    for letters in product(*choices):
        yield "".join(letters)


def _squeeze(word: str) -> str:
    return "".join(letter for letter, before in zip(word, " " + word, strict=False) if letter != before)


def _sound(word: str) -> str:
    for old, new in _SOUNDS:
        word = word.replace(old, new)
    return _squeeze(word)


def _slips(word: str) -> Iterator[str]:
    """One letter left out, two swapped, or one hit beside its key; vowels left out altogether."""
    yield word[0] + "".join(letter for letter in word[1:] if letter not in "aeiou")
    for place in range(len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    for place in range(1, len(word) - (len(word) == MIN_HARMFUL_LETTERS)):
        yield word[:place] + word[place + 1 :]
    if len(word) >= MIN_HARMFUL_LETTERS:
        for place, letter in enumerate(word):
            for beside in _beside(letter):
                yield word[:place] + beside + word[place + 1 :]


def _beside(letter: str) -> str:
    row = next(row for row in _KEYBOARD if letter in row)
    at = row.index(letter)
    return row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
