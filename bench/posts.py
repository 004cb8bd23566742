"""The slice of the demonstration: comments that swear, kindly or with hostility, told apart by the emotion in them.

"That was fucking awesome, love it" is flagged as toxic by the starter model, since most of its training text comes
from places where swearing is an attack. The comments are those of GoEmotions (Demszky et al. 2020, Apache-2.0) that
swear and whose annotators saw either kind emotions alone (friendly: not toxic) or anger and disgust (toxic), without
the ones that the model was trained or measured on.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from bench.people import Post
from training import dataset

FILES = ("goemotions_train.csv.gz", "goemotions_dev.csv.gz", "goemotions_test.csv.gz")
CATEGORY = "toxicity"

KIND = frozenset({0, 4, 5, 8, 13, 15, 17, 18, 20, 21})
"""admiration, approval, caring, desire, excitement, gratitude, joy, love, optimism, pride."""
HOSTILE = frozenset({2, 11})
"""anger, disgust."""
ANNOYANCE = 3

_SWEARS = re.compile(
    r"\b(?:(?:mother)?fuck|shit|bullshit|damn|goddamn|ass(?:hole|es)?\b|bitch|bastard|dick|crap|hell\b|piss|badass|dumbass"
    r"|cunt|pussy|cock|whore|slut|douche|wtf|lmfao|af\b|stfu|omfg)",
    re.IGNORECASE,
)


def read_posts(data: Path, parent: Path) -> tuple[list[Post], list[Post]]:
    """Return the posts that moderators see, and as many that the slice is measured on; nobody corrects the latter.

    `data` holds the public files, `parent` is the dataset of the model in use: its texts are left out. Which post is in
    which list depends on its content alone.
    """
    known = {row.id for split in dataset.SPLITS for row in dataset.load(parent, split)}
    posts = {key: post for file in FILES for key, post in _posts(data / file) if key[:16] not in known}
    ordered = [posts[key] for key in sorted(posts)]
    return ordered[::2], ordered[1::2]


def _posts(path: Path) -> Iterator[tuple[str, Post]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            is_toxic = _is_toxic({int(number) for number in re.findall(r"\d+", row["label_ids"])})
            if is_toxic is not None and _SWEARS.search(row["text"]):
                yield dataset.content_hash(row["text"]), Post(row["text"], {CATEGORY: is_toxic})


def _is_toxic(emotions: set[int]) -> bool | None:
    if emotions <= KIND:
        return False
    return True if emotions & HOSTILE and emotions <= HOSTILE | {ANNOYANCE} else None
