"""Policies: scores into an action, with its reasons."""

from moderato.policy import Action, Policy, Reason, Threshold, decide

POLICY = Policy(
    "default", 1, {"insult": Threshold(0.5, 0.9), "threat": Threshold(0.3, 0.8), "profanity": Threshold(0.5, None)}
)


def test_scores_below_every_threshold_are_allowed() -> None:
    verdict = decide({"insult": 0.49, "threat": 0.29, "profanity": 0.0}, POLICY)
    assert verdict.action is Action.ALLOW
    assert not verdict.is_flagged
    assert verdict.reasons == ()


def test_a_score_calls_from_its_threshold_on() -> None:
    verdict = decide({"insult": 0.5, "threat": 0.0, "profanity": 0.0}, POLICY)
    assert verdict.reasons == (Reason("insult", 0.5, 0.5, Action.REVIEW),)


def test_the_most_severe_category_decides_and_comes_first() -> None:
    verdict = decide({"insult": 0.89, "threat": 0.81, "profanity": 0.6}, POLICY)
    assert verdict.action is Action.BLOCK
    assert [reason.category for reason in verdict.reasons] == ["threat", "insult", "profanity"]


def test_a_category_without_block_threshold_never_blocks() -> None:
    assert decide({"insult": 0.0, "threat": 0.0, "profanity": 1.0}, POLICY).action is Action.REVIEW


def test_a_category_without_thresholds_is_scored_and_never_acts() -> None:
    verdict = decide({"insult": 0.0, "threat": 0.0, "profanity": 0.0, "sports": 1.0}, POLICY)
    assert (verdict.action, verdict.reasons) == (Action.ALLOW, ())
