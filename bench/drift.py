"""Drift measured: how often texts of the same kind alarm, and whether those of other platforms do.

    PYTHONPATH=functions:. DATA_DIR=../shared/data .venv/bin/python -m bench.drift [--dataset build/starter/dataset]

The dataset is the one that the model was trained on: `make train RECIPE=starter` leaves it, and `python -m training
dataset starter` makes it alone. Its held-out natural texts are the same distribution; other platforms are public files.
A first run scores 80,000 texts in a quarter of an hour on two cores, and keeps their scores beside the dataset.
"""

import argparse
import csv
import gzip
import json
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

from moderato.artifact import Reference
from moderato.drift import FEWEST_TEXTS, Observation, compare, describe
from moderato.policy import decide, default_policy
from moderato.scorer import Scorer

SAME_KIND = "Wikipedia comments, another file"
PLATFORMS = {
    SAME_KIND: ("perspective_2k_scores", "comment_text"),
    "Reddit": ("goemotions_train", "text"),
    "Twitter": ("related_av_twitter_hate_train", "tweet"),
    "Twitter, political": ("olid_train", "tweet"),
    "Twitter, by a list of slurs": ("davidson_labeled_data", "tweet"),
    "Twitter and Gab": ("hatexplain_train", "text"),
    "Reddit and Gab, sexism": ("edos", "text"),
    "Stormfront, a forum": ("stormfront_sentences", "text"),
    "news comments, toxic ones": ("civil_toxic_spans_votes", "comment_text"),
    "text messages": ("sms_spam", "text"),
    "talk with a chatbot": ("convabuse_train", "user"),
    "headlines": ("related_covid_fake_news_headlines", "title"),
    "polite rewrites of toxic posts": ("paradetox", "neutral1"),
    "hate written for a test": ("dynahate_valid", "text"),
    "emoji hate written for a test": ("hatemojibuild_train", "text"),
}
"""By what texts are, their file and its column. The first are of the kind that the model was measured on."""

SPLITS = ("validation", "test")
TEXTS = 5_000
REDRAWS = 100
SEED = 20
SAMPLED = 0.01
"""With which probability an allowed text is kept, as by default."""

console = Console()

Texts = Sequence[Observation]


def main() -> int:
    """Measure as the command line says; exit status 1 where texts of the same kind alarm at 5,000, or others do not."""
    options = _options()
    scorer = Scorer.load(options.model)
    if scorer.manifest.reference is None:
        sys.exit(f"{options.model} has no reference: name a model that has one")
    scores = Scores(scorer, options.scores or options.dataset.with_name("drift-scores"))
    validation, test = (scores.of(f"held-out-{each}", _held_out(options.dataset, each)) for each in SPLITS)
    platforms = {
        name: scores.of(file, _texts(options.data / f"{file}.csv.gz", column))
        for name, (file, column) in PLATFORMS.items()
    }
    same = Same(scorer.manifest.reference, scorer.manifest.category_names, validation, test, random.Random(SEED))
    alarms = _tell_same(same, options.draws)
    silent = _tell_platforms(scorer.manifest.reference, platforms)
    return 1 if alarms or silent else 0


class Scores:
    """Scores of texts, made once; no text is kept with them."""

    def __init__(self, scorer: Scorer, folder: Path) -> None:
        self._scorer, self._policy = scorer, default_policy(scorer.manifest)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, name: str, texts: Iterator[str]) -> Texts:
        """Return what the model says of texts, from the folder if it was asked before."""
        path = self._folder / f"{name}-{self._scorer.manifest.files['model.onnx'].sha256[:12]}.json"
        if not path.is_file():
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                scored = list(track(threads.map(self._scorer.score, list(texts)), f"scoring {name}", console=console))
            path.write_text(json.dumps([dict(one.scores) for one in scored]))
        return [self._observe(scores) for scores in json.loads(path.read_text())]

    def _observe(self, scores: Mapping[str, float]) -> Observation:
        return Observation(scores, frozenset(reason.category for reason in decide(scores, self._policy).reasons))


