"""Character tricks: how people disguise words from a filter, to train a model against some and to measure it on all."""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from moderato.text import fold, normalize
from training.dataset import Row

Trick = Callable[[str, random.Random], str]
"""Disguises one word."""

Range = tuple[int, int]
"""Where a word stands in its text, end exclusive."""

MIN_LETTERS = 3
"""Shorter words are not disguised: `I` and `is` carry nothing that anybody would hide."""

MAX_WORDS = 4
"""Words of a training row that are disguised at most."""

MAX_CHARACTERS = 450
"""Words behind this are beyond most windows of 128 tokens, so disguising them would teach nothing."""

TELLING_RATIO = 3.0
"""How many times more frequent in harmful rows than in harmless ones a word is that carries the harm."""

RARE_COUNT = 3
"""Added to both sides of a ratio, so that a word seen once tells nothing."""

TELLING_SHARE = 0.75
"""Share of the augmented rows whose most telling words are disguised; in the others any words are."""

FOLDED_SHARE = 0.5
"""Share of the augmented rows that give their folded view, where there is one: a served model reads both views."""

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’](?=[^\W\d_]))*")
_VOWELS = "aeiouAEIOU"
_STYLES = (
    (0x1D400, 0x1D41A),  # mathematical bold
    (0x1D468, 0x1D482),  # bold italic
    (0x1D4D0, 0x1D4EA),  # bold script
    (0x1D56C, 0x1D586),  # bold fraktur
    (0x1D5A0, 0x1D5BA),  # sans-serif
    (0x1D670, 0x1D68A),  # monospace
    (0xFF21, 0xFF41),  # fullwidth
    (0x24B6, 0x24D0),  # circled
    (0x1F130, 0x1F130),  # squared
    (0x1F170, 0x1F170),  # negative squared
)
_LOOK_ALIKES = {
    "a": "аɑαａᴀ", "b": "ЬｂʙЬ", "c": "сϲᴄⅽ", "d": "ԁⅾᏧ", "e": "еҽ℮ｅ", "f": "ꬵſƒ", "g": "ɡցｇ", "h": "һհｈ",
    "i": "іιɩıⅰ", "j": "јϳｊ", "k": "κкᴋ", "l": "ⅼӏǀ", "m": "ⅿｍм", "n": "ոпｎ", "o": "оοσօ", "p": "рρ⍴", "q": "ԛզｑ",
    "r": "гᴦꭇ", "s": "ѕꜱƽ", "t": "τтｔ", "u": "υսʋ", "v": "ѵνⅴ", "w": "ԝшѡ", "x": "хⅹ×", "y": "уγү", "z": "ᴢｚʐ",
    "A": "АΑᎪ", "B": "ВΒᏴ", "C": "СϹᏟ", "D": "ᎠꓓＤ", "E": "ЕΕᎬ", "F": "ϜꓝＦ", "G": "ԌᏀꓖ", "H": "НΗᎻ", "I": "ІΙӀ",
    "J": "ЈᎫͿ", "K": "КΚᏦ", "L": "ᏞⅬꓡ", "M": "МΜᎷ", "N": "ΝꓠＮ", "O": "ОΟՕ", "P": "РΡᏢ", "Q": "ＱⵕԚ", "R": "ᎡᏒꓣ",
    "S": "ЅՏᏚ", "T": "ТΤᎢ", "U": "ՍꓴＵ", "V": "ѴⅤꓦ", "W": "ԜᎳꓪ", "X": "ХΧⅩ", "Y": "ҮΥᎩ", "Z": "ΖᏃꓜ",
}  # fmt: skip
_ZERO_WIDTH = "\u200b\u200c\u200d\u00ad\u2060\ufeff"
_LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7", "z": "2"}
_RARE_LEET = {
    "a": ("/\\", "^", "4"), "b": ("|3", "6"), "c": ("(", "<", "¢"), "d": ("|)",), "e": ("€", "&", "3"), "f": ("ph",),
    "g": ("6", "9"), "h": ("#", "|-|"), "i": ("|", "¡", "1"), "k": ("|<",), "l": ("|", "£"), "n": ("|\\|",),
    "o": ("()", "0"), "s": ("z", "§", "5"), "t": ("+", "†", "7"), "u": ("v", "µ", "|_|"), "v": ("\\/",), "w": ("vv",),
    "x": ("%", "><"), "y": ("¥",),
}  # fmt: skip
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SOUNDS = (
    ("ck", "k"), ("ck", "kk"), ("c", "k"), ("f", "ph"), ("ph", "f"), ("s", "z"), ("er", "a"), ("x", "ks"), ("oo", "u"),
    ("u", "oo"), ("i", "ee"), ("i", "y"), ("y", "i"), ("ee", "i"), ("ou", "u"), ("a", "u"),
)  # fmt: skip


def _look_alikes(word: str, draw: random.Random) -> str:
    return _exchange(word, _LOOK_ALIKES, draw)


