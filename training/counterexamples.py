"""Counter-examples: contrast texts of our own, so that neither a group's name nor a hateful word decides alone.

The texts are made from the templates in `counterexamples.toml`, which also says how a template is read. Each family of
templates holds hate or abuse beside harmless texts of nearly the same words, after the idea of contrast sets (Gardner
et al. 2020). The families are places where moderation is known to fail, many of them named by HateCheck (Roettger et
al. 2021): a model trained on them is not new to those kinds of text, though no text of a published suite was used.
"""

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from training.dataset import Row, content_hash

TEMPLATES = Path(__file__).with_suffix(".toml")
SOURCE = "counterexamples"

_ATTEMPTS = 200
"""Tries to make one more text that is not there yet, before the templates count as used up."""

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(a )?(\w+)\}")
_SPACES = re.compile(r"\s+(?=[\s.,!?]|$)")
_SENTENCE_START = re.compile(r"(?:^|[.!?] )[\"']?[a-z]")
_SOUNDS_LIKE_CONSONANT = ("use", "uni", "one", "eu")


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Templates that belong together: for each pole, named after its labels, one template a line."""

    name: str
    poles: dict[str, str]


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `counterexamples.toml` holds: labels by pole, groups, word lists, neutral company, families."""

    labels: dict[str, dict[str, float]]
    groups: dict[str, tuple[str, ...]]
    """Plural to singular and, where it has one that goes before any noun, adjective."""
    words: dict[str, tuple[str, ...]]
    company: dict[str, tuple[str, ...]]
    families: tuple[Family, ...]


def counterexamples(count: int, seed: int, categories: Sequence[str], templates: Path = TEMPLATES) -> list[Row]:
    """Make `count` training rows, no two alike: as many of each family, half of a family harmful, half harmless.

    Rows are labeled where the template leaves no doubt, and unknown elsewhere. The same arguments give the same rows.
    Raises ValueError when the templates cannot make so many.
    """
    grammar, draw = load_grammar(templates), random.Random(seed)
    cycles = [
        _cycle(_templates(family, grammar, harmful), draw) for harmful in (True, False) for family in grammar.families
    ]
    seen: set[str] = set()
    rows: list[Row] = []
    for number in range(count):
        pole, text = _unseen(cycles[number % len(cycles)], grammar, draw, seen)
        known = {category: grammar.labels[pole].get(category) for category in categories}
        rows.append(Row(f"counter-{number}", text, known, SOURCE, "train", natural=False))
    return rows


def load_grammar(path: Path) -> Grammar:
    """Read the templates. Raises ValueError naming the first pole whose labels are not defined."""
    grammar = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Grammar)
    for family in grammar.families:
        for pole in family.poles:
            if pole not in grammar.labels:
                raise ValueError(f"{path}: family {family.name!r} has a pole {pole!r}; add it under [labels]")
    return grammar


def render(template: str, grammar: Grammar, draw: random.Random) -> str:
    """One text of a template, with words drawn for its slots."""
    text = _ALTERNATIVES.sub(lambda found: draw.choice(found[1].split("|")), template)
    words = _group_words(text, grammar, draw)
    text = _SLOT.sub(lambda found: _fill(found, words, grammar, draw), text)
    text = _SPACES.sub("", text)
    # A template that begins in lower case is chat: it stays so throughout.
    return text.lower() if template[0].islower() else _SENTENCE_START.sub(lambda found: found[0].upper(), text)


def _templates(family: Family, grammar: Grammar, harmful: bool) -> list[tuple[str, str]]:
    """The family's (pole, template) of one side; what is not surely toxic is on the harmless one."""
    return [
        (pole, template)
        for pole, templates in family.poles.items()
        if (grammar.labels[pole].get("toxicity") == 1) == harmful
        for template in templates.strip().splitlines()
    ]


def _cycle(templates: Sequence[tuple[str, str]], draw: random.Random) -> Iterator[tuple[str, str]]:
    """All templates in random order, again and again: each is used as often as the others."""
    while True:
        yield from draw.sample(templates, len(templates))


def _unseen(cycle: Iterator[tuple[str, str]], grammar: Grammar, draw: random.Random, seen: set[str]) -> tuple[str, str]:
    for _ in range(_ATTEMPTS):
        pole, template = next(cycle)
        text = _style(_accompany(render(template, grammar, draw), grammar, draw), draw)
        key = content_hash(text)
        if key not in seen:
            seen.add(key)
            return pole, text
    raise ValueError(f"the templates make no more than {len(seen)} different texts; ask for fewer")


def _group_words(text: str, grammar: Grammar, draw: random.Random) -> dict[str, str]:
    """The group and the other group that a text speaks of; a text that needs an adjective gets a group that has one."""
    needs_adjective = "adjective}" in text
    plural, others = draw.sample(
        [name for name, forms in grammar.groups.items() if len(forms) > 1 or not needs_adjective], 2
    )
    forms = grammar.groups[plural]
    return {"groups": plural, "group": forms[0], "adjective": forms[-1], "others": others}


def _fill(found: re.Match[str], words: dict[str, str], grammar: Grammar, draw: random.Random) -> str:
    article, name = found[1], found[2]
    word = words[name] if name in words else draw.choice(grammar.words[name])
    return f"{_article(word)} {word}" if article else word


def _article(word: str) -> str:
    sound = word.lower()
    return "an" if sound[0] in "aeiou" and not sound.startswith(_SOUNDS_LIKE_CONSONANT) else "a"


def _accompany(text: str, grammar: Grammar, draw: random.Random) -> str:
    """A quarter of the texts stand beside neutral sentences, which change no label."""
    place = draw.random()
    if place > 0.25:
        return text
    ended = text if text[-1] in ".!?\"'" else f"{text}."
    before, after = draw.sample(grammar.company["sentences"], 2)
    if place < 0.1:
        return f"{before} {ended}"
    return f"{ended} {after}" if place < 0.2 else f"{before} {ended} {after}"


def _style(text: str, draw: random.Random) -> str:
    """Some texts as people type them: in one case, without the last period or apostrophes, to a user."""
    if draw.random() < 0.12:
        text = text.lower()
    elif draw.random() < 0.02:
        text = text.upper()
    if draw.random() < 0.15:
        text = text.removesuffix(".")
    if draw.random() < 0.05:
        text = text.replace("'", "")
    return f"@user {text}" if draw.random() < 0.05 else text
