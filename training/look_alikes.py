"""Writes functions/moderato/look_alikes.py from Unicode's confusables: run it when Unicode has a new version.

`python -m training.look_alikes CONFUSABLES`, where CONFUSABLES is the JSON of the package confusable-homoglyphs 3.3.1.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MODULE = Path(__file__).parents[1] / "functions" / "moderato" / "look_alikes.py"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Unicode names a variant by its letter: LATIN SMALL LETTER L WITH STROKE, NEGATIVE SQUARED LATIN CAPITAL LETTER A.
_SHAPES = "OPEN |REVERSED |TURNED |SCRIPT |DOTLESS |INSULAR |SIDEWAYS |BARRED |INVERTED |REVERSED OPEN "
_NAMES = (
    re.compile(rf"LATIN (SMALL|CAPITAL) LETTER (?:{_SHAPES})?([A-Z])(?: WITH .*)?"),
    re.compile(rf"LATIN LETTER (SMALL) CAPITAL (?:{_SHAPES})?([A-Z])(?: WITH .*)?"),
    re.compile(r"(?:CROSSED )?NEGATIVE (SQUARED|CIRCLED) LATIN CAPITAL LETTER ([A-Z])"),
)

# What people write for a letter that it only resembles; these win over what Unicode says.
_BY_HAND = {
    "b": "вβБбƄЬьъ", "h": "н", "k": "кκĸ", "m": "м", "t": "тτ", "n": "пиηπ", "N": "И", "r": "яг", "R": "Я", "w": "шщω",
    "W": "ШЩ", "e": "эεєξ", "E": "ЄЭΣΞ", "o": "θφσ", "O": "ΘΩ", "c": "ς", "A": "ΛΔ", "u": "μц", "U": "Ц", "x": "χ",
    "z": "ζ", "d": "δð", "p": "þ", "P": "Þ", "v": "ν", "y": "чψ", "Y": "ЧΨ", "I": "ΙІӀⲒ", "l": "ӏǀ∣⏽│",
}  # fmt: skip


def make_table(confusables: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, str]:
    """From each look-alike to its letter; `confusables` gives for a character the ones that it is confused with."""
    table: dict[str, str] = {}
    for letter, other in _pairs(confusables):
        character = unicodedata.normalize("NFKC", other.strip("\u200e\u200f"))
        if len(character) == 1 and not character.isascii():
            table.setdefault(character, letter)
    table |= {other: letter for letter, others in _BY_HAND.items() for other in others}
    for code in range(128, 0x3000):
        parts = unicodedata.normalize("NFD", chr(code))
        if len(parts) > 1 and parts[0] in table and unicodedata.normalize("NFKC", chr(code)) == chr(code):
            table.setdefault(chr(code), table[parts[0]])
    return {other: letter for other, letter in table.items() if _is_wanted(other)}


def _pairs(confusables: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[tuple[str, str]]:
    """(letter, what looks like it), the surest first."""
    for letter in LETTERS:
        yield from ((letter, entry["c"]) for entry in confusables.get(letter, ()))
    for code in range(128, sys.maxunicode + 1):
        named = next(filter(None, (name.fullmatch(unicodedata.name(chr(code), "")) for name in _NAMES)), None)
        if named and unicodedata.normalize("NFD", chr(code)) == chr(code):
            letter = named[2] if named[1] == "CAPITAL" else named[2].lower()
            yield letter, chr(code)
            yield from ((letter, entry["c"]) for entry in confusables.get(chr(code), ()))


def _is_wanted(character: str) -> bool:
    """Marks, currency signs, digits and right-to-left letters mean something of their own."""
    return (
        unicodedata.category(character)[0] in "LPSN"
        and unicodedata.category(character) not in ("Sc", "Nd")
        and unicodedata.bidirectional(character) not in ("R", "AL", "AN")
    )


def main() -> None:
    """Write the table into the module, between its braces."""
    table = make_table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    lines = [f'    "{letter}": "{"".join(sorted(o for o, t in table.items() if t == letter))}",' for letter in LETTERS]
    source = MODULE.read_text(encoding="utf-8")
    begin, end = source.index("{\n") + 2, source.index("}  # fmt: skip")
    MODULE.write_text(source[:begin] + "\n".join(lines) + "\n" + source[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
