"""Slices: the held-out texts by length, form and source, where a model may be worse than on the whole."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from moderato.artifact import Manifest, Problem
from moderato.text import fold, normalize
from training.dataset import Row
from training.evaluation import Outcome, Slice, SliceFigures
from training.figures import Flags, Floats, outcome, roc_auc

LENGTHS = (("1 to 50", 50), ("51 to 200", 200), ("201 to 1,000", 1000), ("more than 1,000", None))
"""Names and longest lengths, in characters."""

WHOLE = "all natural texts"

_EMOJI = re.compile("[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
_URL = re.compile(r"https?://|www\.\w", re.IGNORECASE)
_SHOUTED_SHARE = 0.7
_SHOUTED_LETTERS = 8  # "OK" and "USA" are no shouting


def slices(
    manifest: Manifest, rows: Sequence[Row], labels: Floats, scores: Floats, flagged: Flags
) -> tuple[Slice, ...]:
    """The figures of every slice that has texts. By source all rows count, otherwise the natural ones.

    `labels` (1, 0, or NaN where unknown), `scores` and `flagged` are (text, category), in the order of `rows`.
    """
    found = []
    for kind, name, chosen in _chosen(rows):
        if chosen.any():
            found.append(_slice(manifest, kind, name, labels[chosen], scores[chosen], flagged[chosen]))
    return tuple(found)


def length_of(text: str) -> str:
    """The name of the slice of LENGTHS that a text belongs to."""
    return next(name for name, longest in LENGTHS if longest is None or len(text) <= longest)


def is_lower_case(text: str) -> bool:
    """Whether a text has letters and no capital."""
    return text.islower()


def is_shouted(text: str) -> bool:
    """Whether most letters are capitals."""
    cased = [letter for letter in text if letter.isupper() or letter.islower()]
    return len(cased) >= _SHOUTED_LETTERS and sum(map(str.isupper, cased)) >= _SHOUTED_SHARE * len(cased)


def has_emoji(text: str) -> bool:
    """Whether a text has an emoji or a pictogram."""
    return _EMOJI.search(text) is not None


def has_url(text: str) -> bool:
    """Whether a text has a link."""
    return _URL.search(text) is not None


def has_foreign_letters(text: str) -> bool:
    """Whether a text has letters beyond ASCII."""
    return any(letter.isalpha() and not letter.isascii() for letter in text)


def is_disguised(text: str) -> bool:
    """Whether a text has words that read differently when they are folded: `sh1t`, `y o u`."""
    return fold(normalize(text)) is not None


FORMS: dict[str, Callable[[str], bool]] = {
    "lower case only": is_lower_case,
    "shouting": is_shouted,
    "with emoji": has_emoji,
    "with a link": has_url,
    "letters beyond ASCII": has_foreign_letters,
    "disguised words": is_disguised,
}


def _chosen(rows: Sequence[Row]) -> Iterator[tuple[str, str, Flags]]:
    """Kind and name of each slice, and which rows it has."""
    natural = np.array([row.natural for row in rows], dtype=bool)
    yield "all", WHOLE, natural
    lengths = np.array([length_of(row.text) for row in rows])
    for name, _ in LENGTHS:
        yield "length", name, natural & (lengths == name)
    forms = {name: np.array([has(row.text) for row in rows], dtype=bool) for name, has in FORMS.items()}
    for name, has_form in forms.items():
        yield "form", name, natural & has_form
    yield "form", "none of these", natural & ~np.any(list(forms.values()), axis=0)
    sources = np.array([row.source for row in rows])
    for source in sorted(set(sources.tolist())):
        yield "source", source, sources == source


def _slice(manifest: Manifest, kind: str, name: str, labels: Floats, scores: Floats, flagged: Flags) -> Slice:
    categories = {
        category.name: SliceFigures(
            outcome=outcome(labels[:, i], flagged[:, i], category.review or 0.0),
            roc_auc=roc_auc(labels[:, i], scores[:, i]),
        )
        for i, category in enumerate(manifest.categories)
    }
    areas = [each.roc_auc for each in categories.values() if each.roc_auc is not None]
    is_single = manifest.problem is Problem.SINGLE_LABEL
    return Slice(
        kind=kind,
        name=name,
        rows=len(labels),
        mean_roc_auc=round(float(np.mean(areas)), 4) if areas else None,
        accuracy=round(float((flagged & (labels == 1)).sum() / len(labels)), 4) if is_single else None,
        any_category=None if is_single else _any_category(manifest, labels, flagged),
        categories=categories,
    )


def _any_category(manifest: Manifest, labels: Floats, flagged: Flags) -> Outcome:
    """Whether a text is acted upon, against whether anything is known to be wrong with it."""
    acting = [i for i, each in enumerate(manifest.categories) if each.review is not None]
    chosen = acting or list(range(len(manifest.categories)))
    known = labels[:, chosen]
    called: Flags = np.asarray(flagged[:, chosen].any(axis=1))
    wrong = (known == 1).any(axis=1)
    # One category that is known to be 0 proves nothing about the others.
    any_label = np.where(wrong, 1.0, np.where(np.isnan(known).any(axis=1), np.nan, 0.0))
    return outcome(any_label, called, 0.0)
