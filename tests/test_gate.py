"""The rules of the gate: how much worse than the champion a challenger may be, figure by figure."""

import math

import pytest

from training import gate
from training.gate import Figure, Gate

RULES = Gate()


@pytest.mark.parametrize(("challenger", "passed"), [(0.99, True), (0.98, True), (0.975, True), (0.9749, False)])
def test_the_area_may_fall_a_little(challenger: float, passed: bool) -> None:
    assert gate.not_lower("mean ROC AUC", 0.98, challenger, RULES.test_auc, 100).passed is passed


def test_a_figure_that_is_not_a_number_is_never_good_enough() -> None:
    assert gate.not_lower("mean ROC AUC", 0.98, math.nan, 0.5, 100).passed is False
    assert gate.not_higher("flagged", 0.1, math.nan, 0.5, 100).passed is False


@pytest.mark.parametrize(
    ("challenger", "interval", "passed"),
    [
        (0.96, (-0.03, -0.01), True),
        (0.94, (-0.08, 0.01), True),
        (0.94, (-0.08, -0.01), False),
        (0.94, None, True),
    ],
)
def test_a_categorys_area_falls_too_far_only_where_it_is_no_chance(
    challenger: float, interval: tuple[float, float] | None, passed: bool
) -> None:
    figure = gate.not_surely_lower("ROC AUC, threat", 0.98, challenger, RULES.category_auc, 100, interval)
    assert figure.passed is passed


@pytest.mark.parametrize(
    ("champion", "challenger", "rows", "passed"),
    [
        (0.5, 0.5, 19, True),
        (0.5, 0.4, 19, False),
        (0.5, 0.5, 20, False),
        (0.5, 0.55, 20, True),
        (1.0, 1.0, 20, True),
        (1.0, 0.95, 20, False),
    ],
)
def test_past_reversals_must_rise_where_there_are_many(
    champion: float, challenger: float, rows: int, passed: bool
) -> None:
    assert gate.better_on_reversals(champion, challenger, rows, RULES).passed is passed


@pytest.mark.parametrize(("challenger", "passed"), [(0.0, True), (0.07, True), (0.0701, False)])
def test_friendly_phrases_may_be_flagged_a_little_more(challenger: float, passed: bool) -> None:
    assert gate.not_higher("friendly", 0.05, challenger, RULES.identity, 100).passed is passed


@pytest.mark.parametrize(("challenger", "passed"), [(5.0, True), (12.5, True), (12.6, False)])
def test_a_text_may_take_a_quarter_longer(challenger: float, passed: bool) -> None:
    assert gate.not_slower(10.0, challenger, RULES, 100).passed is passed


@pytest.mark.parametrize(
    ("champion", "challenger", "passed"),
    [(1, 25_000_000, True), (1, 25_000_001, False), (40_000_000, 40_000_000, True), (40_000_000, 40_000_001, False)],
)
def test_a_model_is_no_larger_than_the_limit_or_the_champion(champion: int, challenger: int, passed: bool) -> None:
    assert gate.not_larger(champion, challenger, RULES).passed is passed


def test_why_not_is_a_plain_sentence() -> None:
    figure = gate.not_lower("macro-F1", 0.6, 0.5, RULES.macro_f1, 100)
    assert sentence_of(figure) == "macro-F1: 0.5 against the champion's 0.6; it must be at most 0.01 lower."
    assert sentence_of(gate.golden(False, 64)) == "golden answers: not all as they were when it was made."


def sentence_of(figure: Figure) -> str:
    """Return why a figure is not good enough."""
    assert figure.passed is False
    return gate._sentence(figure)
