"""What answers settle on, whose count, and how many labels of a batch one annotator may have a part in."""

from collections import Counter
from typing import Any

import pytest

from moderato.consolidation import Consolidation, GoldScore, Rules, consolidate, gold_scores, is_right, within_share
from moderato.reviews import Annotation, Label, Status

CATEGORIES = ["insult", "threat"]


def answer(annotator: str, *labels: str, **fields: Any) -> Annotation:
    """Return an annotator's answer: the categories that the text belongs to."""
    defaults: dict[str, Any] = {"review_id": "r_1", "created": "2026-11-21T12:00:00+00:00"}
    return Annotation(annotator=annotator, labels=list(labels), **(defaults | fields))


def skip(annotator: str) -> Annotation:
    """Return a skip."""
    return Annotation(review_id="r_1", annotator=annotator, labels=None, created="2026-11-21T12:00:00+00:00")


def label(number: int, *annotators: str, adjudicator: str | None = None) -> Label:
    """Return the label that was made this many seconds after noon."""
    return Label(
        review_id=f"r_{number:04}",
        values={"insult": True},
        method="agreement" if adjudicator is None else "adjudication",
        annotators=sorted({*annotators, *([adjudicator] if adjudicator else [])}),
        created=f"2026-11-21T12:{number // 60:02}:{number % 60:02}+00:00",
        adjudicator=adjudicator,
    )


def test_two_answers_wait_for_a_third() -> None:
    found = consolidate([answer("ann", "insult"), answer("ben", "insult")], CATEGORIES)
    assert found == Consolidation(Status.WAITING, {"insult": None, "threat": None}, ["ann", "ben"])
    assert found.disputed == []


def test_three_who_agree_on_everything_settle_it() -> None:
    found = consolidate([answer(name, "insult") for name in ("cem", "ann", "ben")], CATEGORIES)
    assert found == Consolidation(Status.SETTLED, {"insult": True, "threat": False}, ["ann", "ben", "cem"])


def test_three_who_choose_nothing_settle_it_too() -> None:
    found = consolidate([answer(name) for name in ("ann", "ben", "cem")], CATEGORIES)
    assert found.values == {"insult": False, "threat": False}


def test_a_lone_voice_disputes_its_category_only() -> None:
    found = consolidate([answer("ann", "insult"), answer("ben", "insult"), answer("cem")], CATEGORIES)
    assert found.status is Status.DISPUTED
    assert found.values == {"insult": None, "threat": False}
    assert found.disputed == ["insult"]


def test_a_majority_of_nine_settles_nothing() -> None:
    answers = [answer(f"a{number}", "insult") for number in range(9)]
    assert consolidate([*answers, answer("zoe")], CATEGORIES).status is Status.DISPUTED


def test_an_adjudicator_decides_what_is_in_dispute_and_nothing_else() -> None:
    answers = [answer("ann", "insult"), answer("ben", "insult"), answer("cem")]
    adjudication = answer("ada", "threat", is_adjudication=True)
    found = consolidate([*answers, adjudication], CATEGORIES)
    assert found == Consolidation(
        Status.SETTLED, {"insult": False, "threat": False}, ["ada", "ann", "ben", "cem"], adjudicator="ada"
    )


def test_reporters_and_skips_are_not_counted() -> None:
    answers = [answer("ann"), answer("ben"), answer("rob", "insult"), skip("cem")]
    found = consolidate(answers, CATEGORIES, reporters={"rob"})
    assert found == Consolidation(Status.WAITING, {"insult": None, "threat": None}, ["ann", "ben"])


def test_the_answers_of_the_distrusted_do_not_count_however_old() -> None:
    answers = [answer("eve", "insult"), answer("ann"), answer("ben"), answer("cem")]
    assert consolidate(answers, CATEGORIES).status is Status.DISPUTED
    found = consolidate(answers, CATEGORIES, distrusted={"eve"})
    assert (found.status, found.annotators) == (Status.SETTLED, ["ann", "ben", "cem"])


def test_an_adjudication_stands_when_one_who_disputed_is_distrusted_later() -> None:
    answers = [answer("ann"), answer("ben"), answer("eve", "insult", "threat")]
    adjudication = answer("ada", "threat", is_adjudication=True)
    found = consolidate([*answers, adjudication], CATEGORIES, distrusted={"eve"})
    assert (found.status, found.values) == (Status.SETTLED, {"insult": False, "threat": True})


def test_a_distrusted_adjudicator_decides_nothing() -> None:
    answers = [answer("ann"), answer("ben"), answer("cem", "insult"), answer("ada", "insult", is_adjudication=True)]
    assert consolidate(answers, CATEGORIES, distrusted={"ada"}).status is Status.DISPUTED


