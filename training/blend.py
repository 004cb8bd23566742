"""Blends: one harmful text among harmless ones, so that a model learns to find abuse in kind company."""

import random
from collections.abc import Sequence

from training.dataset import Row

MAX_CHARACTERS = 450
"""About as many characters of English as fit into a window of 128 tokens."""


def blend(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Make `count` blends of training rows: two of three hold one harmful text, the third is harmless throughout.

    A blend belongs to the categories of its harmful text, and what is unknown of that text stays unknown. Without the
    harmless third, a model would learn that a text of many topics is harmful.
    """
    draw = random.Random(seed)
    harmless = [
        row for row in rows if row.natural and set(row.labels.values()) == {0} and len(row.text) < MAX_CHARACTERS
    ]
    harmful = [row for row in rows if 1 in row.labels.values() and len(row.text) < MAX_CHARACTERS // 3]
    return [_blend(draw.choice(harmless if n % 3 == 0 else harmful), harmless, draw, n) for n in range(count)]


def _blend(seed_row: Row, harmless: Sequence[Row], draw: random.Random, number: int) -> Row:
    texts = [seed_row.text]
    while True:
        company = draw.choice(harmless).text
        if sum(map(len, texts)) + len(company) > MAX_CHARACTERS:
            break
        texts.append(company)
    draw.shuffle(texts)
    return Row(f"blend-{number}", " ".join(texts), seed_row.labels, "blend", "train", natural=False)
