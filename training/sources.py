"""Public datasets as canonical rows: each reader says what its source speaks of, and leaves the rest unknown."""

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Labels = dict[str, int | None]
Rows = Iterator[tuple[str, Labels]]

_HARMLESS: Labels = {"toxicity": 0, "severe_toxicity": 0, "identity_attack": 0, "insult": 0, "threat": 0}
_KIND_EMOTIONS = {0, 4, 5, 8, 13, 15, 17, 18, 20, 21}
"""GoEmotions: admiration, approval, caring, desire, excitement, gratitude, joy, love, optimism, pride."""


@dataclass(frozen=True)
class Source:
    """A public dataset: how it is read, where it comes from and under which licence."""

    read: Callable[[Path], Rows]
    origin: str
    licence: str


def _jigsaw(path: Path, natural: bool) -> Rows:
    """Jigsaw 2018, Wikipedia talk pages. Only `contiguous20k` has the natural class mix."""
    columns = {
        "toxicity": "toxic",
        "severe_toxicity": "severe_toxic",
        "identity_attack": "identity_hate",
        "insult": "insult",
        "profanity": "obscene",
        "threat": "threat",
    }
    for row in _table(path / "jigsaw_train.csv.gz"):
        if (row["source"] == "contiguous20k") == natural:
            yield row["comment_text"], {name: _bit(row[column]) for name, column in columns.items()}


def _jigsaw_natural(path: Path) -> Rows:
    return _jigsaw(path, natural=True)


def _jigsaw_more(path: Path) -> Rows:
    """Rows of other samplings, mostly toxic, some lower-cased: safe for an encoder that lower-cases everything."""
    return _jigsaw(path, natural=False)


def _civil_votes(path: Path) -> Rows:
    """Civil Comments that were found toxic, with votes: half of the annotators make a label, none unmake it."""
    columns = {"insult": "insult", "profanity": "obscene", "identity_attack": "identity_attack", "threat": "threat"}
    for row in _table(path / "civil_toxic_spans_votes.csv.gz"):
        annotators = int(row["n_annotators"])
        yield row["comment_text"], {name: _vote(int(row[f"votes_{c}"]), annotators) for name, c in columns.items()}


def _davidson(path: Path) -> Rows:
    """Davidson et al. 2017, tweets found by keywords: hate, offensive (mostly profane) or neither."""
    by_class: Mapping[str, Labels] = {
        "0": {"toxicity": 1, "identity_attack": 1},
        "1": {"toxicity": 1, "identity_attack": 0},
        "2": {"toxicity": 0, "identity_attack": 0, "insult": 0, "threat": 0},
    }
    for row in _table(path / "davidson_labeled_data.csv.gz"):
        yield row["tweet"], by_class[row["class"]]


def _hatexplain(path: Path) -> Rows:
    """HateXplain, tweets and Gab posts: hate, offensive or normal by majority."""
    by_label: Mapping[str, Labels] = {
        "hatespeech": {"toxicity": 1, "identity_attack": 1},
        "offensive": {"toxicity": 1},
        "normal": {"toxicity": 0, "identity_attack": 0, "threat": 0},
    }
    for row in _table(path / "hatexplain_train.csv.gz"):
        if row["label"] in by_label:
            yield row["text"], by_label[row["label"]]


def _hatemojibuild(path: Path) -> Rows:
    """HatemojiBuild: hate written with emoji, and its harmless contrast."""
    for row in _table(path / "hatemojibuild_train.csv.gz"):
        if row["label_gold"] == "1":
            yield row["text"], {"toxicity": 1, "identity_attack": 1}
        else:
            yield row["text"], {"identity_attack": 0}


def _identity_templates(path: Path) -> Rows:
    """Identity terms in harmless and harmful templates: a term alone must not raise a score."""
    for row in _table(path / "identity_templates_en.csv.gz"):
        if row["toxicity"] == "toxic":
            yield row["phrase"], {"toxicity": 1}
        else:
            yield row["phrase"], dict(_HARMLESS)


def _paradetox(path: Path) -> Rows:
    """ParaDetox: toxic sentences and rewrites of the same content without the toxicity."""
    for row in _table(path / "paradetox.csv.gz"):
        yield row["toxic"], {"toxicity": 1}
        yield row["neutral1"], {"toxicity": 0, "profanity": 0, "severe_toxicity": 0}


def _goemotions_kind(path: Path) -> Rows:
    """GoEmotions comments with kind emotions only: harmless, though they may swear."""
    for row in _table(path / "goemotions_train.csv.gz"):
        emotions = {int(emotion) for emotion in row["label_ids"].split(",")}
        if emotions <= _KIND_EMOTIONS:
            yield row["text"], {"severe_toxicity": 0, "identity_attack": 0, "insult": 0, "threat": 0}


def _profanity_words(path: Path) -> Rows:
    """Surge AI's list of profanities: strong and severe ones are profane on their own."""
    for row in _table(path / "profanity_surge_en.csv.gz"):
        if row["severity_description"] in ("Strong", "Severe"):
            yield row["text"], {"profanity": 1}


SOURCES: Mapping[str, Source] = {
    "jigsaw-natural": Source(
        _jigsaw_natural, "Jigsaw Toxic Comment Classification 2018, contiguous sample", "CC0, text CC-BY-SA-3.0"
    ),
    "jigsaw-more": Source(
        _jigsaw_more, "Jigsaw Toxic Comment Classification 2018, other samples", "CC0, text CC-BY-SA-3.0"
    ),
    "civil-votes": Source(_civil_votes, "Civil Comments, annotator votes on toxic comments", "CC0"),
    "davidson": Source(_davidson, "Davidson et al. 2017, hate speech and offensive language", "MIT"),
    "hatexplain": Source(_hatexplain, "HateXplain, Mathew et al. 2021", "MIT / CC-BY-4.0"),
    "hatemojibuild": Source(_hatemojibuild, "HatemojiBuild, Kirk et al. 2022", "CC-BY-4.0"),
    "identity-templates": Source(
        _identity_templates, "Identity phrase templates, English, Dixon et al. 2018", "CC-BY-4.0"
    ),
    "paradetox": Source(_paradetox, "ParaDetox, Logacheva et al. 2022", "CC0"),
    "goemotions-kind": Source(_goemotions_kind, "GoEmotions, Demszky et al. 2020, kind emotions", "Apache-2.0"),
    "profanity-words": Source(_profanity_words, "Surge AI profanity list", "MIT"),
}


def _table(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(10_000_000)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _bit(cell: str) -> int | None:
    return int(float(cell)) if cell in ("0", "1", "0.0", "1.0") else None


def _vote(votes: int, annotators: int) -> int | None:
    if votes == 0:
        return 0
    return 1 if 2 * votes >= annotators else None
