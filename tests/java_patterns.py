"""Patterns of AWS's service models, which are written in Java's dialect, as Python's regular expressions."""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache

_ASCII: dict[str, str] = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Space": r"\s",
    "Upper": "A-Z",
    "XDigit": "0-9a-fA-F",
}
"""Java's POSIX classes are of ASCII alone."""

_UNICODE: dict[str, Callable[[str], bool]] = {
    "IsAlphabetic": str.isalpha,
    "IsWhitespace": str.isspace,
    "LD": lambda character: unicodedata.category(character)[0] == "L" or unicodedata.category(character) == "Nd",
    "all": lambda _: True,
}

# In the order in which they are tried. Hyphens after a class such as \w are hyphens in Java and a mistake in Python.
_PIECE = re.compile(
    r"(?P<property>\\[pP]\{(?P<name>\w+)\})"
    r"|(?P<surrogates>\\uD800\\uDC00-\\uDBFF\\uDFFF)"
    r"|(?P<end>\\z)"
    r"|(?P<code>\\x\{(?P<digits>[0-9A-Fa-f]+)\})"
    r"|(?P<anchor>\$(?=\{))"
    r"|(?P<escape>\\.)"
    r"|(?P<flag>\(\?[ims]+\))"
    r"|(?P<opening>\[\^?\]?)"
    r"|(?P<closing>\])"
    r"|(?P<intersection>&&)"
    r"|(?P<other>.)",
    re.DOTALL,
)


class UnreadablePattern(ValueError):
    """A pattern uses what Python's regular expressions have no counterpart for."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return Java's pattern as one of Python's.

    Raises:
        UnreadablePattern: it intersects classes, nests them, or changes its flags in the middle.
    """
    try:
        # Java's \d, \w and \s are of ASCII alone.
        return re.compile("".join(_translated(pattern)), re.ASCII)
    except re.error as error:
        raise UnreadablePattern(f"{pattern!r} cannot be read: {error}") from None


def _translated(pattern: str) -> Iterator[str]:
    is_class, follows_class = False, False
    for piece in _PIECE.finditer(pattern):
        kind, text = str(piece.lastgroup), piece[0]
        if kind in ("flag", "intersection") and (is_class or (kind == "flag" and piece.start())):
            raise UnreadablePattern(f"{pattern!r} cannot be read: {text!r} has no counterpart in Python")
        if is_class and kind == "opening":
            raise UnreadablePattern(f"{pattern!r} cannot be read: Python has no classes within classes")
        yield _piece(kind, text, piece["name"] or piece["digits"], is_class, follows_class)
        follows_class = kind == "property" or text in (r"\w", r"\d", r"\s", r"\W", r"\D", r"\S")
        is_class = kind == "opening" or (is_class and kind != "closing")


def _piece(kind: str, text: str, name: str | None, is_class: bool, follows_class: bool) -> str:
    if kind == "property":
        members = _members(str(name), text[1] == "P")
        return members if is_class else f"[{members}]"
    if kind == "surrogates":
        return r"\U00010000-\U0010ffff"
    if kind == "end":
        return r"\Z"
    if kind == "code":
        return f"\\U{int(str(name), 16):08x}"
    if kind == "anchor" and not is_class:
        return "(?:$)"  # SageMaker repeats it (`${1,128}`), which says nothing, and which Python does not take
    if is_class and (text in "|~&" or (text == "-" and follows_class)):
        return "\\" + text
    if text == "." and not is_class:
        return r"[^\n\r\u0085\u2028\u2029]"
    return text


@cache
def _members(name: str, is_complement: bool) -> str:
    """The inside of a class: all characters of a Unicode property, or of a class that Java takes from POSIX."""
    if name in _ASCII and not is_complement:
        return _ASCII[name]
    if name in _ASCII:
        return "".join(_ranges(lambda character: not re.match(f"[{_ASCII[name]}]", character, re.ASCII)))
    has = _UNICODE.get(name) or (lambda character: unicodedata.category(character).startswith(name))
    return "".join(_ranges(lambda character: has(character) is not is_complement))


def _ranges(has: Callable[[str], bool]) -> Iterator[str]:
    start = None
    for number in range(sys.maxunicode + 2):
        is_member = number <= sys.maxunicode and has(chr(number))
        if is_member and start is None:
            start = number
        elif not is_member and start is not None:
            yield f"\\U{start:08x}-\\U{number - 1:08x}"
            start = None