def test_an_adjudication_is_no_fourth_vote() -> None:
    answers = [answer("ann"), answer("ben"), answer("ada", is_adjudication=True)]
    assert consolidate(answers, CATEGORIES).adjudicator == "ada"


def test_the_rules_can_ask_for_more_annotators() -> None:
    answers = [answer(name) for name in ("ann", "ben", "cem")]
    assert consolidate(answers, CATEGORIES, rules=Rules(annotators=4)).status is Status.WAITING


@pytest.mark.parametrize(
    ("labels", "right"), [(["insult"], True), (["insult", "threat"], False), ([], False), (["insult", "spam"], True)]
)
def test_an_answer_is_right_in_every_known_category_or_not_at_all(labels: list[str], right: bool) -> None:
    assert is_right(labels, {"insult": True, "threat": False, "spam": None}) is right


def test_gold_answers_are_counted_by_annotator_without_skips() -> None:
    answers = [
        answer("ann", "insult", review_id="g_1"),
        answer("ann", "threat", review_id="g_2"),
        answer("ben", "insult", review_id="g_1"),
        Annotation(review_id="g_2", annotator="ben", labels=None, created="2026-11-21T12:00:00+00:00"),
        answer("ben", "insult", review_id="r_9"),
    ]
    right = {"g_1": {"insult": True, "threat": False}, "g_2": {"insult": False, "threat": False}}
    assert gold_scores(answers, right) == {"ann": GoldScore(2, 1), "ben": GoldScore(1, 1)}


@pytest.mark.parametrize(
    ("answered", "right", "distrusted"),
    [(9, 0, False), (10, 7, True), (10, 8, False), (20, 15, True), (20, 16, False), (0, 0, False)],
)
def test_ten_gold_answers_of_which_less_than_four_in_five_are_right_cost_trust(
    answered: int, right: int, distrusted: bool
) -> None:
    assert GoldScore(answered, right).is_distrusted(Rules()) is distrusted


def test_three_annotators_who_make_every_label_may_have_them_all_in_a_batch() -> None:
    labels = [label(number, "ann", "ben", "cem") for number in range(20)]
    assert within_share(labels) == labels


def test_nobody_has_a_part_in_more_than_half_of_a_batch_of_many_annotators() -> None:
    others = [f"a{number}" for number in range(9)]
    labels = [label(n, "eve", others[n % 9], others[(n + 1) % 9]) for n in range(60)]
    labels += [label(n, *(others[(n + k) % 9] for k in range(3))) for n in range(60, 100)]
    batch = within_share(labels)
    counts = Counter(name for one in batch for name in one.annotators)
    assert len(batch) == 80
    assert counts["eve"] == 40
    assert max(counts.values()) / len(batch) <= 0.5


def test_the_newest_of_too_many_labels_wait() -> None:
    others = [f"a{number}" for number in range(9)]
    labels = [label(n, "eve", others[n % 9], others[(n + 1) % 9]) for n in range(60)]
    labels += [label(n, *(others[(n + k) % 9] for k in range(3))) for n in range(60, 100)]
    kept = [one.review_id for one in within_share(labels) if "eve" in one.annotators]
    assert kept == [f"r_{number:04}" for number in range(40)]


def test_a_newcomer_with_one_answer_holds_nobody_up() -> None:
    labels = [label(number, "ann", "ben", "cem") for number in range(20)]
    assert within_share([*labels, label(20, "ann", "ben", "new")]) == labels


@pytest.mark.parametrize("part", [5, 15, 40])
def test_a_fourth_annotator_holds_a_team_of_three_up_in_no_more_than_their_own_labels(part: int) -> None:
    labels = [label(number, "ann", "ben", "new" if number < part else "cem") for number in range(100)]
    assert within_share(labels) == labels[part:]


def test_one_with_a_part_in_every_label_of_many_annotators_makes_them_all_wait() -> None:
    labels = [label(n, "eve", f"a{n % 9}", f"a{(n + 1) % 9}") for n in range(60)]
    assert within_share(labels) == []


def test_an_adjudicator_is_no_annotator_of_what_they_adjudicate() -> None:
    labels = [label(number, "ann", "ben", "cem", adjudicator="ada") for number in range(20)]
    assert within_share(labels) == labels


def test_the_order_of_the_labels_does_not_matter() -> None:
    labels = [label(number, "ann", "ben", "cem") for number in range(5)]
    assert within_share(labels[::-1]) == labels


def test_no_labels_make_no_batch() -> None:
    assert within_share([]) == []
