"""Which rows a short retraining reads: all that moderators added, and enough of the others to forget nothing."""

import random
from collections.abc import Sequence

from training.config import TrainKnobs
from training.dataset import FEEDBACK, Row

RARE_SHARE = 0.5
"""Of the replayed rows: what is set apart for positives, the same for each category, so that rare ones are not lost."""


def replay(rows: Sequence[Row], train_knobs: TrainKnobs) -> list[Row]:
    """The rows that a run reads, in the order of the dataset; each that moderators added comes `repeat` times."""
    others = [row for row in rows if row.source != FEEDBACK]
    if train_knobs.replay is not None and train_knobs.replay < len(others):
        others = _some(others, train_knobs.replay, random.Random(train_knobs.seed))
    added = [row for row in rows if row.source == FEEDBACK]
    return [*others, *(row for row in added for _ in range(train_knobs.repeat))]


def _some(rows: Sequence[Row], count: int, draw: random.Random) -> list[Row]:
    """So many of the rows: positives of each category first, the rarest first, then whatever chance draws."""
    order = draw.sample(range(len(rows)), len(rows))
    positives = {name: [index for index in order if (rows[index].labels[name] or 0) >= 0.5] for name in rows[0].labels}
    quota = int(count * RARE_SHARE / max(1, len(positives)))
    chosen: dict[int, None] = {}
    for name in sorted(positives, key=lambda name: len(positives[name])):
        has = sum((rows[index].labels[name] or 0) >= 0.5 for index in chosen)
        fresh = [index for index in positives[name] if index not in chosen]
        chosen.update(dict.fromkeys(fresh[: max(0, quota - has)]))
    chosen.update(dict.fromkeys([index for index in order if index not in chosen][: count - len(chosen)]))
    return [rows[index] for index in sorted(chosen)[:count]]