class Same:
    """Pairs of a reference and recent texts of the same distribution: held-out texts of one natural source."""

    def __init__(
        self, reference: Reference, categories: Sequence[str], validation: Texts, test: Texts, chance: random.Random
    ) -> None:
        self._reference, self._categories = reference, categories
        self._validation, self._all, self._chance = validation, [*validation, *test], chance

    def shipped(self, count: int) -> tuple[Reference, Texts]:
        """The model's own reference, and texts of validation, which it was not taken on; drawn with replacement."""
        return self._reference, self._chance.choices(self._validation, k=count)

    def split(self, count: int) -> tuple[Reference, Texts]:
        """All held-out texts at random: so many are recent, the reference is taken anew on the rest."""
        shuffled = self._chance.sample(self._all, len(self._all))
        return describe(shuffled[count:], self._categories, []), shuffled[:count]

    def kept(self, count: int) -> tuple[Reference, Texts]:
        """So many texts, of which the flagged and a hundredth of the allowed ones are kept, as by default."""
        drawn = self._chance.choices(self._all, k=count)
        kept = [one for one in drawn if one.flagged or self._chance.random() < SAMPLED]
        return self._reference, [one if one.flagged else replace(one, weight=1 / SAMPLED) for one in kept]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("DATA_DIR")
    parser.add_argument("--data", type=Path, default=data, required=data is None, help="the folder of the public files")
    parser.add_argument("--model", type=Path, default=Path("models/starter"), help="the model that scores")
    parser.add_argument("--dataset", type=Path, default=Path("build/starter/dataset"), help="what it was trained on")
    parser.add_argument("--scores", type=Path, help="where scores are kept; by default beside the dataset")
    parser.add_argument("--draws", type=int, default=1_000, help="how often texts of the same kind are drawn")
    return parser.parse_args()


def _held_out(dataset: Path, split: str) -> Iterator[str]:
    with (dataset / f"{split}.jsonl").open(encoding="utf-8") as file:
        yield from (row["text"] for row in map(json.loads, file) if row["natural"])


def _texts(path: Path, column: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        texts = [row[column] for row in csv.DictReader(file) if row[column] and row[column].strip()]
    random.Random(SEED).shuffle(texts)
    return islice(texts, TEXTS)


def _tell_same(same: Same, draws: int) -> int:
    """Print how often texts of the same distribution alarm; return how often 5,000 of them did."""
    table = Table("reference", "recent texts", "draws", "too few", "alarms", "median PSI", "largest PSI")
    at_full_size = 0
    for what, draw, counts in (
        ("as shipped", same.shipped, (100, 200, 500, 1_000, TEXTS)),
        ("the rest of the held-out texts", same.split, (1_000, TEXTS)),
        (f"as shipped; flagged and {SAMPLED:.0%} kept of", same.kept, (10_000, 20_000, 50_000)),
    ):
        for count in counts:
            pairs = (draw(count) for _ in track(range(draws), f"{what}, {count}", console=console, transient=True))
            found = [compare(reference, texts, []) for reference, texts in pairs]
            told = [one for one in found if one.effective_texts >= FEWEST_TEXTS]
            alarms = sum(bool(one.drifting) for one in told)
            at_full_size += alarms if count == TEXTS else 0
            indices = [one.largest_index for one in told]
            figures = [f"{median(indices):.3f}", f"{max(indices):.3f}"] if indices else ["", ""]
            table.add_row(what, f"{count:,}", f"{draws:,}", str(draws - len(told)), str(alarms), *figures)
    console.print(table)
    return at_full_size


def _tell_platforms(reference: Reference, platforms: Mapping[str, Texts]) -> int:
    """Print each platform's indices, and how many of 100 draws of 5,000 alarm; return how many platforms are wrong."""
    table = Table("texts", "count", "categories drift", "smallest PSI", "largest PSI", "flagged", "draws that alarm")
    chance, wrong = random.Random(SEED), 0
    for name, texts in platforms.items():
        found = compare(reference, texts, [])
        indices = [each.index for each in found.categories]
        redrawn = (chance.choices(texts, k=TEXTS) for _ in range(REDRAWS))
        alarms = sum(bool(compare(reference, each, []).drifting) for each in redrawn)
        flagged = found.flag_rate.recent.share if found.flag_rate.recent else 0
        wrong += bool(found.drifting) is (name == SAME_KIND)
        figures = [f"{min(indices):.3f}", f"{max(indices):.3f}", f"{flagged:.1%}", f"{alarms} of {REDRAWS}"]
        table.add_row(name, f"{len(texts):,}", f"{len(found.drifting)} of {len(indices)}", *figures)
    console.print(table)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
