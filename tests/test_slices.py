"""Slices: which texts belong to which, and what is counted in them."""

from collections.abc import Callable

import numpy as np
import pytest

from moderato.artifact import Calibration, Category, DatasetRecord, EncoderRecord, Manifest, Problem
from moderato.text import VERSION
from training.dataset import Row
from training.evaluation import Slice
from training.slices import (
    has_emoji,
    has_foreign_letters,
    has_url,
    is_disguised,
    is_lower_case,
    is_shouted,
    length_of,
    slices,
)

UNKNOWN = np.nan


def manifest(problem: Problem = Problem.MULTI_LABEL, second_review: float | None = None) -> Manifest:
    """A manifest with two categories, of which the first acts."""
    return Manifest(
        name="made",
        version="1",
        description="Made for a test.",
        created="2026-11-21T00:00:00+00:00",
        problem=problem,
        categories=(
            Category("insult", 0.5, None, Calibration(1.0, 0.0)),
            Category("news", second_review, None, Calibration(1.0, 0.0)),
        ),
        window_tokens=16,
        overlap_tokens=4,
        normalizer=VERSION,
        encoder=EncoderRecord("none", "none"),
        dataset=DatasetRecord("made", "1", "1"),
        metrics={},
        files={},
    )


def rows(*texts: str, natural: bool = True, source: str = "made") -> list[Row]:
    """Rows with these texts; their labels are given apart."""
    return [Row(str(n), text, {}, source, "test", natural, None) for n, text in enumerate(texts)]


def named(found: tuple[Slice, ...], name: str) -> Slice:
    """The slice of a name."""
    return next(each for each in found if each.name == name)


def test_lengths_have_their_edges() -> None:
    names = [length_of("x" * length) for length in (1, 50, 51, 200, 201, 1000, 1001)]
    assert names == ["1 to 50"] * 2 + ["51 to 200"] * 2 + ["201 to 1,000"] * 2 + ["more than 1,000"]


@pytest.mark.parametrize(
    ("belongs", "yes", "no"),
    [
        (is_lower_case, "all in lower case, 24 words", "Not here"),
        (is_shouted, "STOP DOING THAT now", "The USA and the EU met."),
        (has_emoji, "well done 🎉", "well done :)"),
        (has_url, "see https://example.org", "see example, please"),
        (has_foreign_letters, "à demain", "until tomorrow — then"),
        (is_disguised, "you are such an 1d10t", "The war began in 1914."),
    ],
)
def test_a_form_is_seen_in_the_text(belongs: Callable[[str], bool], yes: str, no: str) -> None:
    assert belongs(yes)
    assert not belongs(no)


def test_a_slice_counts_what_acts() -> None:
    texts = rows("mean words here", "kind words here", "MEAN WORDS HERE", "KIND WORDS HERE")
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.4, 0.1], [0.6, 0.2]])
    found = slices(manifest(), texts, labels, scores, scores >= 0.5)
    low, loud = named(found, "lower case only"), named(found, "shouting")
    assert (low.rows, loud.rows) == (2, 2)
    assert low.any_category is not None
    assert loud.any_category is not None
    # "news" is scored and never acts, so the second text is neither flagged nor wrong.
    assert (low.any_category.positives, low.any_category.flagged) == (1, 1)
    assert (low.any_category.recall, low.any_category.false_positive_rate) == (1.0, 0.0)
    assert (loud.any_category.recall, loud.any_category.false_positive_rate) == (0.0, 1.0)
    assert (low.categories["insult"].roc_auc, loud.categories["insult"].roc_auc) == (1.0, 0.0)
    assert loud.categories["news"].roc_auc is None
    assert loud.mean_roc_auc == 0.0


def test_a_text_is_harmless_only_where_everything_is_known() -> None:
    acting = manifest(second_review=0.5)
    labels = np.array([[0.0, UNKNOWN], [1.0, UNKNOWN], [0.0, 0.0]])
    scores = np.full((3, 2), 0.9)
    whole = slices(acting, rows("one", "two", "three"), labels, scores, scores >= 0.5)[0].any_category
    assert whole is not None
    assert (whole.rows, whole.positives, whole.flagged) == (2, 1, 2)


def test_only_sources_hold_texts_that_are_not_natural() -> None:
    texts = rows("Natural text.") + rows("Sampled text.", natural=False, source="sampled")
    found = slices(manifest(), texts, np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2), dtype=bool))
    assert [each.rows for each in found if each.kind != "source"] == [1, 1, 1]  # the whole, its length, its form
    assert [(each.name, each.rows) for each in found if each.kind == "source"] == [("made", 1), ("sampled", 1)]


def test_a_single_label_slice_tells_its_accuracy() -> None:
    labels = np.array([[1.0, 0.0], [0.0, 1.0]])
    scores = np.array([[0.8, 0.2], [0.7, 0.3]])
    flagged = np.array([[True, False], [True, False]])
    whole = slices(manifest(Problem.SINGLE_LABEL), rows("One.", "Two."), labels, scores, flagged)[0]
    assert whole.accuracy == 0.5
    assert whole.any_category is None
