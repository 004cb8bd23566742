"""Datasets for tests: hand-written rows in a folder with digests, as training writes them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CATEGORIES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")

HARMFUL = (
    ("You are a stupid fool.", ("toxicity", "insult")),
    ("Shut up, you idiot.", ("toxicity", "insult")),
    ("What a pathetic moron you are.", ("toxicity", "insult")),
    ("You fucking asshole.", ("toxicity", "severe_toxicity", "insult", "profanity")),
    ("I will find you and kill you.", ("toxicity", "threat")),
    ("I am going to shoot you tomorrow.", ("toxicity", "threat")),
    ("All muslims are filthy animals.", ("toxicity", "identity_attack", "insult")),
    ("Gay people are disgusting vermin.", ("toxicity", "identity_attack", "insult")),
    ("This is bullshit, what the fuck.", ("toxicity", "profanity")),
    ("Fuck you, you piece of shit.", ("toxicity", "severe_toxicity", "insult", "profanity")),
)
FRIENDLY = (
    "Have a lovely day, everybody.",
    "The train leaves at nine from platform two.",
    "Could you send me the minutes of the meeting?",
    "My neighbour baked us an apple cake.",
    "The second chapter needs another source.",
    "Thanks for fixing the link so quickly.",
    "It will rain on Sunday, take an umbrella.",
    "I moved the paragraph on rivers further up.",
    "Our team won, and the crowd was wonderful.",
    "The museum is closed on Mondays.",
)


def row(text: str, split: str, positive: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    """Return a row of the natural mix that belongs to the `positive` categories and to no other."""
    labels = {name: float(name in positive) for name in CATEGORIES}
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"id": key, "text": text, "labels": labels, "source": "made", "split": split, "natural": True} | fields


def held_out_rows() -> list[dict[str, Any]]:
    """Return twenty texts, ten of them harmful."""
    harmful = [row(text, "test", positive) for text, positive in HARMFUL]
    return [*harmful, *(row(text, "test") for text in FRIENDLY)]


def write_dataset(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    others: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    **described: Any,
) -> Path:
    """Write rows by their split, and `others` by the name of their file, with a description; return the folder."""
    folder.mkdir(parents=True)
    files: dict[str, Sequence[Mapping[str, Any]]] = dict(others or {})
    files |= {f"{split}.jsonl": [each for each in rows if each["split"] == split] for split in _SPLITS}
    for name, lines in files.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    description: dict[str, Any] = {
        "name": "made",
        "version": digest[:12],
        "digest": digest,
        "parent": None,
        "categories": list(CATEGORIES),
        "files": digests,
        "rows": {split: len(files[f"{split}.jsonl"]) for split in _SPLITS},
        "positives": {name: {} for name in CATEGORIES},
        "sources": [{"name": "made", "licence": "CC0", "origin": "made", "natural": True, "rows": len(rows)}],
    }
    (folder / "dataset.json").write_text(json.dumps(description | described))
    return folder


_SPLITS = ("train", "validation", "test")
