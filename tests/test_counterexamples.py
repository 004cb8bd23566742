"""Counter-examples: as many of every family, no two alike, and labels only where a template leaves no doubt."""

import random
from collections import Counter
from pathlib import Path

import pytest

from training.counterexamples import TEMPLATES, Grammar, counterexamples, load_grammar, render
from training.dataset import content_hash

CATEGORIES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")

FEW = """
labels = { hate = { toxicity = 1 }, harmless = { toxicity = 0 } }
groups = { elves = ["elf", "elvish"], trolls = ["troll"] }
words = {}
company = { sentences = ["It rained.", "I had tea."] }
[[families]]
name = "feeling"
poles = { hate = "Down with all elves!", harmless = "Long live the elves!" }
"""


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    """Return the templates."""
    return load_grammar(TEMPLATES)


def small_grammar() -> Grammar:
    """Return a grammar with one word for each slot."""
    return Grammar(
        labels={"hate": {"toxicity": 1, "identity_attack": 1}, "harmless": {"toxicity": 0}},
        groups={"Inuit": ("Inuk", "Inuit"), "Sami": ("Sami", "Sami"), "elves": ("elf",)},
        words={"dull": ("useless",), "thing": ("olives",)},
        company={"sentences": ("It rained.", "I had tea.")},
        families=(),
    )


def test_the_same_seed_makes_the_same_texts_and_another_seed_others() -> None:
    first = counterexamples(100, 1, CATEGORIES)
    assert first == counterexamples(100, 1, CATEGORIES)
    assert {row.text for row in first}.isdisjoint(row.text for row in counterexamples(40, 2, CATEGORIES)[:5])


def test_rows_are_unnatural_training_rows_of_their_own_source() -> None:
    row = counterexamples(3, 1, CATEGORIES)[2]
    assert (row.id, row.source, row.split, row.natural) == ("counter-2", "counterexamples", "train", False)


def test_no_two_texts_are_alike() -> None:
    rows = counterexamples(4000, 3, CATEGORIES)
    assert len({content_hash(row.text) for row in rows}) == 4000


def test_about_half_of_the_texts_that_name_a_group_attack_one() -> None:
    rows = counterexamples(4000, 4, CATEGORIES)
    for name in ("gay", "black", "women", "disabled", "trans"):
        named = [row for row in rows if name in row.text.lower()]
        attacks = sum(row.labels["identity_attack"] == 1 for row in named)
        assert 0.4 < attacks / len(named) < 0.6, name


def test_only_the_asked_categories_are_labeled() -> None:
    assert {tuple(row.labels) for row in counterexamples(50, 1, ["insult", "spam"])} == {("insult", "spam")}
    assert {row.labels["spam"] for row in counterexamples(50, 1, ["insult", "spam"])} == {None}


def test_swearing_at_nobody_is_profane_and_whether_it_is_toxic_is_open() -> None:
    row = next(row for row in counterexamples(2000, 1, CATEGORIES) if "holy shit, what a goal" in row.text.lower())
    assert row.labels == {
        "toxicity": None,
        "severe_toxicity": 0,
        "identity_attack": 0,
        "insult": 0,
        "profanity": 1,
        "threat": 0,
    }


def test_more_texts_than_the_templates_can_make_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(FEW)
    # Each of the two sentences alone, after or before one of the two of the company, or between them in either order.
    assert len({row.text.upper() for row in counterexamples(10, 1, CATEGORIES, path)}) == 10
    with pytest.raises(ValueError, match="ask for fewer"):
        counterexamples(400, 1, CATEGORIES, path)


def test_every_slot_has_words_and_every_text_ends_up_clean(grammar: Grammar) -> None:
    draw = random.Random(5)
    for family in grammar.families:
        for templates in family.poles.values():
            for template in templates.strip().splitlines():
                text = render(template, grammar, draw)
                assert not set(text) & set("{}[]|"), template
                assert text == text.strip(), template
                assert "  " not in text, template


def test_families_have_both_poles_and_templates_are_many_and_distinct(grammar: Grammar) -> None:
    templates = Counter(
        line for family in grammar.families for lines in family.poles.values() for line in lines.strip().splitlines()
    )
    assert len(templates) >= 700
    assert [template for template, times in templates.items() if times > 1] == []
    for family in grammar.families:
        toxic = {grammar.labels[pole].get("toxicity") == 1 for pole in family.poles}
        assert toxic == {True, False}, family.name


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{groups} met {a dull} {group}.", "Inuit met a useless Inuk."),
        ("{a adjective} band[| plays] [|]", "An Inuit band"),
        ("we like {groups}", "we like inuit"),
        ('"{thing}!" she said. {thing} again.', '"Olives!" she said. Olives again.'),
    ],
)
def test_a_template_is_filled_with_articles_and_capitals(template: str, text: str) -> None:
    rendered = {render(template, small_grammar(), random.Random(seed)) for seed in range(40)}
    assert text in rendered


def test_a_group_without_an_adjective_is_passed_over(grammar: Grammar) -> None:
    texts = {render("{a adjective} choir", grammar, random.Random(seed)) for seed in range(400)}
    assert "A woman choir" not in texts
    assert "An Asian choir" in texts


def test_a_pole_without_labels_is_named(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    path.write_text('labels={}\ngroups={}\nwords={}\ncompany={}\n[[families]]\nname="n"\npoles={odd="x"}\n')
    with pytest.raises(ValueError, match="family 'n' has a pole 'odd'"):
        load_grammar(path)