def _styles(word: str, draw: random.Random) -> str:
    upper, lower = draw.choice(_STYLES)
    return "".join(
        chr((upper if letter.isupper() else lower) + ord(letter.lower()) - ord("a")) if _is_latin(letter) else letter
        for letter in word
    )


def _accents(word: str, draw: random.Random) -> str:
    most = draw.choice((1, 2, 12))
    return "".join(
        letter + "".join(chr(draw.randrange(0x300, 0x34F)) for _ in range(draw.randint(most // 3, most)))
        for letter in word
    )


def _zero_width(word: str, draw: random.Random) -> str:
    at_all = draw.random() < 0.5
    return _between(word, lambda: draw.choice(_ZERO_WIDTH), range(1, len(word)) if at_all else _inside(word, draw))


def _leet(word: str, draw: random.Random) -> str:
    return _exchange(word, _LEET, draw)


def _rare_leet(word: str, draw: random.Random) -> str:
    return _exchange(word, _RARE_LEET, draw)


def _spacing(word: str, draw: random.Random) -> str:
    return draw.choice((" ", " ", ".", "-", "_", "*", "  ", "/", "~", "|")).join(word)


def _split(word: str, draw: random.Random) -> str:
    return _between(word, lambda: draw.choice((" ", " ", ".", "-", "_", "'")), _inside(word, draw))


def _repeats(word: str, draw: random.Random) -> str:
    positions = set(draw.sample(range(len(word)), min(len(word), draw.randint(1, 2))))
    everywhere = draw.random() < 0.2
    return "".join(
        letter * (draw.randint(2, 6) if everywhere or index in positions else 1) for index, letter in enumerate(word)
    )


def _case(word: str, draw: random.Random) -> str:
    kind = draw.choice(("upper", "lower", "random", "alternating"))
    if kind == "upper":
        return word.upper()
    if kind == "lower":
        return word.lower()
    return "".join(
        letter.upper() if (draw.random() < 0.5 if kind == "random" else index % 2) else letter.lower()
        for index, letter in enumerate(word)
    )


def _stars(word: str, draw: random.Random) -> str:
    """`f*ck`, `f**k`, `f***`, `sh#t`."""
    sign = draw.choice("****#.-_%@!")
    vowels = [index for index in range(1, len(word)) if word[index] in _VOWELS]
    hidden = draw.choice((vowels, vowels[:1], [draw.randrange(1, len(word))], range(1, len(word) - 1)))
    if draw.random() < 0.1:
        hidden = range(1, len(word))
    return "".join(sign if index in (hidden or [1]) else letter for index, letter in enumerate(word))


def _no_vowels(word: str, draw: random.Random) -> str:  # noqa: ARG001  # there is one way to do it
    return word[0] + "".join(letter for letter in word[1:] if letter not in _VOWELS)


def _swapped(word: str, draw: random.Random) -> str:
    places = [index for index in range(len(word) - 1) if word[index].lower() != word[index + 1].lower()]
    if not places:
        return word
    place = draw.choice(places[1:] or places)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _dropped(word: str, draw: random.Random) -> str:
    place = draw.randrange(1, len(word))
    return word[:place] + word[place + 1 :]


def _neighbours(word: str, draw: random.Random) -> str:
    """A slip to the next key."""
    place = draw.randrange(len(word))
    row = next((row for row in _KEYBOARD if word[place].lower() in row), "")
    at = row.find(word[place].lower())
    beside = [row[index] for index in (at - 1, at + 1) if row and 0 <= index < len(row)]
    return word[:place] + draw.choice(beside) + word[place + 1 :] if beside else word


def _doubled(word: str, draw: random.Random) -> str:
    place = draw.randrange(len(word))
    return word[:place] + word[place] + word[place:]


def _sounds(word: str, draw: random.Random) -> str:
    """`phuck`, `azz`, `biatch`: written as it sounds."""
    fitting = [(old, new) for old, new in _SOUNDS if old in word.lower()]
    if not fitting:
        return word
    old, new = draw.choice(fitting)
    return re.sub(old, new, word, count=1, flags=re.IGNORECASE)


def _joined(phrase: str, draw: random.Random) -> str:  # noqa: ARG001  # there is one way to do it
    return "".join(phrase.split())


TRICKS: Mapping[str, Trick] = {
    "look-alikes": _look_alikes,
    "styles": _styles,
    "accents": _accents,
    "zero-width": _zero_width,
    "leet": _leet,
    "rare leet": _rare_leet,
    "spacing": _spacing,
    "split": _split,
    "repeats": _repeats,
    "case": _case,
    "stars": _stars,
    "no vowels": _no_vowels,
    "swapped": _swapped,
    "dropped": _dropped,
    "doubled": _doubled,
    "neighbours": _neighbours,
    "sounds": _sounds,
    "joined": _joined,
}
"""Families of tricks by name. All but `joined` disguise a word; `joined` gets the word with the one before it."""

TRAINED = frozenset({"leet", "spacing", "split", "repeats", "stars", "swapped", "dropped", "doubled", "joined"})
"""Families that training rows are disguised by. The others are unseen: a model is measured on them, never trained."""


def disguise(text: str, trick: str, draw: random.Random, words: Sequence[Range]) -> str:
    """The text with the given words disguised by one family of tricks. Words are ranges as `find_words` gives them."""
    pieces: list[str] = []
    position = 0
    for start, end in sorted(words):
        begin = max(position, _phrase_start(text, start)) if trick == "joined" else start
        pieces += [text[position:begin], TRICKS[trick](text[begin:end], draw)]
        position = end
    return "".join([*pieces, text[position:]])


def find_words(text: str) -> list[Range]:
    """The words that somebody might disguise: runs of at least `MIN_LETTERS` letters."""
    return [match.span() for match in _WORD.finditer(text) if len(match[0]) >= MIN_LETTERS]


def augment(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """Copies of a share of the rows, with the rows' labels, in which one to four words are disguised.

    Harmful and harmless rows are disguised alike, so that disguise is no sign of harm. Mostly the words are chosen that
    tell harmful rows from harmless ones, which is counted in the rows themselves. `share` may exceed 1.
    """
    draw = random.Random(seed)
    ratios = telling_ratios(rows)
    whole, rest = divmod(round(share * len(rows)), max(len(rows), 1))
    chosen = [row for _ in range(whole) for row in rows] + draw.sample(rows, rest)
    families = sorted(TRAINED)
    disguised = (
        (row, _as_served(_disguise_some(row.text, draw.choice(families), draw, ratios), draw)) for row in chosen
    )
    return [
        replace(row, id=f"trick-{number}", text=text, source="trick", natural=False)
        for number, (row, text) in enumerate(disguised)
        if text != row.text
    ]


def telling_ratios(rows: Sequence[Row]) -> dict[str, float]:
    """For each word, how many times more frequent it is in harmful rows than in harmless ones.

    A row is harmful when any label is at least 0.5, and harmless when those that are known are all lower.
    """
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    totals: Counter[bool] = Counter()
    for row in rows:
        known = [label for label in row.labels.values() if label is not None]
        if known:
            is_harmful = max(known) >= 0.5
            totals[is_harmful] += 1
            counts[is_harmful].update({row.text[start:end].lower() for start, end in find_words(row.text)})
    if not totals[False]:
        return {}
    scale = totals[True] / totals[False]  # what a count among the harmless would be among the harmful
    return {word: (n + RARE_COUNT) / (counts[False][word] * scale + RARE_COUNT) for word, n in counts[True].items()}


def _disguise_some(text: str, trick: str, draw: random.Random, ratios: Mapping[str, float]) -> str:
    """One to four words disguised: the most telling ones first, or any."""
    words = [word for word in find_words(text) if word[1] <= MAX_CHARACTERS]
    draw.shuffle(words)
    if draw.random() < TELLING_SHARE:
        words.sort(key=lambda word: -_telling(text[slice(*word)], ratios))
    return disguise(text, trick, draw, words[: draw.randint(1, MAX_WORDS)])


def _telling(word: str, ratios: Mapping[str, float]) -> float:
    """A word's ratio where it is telling; all others are alike, so that chance decides among them."""
    ratio = ratios.get(word.lower(), 1.0)
    return ratio if ratio >= TELLING_RATIO else 1.0


def _as_served(text: str, draw: random.Random) -> str:
    if draw.random() >= FOLDED_SHARE:
        return text
    folded = fold(normalize(text))
    return text if folded is None else folded.text


def _exchange(word: str, table: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    """Some of the letters that the table has, at least one, exchanged for what it says."""
    places = [index for index, letter in enumerate(word) if _look_up(table, letter)]
    if not places:
        return word
    chosen = set(draw.sample(places, draw.randint(1, len(places))))
    return "".join(
        draw.choice(_look_up(table, letter)) if index in chosen else letter for index, letter in enumerate(word)
    )


def _look_up(table: Mapping[str, Sequence[str]], letter: str) -> Sequence[str]:
    return table.get(letter) or table.get(letter.lower(), ())


def _is_latin(letter: str) -> bool:
    return letter.isascii() and letter.isalpha()


def _inside(word: str, draw: random.Random) -> Sequence[int]:
    return [draw.randrange(1, len(word))]


def _between(word: str, sign: Callable[[], str], places: Sequence[int]) -> str:
    """The word with a sign before each of the given places."""
    return "".join((sign() if index in places else "") + letter for index, letter in enumerate(word))


def _phrase_start(text: str, start: int) -> int:
    """Where the word before the one at `start` begins; `start` itself when there is none right before it."""
    match = re.search(r"\w+\s+\Z", text[max(0, start - 40) : start])
    return start - len(match[0]) if match else start
