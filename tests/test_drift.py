"""Drift: an index that is large and no chance is an alarm, and each decision counts for the texts it stands for."""

import random
from collections.abc import Sequence

import msgspec
import pytest

from moderato.agreement import Interval, Share
from moderato.artifact import ScoreDistribution
from moderato.decisions import Decision
from moderato.drift import Rate, compare, describe, effective_size, highest_by_chance, stability_index
from moderato.policy import Action
from moderato.recent import observe
from tests.observations import CATEGORY, half_and_half, text, texts
from tests.records import decision

FOURTHS = (0.25, 0.25, 0.25, 0.25)


def test_the_index_of_equal_distributions_is_nothing() -> None:
    assert stability_index(FOURTHS, 1_000, FOURTHS, 1_000) == 0
    # Half a text in each bin counts more among few texts: 5.5, 4.5 of 11 and 50.5, 49.5 of 101 are almost halves.
    assert stability_index((0.5, 0.5), 10, (0.5, 0.5), 100) == 0


def test_an_empty_bin_is_half_a_text() -> None:
    # 98 texts and half a one in each of four bins: 0.005, 0.495, 0.495, 0.005 against fourths.
    # 2 (0.25 - 0.005) ln 50 + 2 (0.495 - 0.25) ln 1.98 = 0.49 * 3.912023 + 0.49 * 0.683097
    assert stability_index(FOURTHS, 98, (0, 0.5, 0.5, 0), 98) == pytest.approx(2.251609, abs=1e-6)


def test_the_index_is_the_same_in_both_directions() -> None:
    there, back = (FOURTHS, (0.1, 0.2, 0.3, 0.4)), ((0.1, 0.2, 0.3, 0.4), FOURTHS)
    # 0.15 ln 2.5 + 0.05 ln 1.25 + 0.05 ln 1.2 + 0.15 ln 1.6, which half texts hardly change among so many
    assert stability_index(there[0], 1e9, there[1], 1e9) == pytest.approx(0.228217, abs=1e-5)
    assert stability_index(there[0], 500, there[1], 500) == pytest.approx(stability_index(back[0], 500, back[1], 500))


@pytest.mark.parametrize(("bins", "quantile"), [(2, 10.828), (3, 13.816), (5, 18.467), (10, 27.877), (13, 32.909)])
def test_chance_is_the_quantile_of_chi_square_for_both_sizes(bins: int, quantile: float) -> None:
    # 99.9 % quantiles with one degree of freedom less than there are bins, as tables have them.
    found = highest_by_chance(bins, 4_342, 5_000)
    assert quantile * (1 / 4_342 + 1 / 5_000) <= found <= 1.031 * quantile * (1 / 4_342 + 1 / 5_000)


def test_with_one_bin_chance_does_nothing() -> None:
    assert highest_by_chance(1, 100, 100) == 0


def test_unequal_weights_know_less_than_as_many_equal_ones() -> None:
    assert effective_size([1] * 100) == 100
    assert effective_size([7] * 100) == pytest.approx(100)
    assert effective_size([1, 1, 2]) == pytest.approx(16 / 6)
    assert effective_size([]) == 0


def test_a_reference_tells_shares_means_and_flags() -> None:
    found = describe(texts({0.1: 50, 0.5: 30, 0.9: 20}), [CATEGORY], [True, False, False, False])
    assert (found.texts, found.flag_rate, found.reversal_rate, found.judged_flags) == (100, 0.5, 0.25, 4)
    assert found.categories == {
        CATEGORY: ScoreDistribution(edges=(0.5, 0.9), shares=(0.5, 0.3, 0.2), mean=0.38, flag_rate=0.5)
    }


def test_a_weight_counts_for_as_many_texts() -> None:
    found = describe([text(0.9), *texts({0.1: 3}, weight=3)], [CATEGORY], [])
    # Ten texts, one of them flagged; (1 + 9)^2 / (1 + 27) = 3.57 effective ones.
    assert (found.texts, found.flag_rate, found.reversal_rate) == (3, 0.1, None)
    # The mean is that of 0.9 once and of 0.1 nine times.
    assert found.categories[CATEGORY] == ScoreDistribution(edges=(0.9,), shares=(0.9, 0.1), mean=0.18, flag_rate=0.1)


def test_a_bin_holds_a_twenty_fifth_at_least() -> None:
    # 0.1 and 0.3 are far enough apart, but of 100 texts 3 are too few for a bin of their own.
    assert describe(texts({0.1: 3, 0.3: 1, 0.9: 96}), [CATEGORY], []).categories[CATEGORY].edges == (0.9,)
    assert describe(texts({0.1: 4, 0.3: 1, 0.9: 95}), [CATEGORY], []).categories[CATEGORY].edges == (0.3,)


