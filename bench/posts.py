"""The slice of the demonstration: posts of a forum in whose jargon the starter model misses most of the hate.

The sentences are those of de Gibert et al. 2018 (Hate Speech Dataset from a White Supremacy Forum, ALW2) that stand on
their own, without the ones that the model was trained or measured on.
"""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

from bench.people import Post
from training import dataset

FILE = "stormfront_sentences.csv.gz"
CATEGORY = "identity_attack"
TRAFFIC = 3500


def read_posts(data: Path, parent: Path) -> tuple[list[Post], list[Post]]:
    """Return the posts that moderators see, and those that the slice is measured on; nobody corrects the latter.

    `data` holds the public files, `parent` is the dataset of the model in use: its texts are left out. Which post is in
    which list depends on its content alone.
    """
    known = {row.id for split in dataset.SPLITS for row in dataset.load(parent, split)}
    posts = {key: post for key, post in _posts(data / FILE) if key[:16] not in known}
    ordered = [posts[key] for key in sorted(posts)]
    return ordered[:TRAFFIC], ordered[TRAFFIC:]


def _posts(path: Path) -> Iterator[tuple[str, Post]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            stands_alone = row["label"] in ("hate", "noHate") and row["num_contexts"] == "0"
            if stands_alone and any(map(str.isalnum, row["text"])):
                yield dataset.content_hash(row["text"]), _post(row["text"], row["label"] == "hate")


def _post(text: str, is_hate: bool) -> Post:
    # The dataset speaks of hate against groups; a text that is free of it may still be toxic in another way.
    return Post(text, {CATEGORY: True, "toxicity": True} if is_hate else {CATEGORY: False})
