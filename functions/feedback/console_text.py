"""A text as people read it: cut at its highlights, shortened for a list, safe for HTML's line ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from moderato.contracts import Span

EXCERPT_CHARACTERS = 240


@dataclass(frozen=True)
class Piece:
    """A run of a text that the same spans cover; `categories` are theirs, the surest first."""

    text: str
    categories: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Verbatim:
    """HTML that is escaped already; templates ask `__html__` for it, and escape whatever has none."""

    html: str

    def __html__(self) -> str:
        return self.html


def pieces_of(text: str, spans: Sequence[Span]) -> list[Piece]:
    """Cut a text wherever a span begins or ends; the pieces, joined, are the text. Spans may overlap.

    A span that points outside of the text counts as far as it is inside.
    """
    cuts = sorted({0, len(text), *(min(max(at, 0), len(text)) for span in spans for at in (span.start, span.end))})
    return [_piece(text, start, end, spans) for start, end in pairwise(cuts)]


def verbatim(text: str) -> Verbatim:
    """Return a text as HTML of which a browser shows each character, and runs none.

    An HTML parser makes a line feed of a carriage return, and drops NUL:
    https://html.spec.whatwg.org/multipage/parsing.html#preprocessing-the-input-stream.
    """
    return Verbatim(escape(text).replace("\r", "&#13;").replace("\0", "\ufffd"))


def excerpt_of(text: str) -> str:
    """Return the beginning of a text on one line, for a list."""
    beginning = " ".join(text[: 4 * EXCERPT_CHARACTERS].split())
    is_cut = len(beginning) > EXCERPT_CHARACTERS or len(text) > 4 * EXCERPT_CHARACTERS
    return f"{beginning[:EXCERPT_CHARACTERS].rstrip()}…" if is_cut else beginning


def _piece(text: str, start: int, end: int, spans: Sequence[Span]) -> Piece:
    best: dict[str, float] = {}
    for span in spans:
        if span.start <= start and end <= span.end:
            best[span.category] = max(span.score, best.get(span.category, 0.0))
    surest = sorted(best, key=lambda category: -best[category])
    return Piece(text[start:end], tuple(surest), tuple(best[category] for category in surest))