def test_scores_that_are_close_share_a_bin() -> None:
    # Log-odds of 0.5, 0.6 and 0.63 are 0, 0.41 and 0.53.
    assert describe(texts({0.5: 50, 0.6: 50}), [CATEGORY], []).categories[CATEGORY].shares == (0, 1, 0)
    assert describe(texts({0.5: 50, 0.63: 50}), [CATEGORY], []).categories[CATEGORY].edges == (0.63,)
    # Near 0 the distance is one of orders of magnitude: 0.0004 is twice 0.0002.
    assert describe(texts({0.0002: 50, 0.0004: 50}), [CATEGORY], []).categories[CATEGORY].edges == (0.0004,)


def test_scores_of_0_and_1_have_bins_too() -> None:
    found = describe(texts({0.0: 50, 0.5: 20, 1.0: 30}), [CATEGORY], []).categories[CATEGORY]
    assert (found.edges, found.shares) == ((0.5, 1.0), (0.5, 0.2, 0.3))


@pytest.mark.parametrize(("before", "now"), [(0.1, 0.9), (0.9, 0.1), (0.0, 0.9), (1.0, 0.1)])
def test_a_score_that_never_changed_drifts_when_it_does(before: float, now: float) -> None:
    reference = describe(texts({before: 1_000}), [CATEGORY], [])
    assert len(reference.categories[CATEGORY].shares) == 3
    assert compare(reference, texts({before: 1_000}), []).drifting == []
    assert compare(reference, texts({now: 1_000}), []).drifting


def test_a_category_drifts_where_its_index_is_large_and_no_chance() -> None:
    # 0.74 and 0.26 against halves: 0.24 ln 1.48 - 0.24 ln 0.52 = 0.2510.
    few, many = (compare(half_and_half(), texts({0.1: 37 * n, 0.9: 13 * n}), []) for n in (1, 8))
    assert many.categories[0].index == pytest.approx(0.2510, abs=0.002)
    assert (many.categories[0].highest, many.categories[0].drifts) == (0.2, True)
    # Of 50 texts chance makes 10.83 (1/50 + 1/1000) = 0.227, and more by the approximation.
    assert few.categories[0].index == pytest.approx(0.2510, abs=0.02)
    assert few.categories[0].highest == pytest.approx(0.234, abs=0.001)


def test_few_texts_do_not_drift_by_an_index_that_many_would() -> None:
    # 15 and 5 of 20 texts: 0.25 ln 3 = 0.27, and chance makes up to 0.55.
    assert compare(half_and_half(), texts({0.1: 15, 0.9: 5}), []).drifting == []
    assert [each.category for each in compare(half_and_half(), texts({0.1: 1_500, 0.9: 500}), []).drifting] == [
        "insult"
    ]


def test_an_index_that_is_no_chance_and_small_is_no_drift() -> None:
    # 0.6 and 0.4 against halves: 0.1 ln 1.2 - 0.1 ln 0.8 = 0.0405; chance makes 10.83 / 2500 = 0.0043.
    found = compare(half_and_half(5_000), texts({0.1: 3_000, 0.9: 2_000}), []).categories[0]
    assert found.index == pytest.approx(0.0405, abs=0.001)
    assert found.index > highest_by_chance(2, 5_000, 5_000)
    assert not found.drifts


def test_drift_tells_where_the_scores_and_the_flags_went() -> None:
    found = compare(half_and_half(), texts({0.1: 90, 0.9: 10}), []).categories[0]
    assert found.recent == ScoreDistribution(edges=(0.5,), shares=(0.9, 0.1), mean=0.18, flag_rate=0.1)


def test_the_rates_come_with_their_intervals() -> None:
    found = compare(half_and_half(), texts({0.1: 90, 0.9: 10}), [True] * 3 + [False] * 7)
    # Wilson's intervals: of 10 in 100, and of 3 in 10; the reversal rate of the reference is of 50 judged flags.
    assert found.flag_rate.recent is not None
    assert (found.flag_rate.recent.share, found.flag_rate.recent.count) == (0.1, 100)
    assert found.flag_rate.recent.interval.low == pytest.approx(0.0552, abs=1e-4)
    assert found.flag_rate.recent.interval.high == pytest.approx(0.1744, abs=1e-4)
    assert found.reversal_rate.recent is not None
    assert found.reversal_rate.recent.interval.low == pytest.approx(0.1078, abs=1e-4)
    assert found.reversal_rate.reference is not None
    assert (found.reversal_rate.reference.share, found.reversal_rate.reference.count) == (0.2, 50)
    assert found.flag_rate.differs
    assert not found.reversal_rate.differs


def test_without_feedback_the_reversal_rate_is_not_known() -> None:
    found = compare(half_and_half(), texts({0.1: 50, 0.9: 50}), [])
    assert found.reversal_rate.recent is None
    assert not found.reversal_rate.differs


def test_rates_differ_where_their_intervals_have_nothing_in_common() -> None:
    def share(low: float, high: float) -> Share:
        return Share((low + high) / 2, Interval(low, high), 100)

    assert Rate(reference=share(0.1, 0.2), recent=share(0.3, 0.4)).differs
    assert Rate(reference=share(0.3, 0.4), recent=share(0.1, 0.2)).differs
    assert not Rate(reference=share(0.1, 0.3), recent=share(0.2, 0.4)).differs


