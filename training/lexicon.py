"""The list of words that people know, functions/moderato/words.txt: of training rows and an encoder's vocabulary.

`python -m training.lexicon DATASET TOKENIZER` writes it. The list that ships was made from the training split of the
starter's dataset 1.0.0 and the tokenizer of MiniLM; words of held-out texts are not in it for being there.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from moderato.spelling import MIN_READ_LETTERS, is_near_miss, make_lexicon
from training import dataset
from training.dataset import Row
from training.tricks import telling_ratios

FOLDER = Path(__file__).parents[1] / "functions" / "moderato"

MIN_COUNT = 5
"""In how many rows a word must occur; what is rarer is often a slip."""

SURE_COUNT = 20
"""From here on a word that looks like a harmful one is a word of its own, if harmless rows use it as much."""

HARMLESS_RATIO = 1.2

MAX_CHARACTERS = 20

# Words of chat, and names, that the rules above would take for misspelled harmful ones.
EXTRA = (
    "a", "i", "dope", "fart", "hater", "dis", "lol", "dont", "youre", "yall", "haha", "lmao", "shoo", "twas",
    "degenerated", "hangover", "nutshell", "overkill", "deathbed", "umm", "hmm", "mmm", "uh", "uhh", "yeah", "yea",
    "nope", "cos", "cuz", "ppl", "poo", "psychoanalysis", "slur", "slurs", "slav", "slavs", "tit", "tat", "tats",
    "dues", "vole", "jeez", "hows",
)  # fmt: skip


def collect_words(rows: Sequence[Row], vocabulary: Iterable[str], harmful: Sequence[str]) -> list[str]:
    """The words of the rows by frequency, then those that only the vocabulary has.

    A frequent misspelling of a harmful word is left out, so that it is still read as what it stands for.
    """
    known = {word for word in vocabulary if word.isascii() and word.isalpha() and word.islower()}
    counts = Counter(word for row in rows for word in dict.fromkeys(re.findall(r"[a-z]+", row.text.lower())))
    ratios = telling_ratios(rows)
    lexicon = make_lexicon(sorted(known), harmful)
    words = [
        word
        for word, count in counts.most_common()
        if count >= MIN_COUNT
        and 2 <= len(word) <= MAX_CHARACTERS
        and (
            word in known
            or word in lexicon.harmful
            or (count >= SURE_COUNT and ratios.get(word, 1.0) < HARMLESS_RATIO)
            or not is_near_miss(lexicon, word)
        )
    ]
    rest = sorted(word for word in known if MIN_READ_LETTERS <= len(word) <= MAX_CHARACTERS)
    return list(dict.fromkeys([*_with(words, EXTRA), *rest]))


def _with(words: Sequence[str], extra: Sequence[str]) -> list[str]:
    """The extra words, which have no count, behind; but `a` and `i` among the most frequent."""
    return [*words[:20], *extra[:2], *words[20:], *extra[2:]]


def main() -> None:
    """Write the list from the training split of a dataset folder and the vocabulary of a tokenizer.json."""
    folder, tokenizer = map(Path, sys.argv[1:])
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    harmful = (FOLDER / "harmful_words.txt").read_text(encoding="ascii").split()
    words = collect_words(dataset.load(folder, "train"), vocabulary, harmful)
    (FOLDER / "words.txt").write_text("\n".join(words) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
