"""Agreement: how far annotators agree with one another and with labels, and how sure a sampled share is."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

Answers = Mapping[str, Mapping[str, Collection[str]]]
"""The categories that were chosen, by review id and annotator; skips are left out."""


class Interval(msgspec.Struct, frozen=True):
    """Two shares between which the true one lies with 95 % confidence."""

    low: float
    high: float


class Share(msgspec.Struct, frozen=True):
    """A share estimated from a sample of `count` draws, with its interval."""

    share: float
    interval: Interval
    count: int


def agreement_with_labels(
    answers: Iterable[tuple[Collection[str], Mapping[str, bool | None]]],
) -> float | None:
    """Return the share of one annotator's answers that equal the settled label in every category; None without any.

    `answers` are pairs of an answer and the values of its label. An annotator's own vote cannot flatter: where it
    stood alone the label is an adjudicator's, and where the label is by agreement two others said the same.
    """
    outcomes = [
        all((category in labels) is value for category, value in values.items() if value is not None)
        for labels, values in answers
    ]
    return sum(outcomes) / len(outcomes) if outcomes else None


def pairwise_agreement(answers: Answers) -> dict[tuple[str, str], float]:
    """Return by pair of annotators the share of the reviews both answered on which they chose the same categories."""
    same: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for by_annotator in answers.values():
        for first, second in combinations(sorted(by_annotator), 2):
            same[first, second].append(set(by_annotator[first]) == set(by_annotator[second]))
    return {pair: sum(outcomes) / len(outcomes) for pair, outcomes in sorted(same.items())}


def alpha(answers: Answers, category: str) -> float | None:
    """Return Krippendorff's alpha of a category, nominal, over the answers; None where it is not defined.

    1 = annotators always agree, 0 = as if by chance. Not defined when nobody shares a review with another, or nobody
    ever chose the category, or all always did. Source: Krippendorff, Content Analysis (2004), chapter 11.
    """
    # numpy and the library are for this figure alone: nothing else that a function does needs them.
    import krippendorff

    shared = [by_annotator for by_annotator in answers.values() if len(by_annotator) > 1]
    counts = [_counts(by_annotator.values(), category) for by_annotator in shared]
    if len({value for count in counts for value in (0, 1) if count[value]}) < 2:
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def weighted_share(draws: Sequence[tuple[bool, float]]) -> Share | None:
    """Return the share of hits among what a sample was drawn from, given each draw's outcome and probability.

    Draws count by the inverse of their probability (Hájek's estimator), so that a sample whose probability changed
    on the way is not biased; the interval is Wilson's for Kish's effective number of draws, (sum w)^2 / sum w^2
    (Kish, Survey Sampling, 1965, 11.7). With one probability it is the plain share and the plain interval.
    """
    if not draws:
        return None
    weights = [1 / probability for _, probability in draws]
    share = sum(weight for weight, (hit, _) in zip(weights, draws, strict=True) if hit) / sum(weights)
    effective = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    return Share(share, wilson(share, effective), len(draws))


def wilson(share: float, count: float) -> Interval:
    """Return Wilson's 95 % interval of a share seen in `count` independent draws.

    It holds for shares near 0, where the usual one does not. Source: Wilson, JASA 22 (1927), 209-212; recommended
    by Brown, Cai and DasGupta, Statistical Science 16 (2001), 101-133, formula (4).
    """
    z = 1.959964  # the normal distribution's 97.5 % quantile
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def _counts(chosen: Iterable[Collection[str]], category: str) -> tuple[int, int]:
    said = [category in labels for labels in chosen]
    return said.count(False), said.count(True)