def kept(because: str, minute: int = 0, probability: float | None = None, score: float = 0.1) -> Decision:
    """Return a decision that was kept for this reason, so many minutes after noon."""
    flagged = {"action": Action.REVIEW} if because == "flagged" else {"action": Action.ALLOW, "reasons": []}
    return decision(
        scores={CATEGORY: score},
        kept_because=because,
        sampling_probability=probability,
        created=f"2026-11-21T12:{minute:02}:00+00:00",
        **flagged,
    )


def weights(decisions: Sequence[Decision]) -> list[float]:
    """Return how many texts each decision that counts stands for."""
    return [one.weight for one in observe(decisions)]


def test_a_drawn_decision_stands_for_those_that_chance_left_out() -> None:
    found = observe([kept("flagged"), kept("sampled", probability=0.01), kept("sampled", probability=0.5)])
    assert [one.weight for one in found] == [1, 100, 2]
    assert [set(one.flagged) for one in found] == [{"insult"}, set(), set()]


def test_what_was_close_to_a_threshold_is_stood_for_by_the_drawn() -> None:
    assert weights([kept("uncertain"), kept("sampled", probability=0.01)]) == [100]


def stored(*reasons: str) -> list[Decision]:
    """Return decisions that were kept for these reasons, one a second; chance drew one of a hundred."""
    return [
        msgspec.structs.replace(
            kept(reason, probability=0.01 if reason == "sampled" else None),
            created=f"2026-11-21T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00:00",
        )
        for second, reason in enumerate(reasons)
    ]


def test_while_everything_was_kept_each_decision_counts_once() -> None:
    assert weights(stored("all", "sampled", "uncertain", "flagged", "all")) == [1, 1, 1, 1, 1]


def test_what_is_first_or_last_while_everything_is_kept_counts_once_too() -> None:
    assert weights(stored("uncertain", "sampled", *["all"] * 475, "flagged", "uncertain", "sampled")) == [1] * 480


def test_many_flags_at_once_do_not_look_like_another_setting() -> None:
    burst = ["flagged"] * 200 + ["uncertain"] * 9 + ["sampled"]
    assert weights(stored(*["all"] * 50, *burst)) == [1] * 260
    assert weights(stored(*burst, *["all"] * 50)) == [1] * 260


def test_a_long_time_without_any_that_was_kept_for_that_alone_had_another_setting() -> None:
    # Twenty-one allowed decisions in a row, one flagged: then the drawn ones stand for the others.
    sample = ["uncertain"] * 10 + ["flagged"] + ["sampled"] * 11
    drawn = [1.0] + [100.0] * 11
    assert weights(stored(*sample, "all", "all")) == [*drawn, 1, 1]
    assert weights(stored("all", "all", *sample)) == [1, 1, *drawn]
    assert weights(stored("all", *sample, "all")) == [1, *drawn, 1]
    # With one less they are as many as come by chance.
    assert weights(stored("all", *sample[1:], "all")) == [1] * 23


def test_the_order_in_which_decisions_are_listed_does_not_matter() -> None:
    listed = stored("all", "sampled", "all", *["sampled"] * 21)
    assert weights(listed[::-1]) == weights(listed) == [1, 1, 1] + [100] * 21


def test_flagged_decisions_alone_stand_for_nothing() -> None:
    assert observe([kept("flagged")] * 500 + [kept("uncertain")] * 500) == []


def test_texts_of_one_distribution_do_not_alarm_and_of_another_do() -> None:
    chance = random.Random(20)

    def drawn(count: int, shape: float) -> list[float]:
        return [round(chance.betavariate(shape, 5), 6) for _ in range(count)]

    reference = describe([text(score) for score in drawn(4_342, 0.5)], [CATEGORY], [])
    same = [compare(reference, [text(score) for score in drawn(5_000, 0.5)], []) for _ in range(50)]
    assert sum(bool(each.drifting) for each in same) == 0
    assert max(each.largest_index for each in same) < 0.02
    assert compare(reference, [text(score) for score in drawn(5_000, 1.0)], []).drifting


def test_a_weighted_sample_of_the_same_distribution_does_not_alarm() -> None:
    chance = random.Random(21)
    scores = [round(chance.betavariate(0.3, 2), 6) for _ in range(20_000)]
    reference = describe([text(score) for score in scores[:5_000]], [CATEGORY], [])
    sampled = [one for one in map(text, scores[5_000:]) if one.flagged or chance.random() < 0.02]
    found = [text(one.scores[CATEGORY], 1 if one.flagged else 50) for one in sampled]
    assert compare(reference, found, []).drifting == []
    # Counted each once, the flagged ones would be most of them.
    assert compare(reference, sampled, []).drifting
