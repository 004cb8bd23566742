"""What is kept of decisions, and which of them annotators are asked about."""

import pytest

from moderato.policy import Action, Policy, Reason, Threshold, Verdict
from moderato.retention import Keep, Kept, Retention
from moderato.reviews import ReviewReason

POLICY = Policy("default", 1, {"insult": Threshold(0.5, 0.9), "threat": Threshold(0.3, None)})
ALLOWED = Verdict(Action.ALLOW, ())
FLAGGED = Verdict(Action.REVIEW, (Reason("insult", 0.95, 0.9, Action.BLOCK),))
CERTAIN = {"insult": 0.1, "threat": 0.1}
UNCERTAIN = {"insult": 0.45, "threat": 0.1}
SURE = {"insult": 0.95, "threat": 0.1}

SAMPLED_REVIEW = Kept("sampled", 0.01, ReviewReason.SAMPLED)
UNCERTAIN_REVIEW = Kept("uncertain", None, ReviewReason.UNCERTAIN)


def retention(keep: Keep = Keep.FLAGGED, draw: float = 0.5) -> Retention:
    """Return what keeps 1 % of the allowed texts by chance, where chance draws this number."""
    return Retention(keep, 0.01, lambda: draw)


@pytest.mark.parametrize("keep", [Keep.FLAGGED, Keep.ALL])
@pytest.mark.parametrize(
    ("scores", "verdict", "draw", "kept"),
    [
        (SURE, FLAGGED, 0.5, Kept("flagged")),
        (SURE, FLAGGED, 0.0, Kept("flagged")),
        (UNCERTAIN, FLAGGED, 0.0, Kept("flagged", None, ReviewReason.UNCERTAIN)),
        (UNCERTAIN, ALLOWED, 0.5, UNCERTAIN_REVIEW),
        (UNCERTAIN, ALLOWED, 0.009, SAMPLED_REVIEW),
        (CERTAIN, ALLOWED, 0.009, SAMPLED_REVIEW),
    ],
)
def test_the_sample_is_drawn_first_from_all_that_is_allowed_then_scores_are_looked_at(
    keep: Keep, scores: dict[str, float], verdict: Verdict, draw: float, kept: Kept
) -> None:
    assert retention(keep, draw)(scores, verdict, POLICY) == kept


def test_what_is_allowed_certain_and_not_drawn_is_kept_only_where_all_is() -> None:
    assert retention(Keep.FLAGGED, 0.01)(CERTAIN, ALLOWED, POLICY) is None
    assert retention(Keep.ALL, 0.01)(CERTAIN, ALLOWED, POLICY) == Kept("all")


@pytest.mark.parametrize("verdict", [ALLOWED, FLAGGED])
def test_none_keeps_nothing_whatever_chance_draws(verdict: Verdict) -> None:
    assert retention(Keep.NONE, 0.0)(UNCERTAIN, verdict, POLICY) is None


@pytest.mark.parametrize(
    ("insult", "threat", "uncertain"),
    [
        (0.399, 0.1, False),
        (0.401, 0.1, True),
        (0.599, 0.1, True),
        (0.601, 0.1, False),
        (0.1, 0.239, False),
        (0.1, 0.241, True),
        (0.99, 0.359, True),
        (0.99, 0.361, False),
    ],
)
def test_a_score_is_uncertain_within_a_fifth_of_its_threshold_on_either_side(
    insult: float, threat: float, uncertain: bool
) -> None:
    kept = retention(Keep.ALL)({"insult": insult, "threat": threat}, FLAGGED, POLICY)
    assert kept is not None
    assert (kept.review is ReviewReason.UNCERTAIN) is uncertain


def test_a_category_without_a_threshold_is_never_uncertain() -> None:
    assert retention()({**CERTAIN, "spam": 0.5}, ALLOWED, POLICY) is None


def test_each_allowed_text_is_drawn_once_and_a_flagged_one_never() -> None:
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(0.5)
        return drawn[-1]

    keeping = Retention(Keep.FLAGGED, 0.01, draw)
    for scores, verdict in ((CERTAIN, ALLOWED), (UNCERTAIN, ALLOWED), (SURE, FLAGGED)):
        keeping(scores, verdict, POLICY)
    assert len(drawn) == 2
