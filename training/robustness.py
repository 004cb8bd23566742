"""Robustness: what a model flags when words are disguised, of abusive texts and of friendly ones."""

import random
from collections.abc import Sequence

from moderato.policy import Policy, decide, default_policy
from moderato.scorer import Scorer
from training.evaluation import Trick
from training.tricks import TRAINED, TRICKS, Range, disguise, find_words

DISGUISED_WORDS = 2
"""How many words of a text are disguised: the most telling ones."""

MAX_CANDIDATES = 60
"""Words of a text that are tried: each costs a run of the model."""


def measure_robustness(scorer: Scorer, abusive: Sequence[str], friendly: Sequence[str], seed: int) -> list[Trick]:
    """Disguise the two most telling words of each text by each family of tricks, and see what is flagged.

    Abusive texts that are not flagged to begin with are left out, as are friendly ones that are. The same seed gives
    the same disguises whatever the model is, as long as it finds the same words telling.
    """
    policy = default_policy(scorer.manifest)
    flagged = [(text, telling_words(scorer, policy, text)) for text in abusive if _is_flagged(scorer, policy, text)]
    passed = [(text, telling_words(scorer, policy, text)) for text in friendly if not _is_flagged(scorer, policy, text)]
    return [
        Trick(
            family=family,
            is_trained=family in TRAINED,
            abusive_texts=len(flagged),
            still_flagged=_flagged_share(scorer, policy, _disguised(flagged, family, seed)),
            friendly_texts=len(passed),
            newly_flagged=_flagged_share(scorer, policy, _disguised(passed, family, seed)),
        )
        for family in TRICKS
    ]


def telling_words(scorer: Scorer, policy: Policy, text: str) -> list[Range]:
    """The two words without which the text's highest score, relative to its threshold, would be lowest."""
    words = find_words(text)[:MAX_CANDIDATES]
    words.sort(key=lambda word: _severity(scorer, policy, text[: word[0]] + text[word[1] :]))
    return words[:DISGUISED_WORDS]


def _severity(scorer: Scorer, policy: Policy, text: str) -> float:
    scores = scorer.score(text).scores
    return max((scores[name] / threshold.review for name, threshold in policy.thresholds.items()), default=0.0)


def _is_flagged(scorer: Scorer, policy: Policy, text: str) -> bool:
    return decide(scorer.score(text).scores, policy).is_flagged


def _disguised(texts: Sequence[tuple[str, Sequence[Range]]], family: str, seed: int) -> list[str]:
    """Each text has its own draw, so that leaving one out does not change the others."""
    return [disguise(text, family, random.Random(f"{seed} {family} {text}"), words) for text, words in texts]


def _flagged_share(scorer: Scorer, policy: Policy, texts: Sequence[str]) -> float:
    return sum(_is_flagged(scorer, policy, text) for text in texts) / max(len(texts), 1)
