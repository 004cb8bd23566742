"""Contrast: hand-written pairs that no model is trained on, judged by family and by category."""

import json
import re
from collections import Counter
from pathlib import Path

from moderato.scorer import Scorer
from training.contrast import measure_contrast, read_contrast
from training.counterexamples import TEMPLATES, counterexamples, load_grammar
from training.dataset import content_hash

CONTRAST = Path(__file__).parent / "texts" / "contrast.jsonl"
CATEGORIES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")


def pattern_of(template: str) -> str:
    """Return a pattern of what a template can say, whatever stands in its slots of up to four words."""
    plain = re.sub(r"\[([^\[\]]*)\]", lambda found: f"(?:{found[1]})", re.sub(r"([.?*+()$^])", r"\\\1", template))
    return re.sub(r"\{[^}]*\}", lambda _: r"[\w'-]+(?: [\w'-]+){0,3}", plain)


def test_a_right_answer_is_harm_flagged_or_harmlessness_allowed(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    lines = [
        {"text": "You stupid idiot, shut up.", "family": "insult", "labels": {"toxicity": 1, "insult": 1}},
        {"text": "You are a stupid idiot.", "family": "insult", "labels": {"toxicity": 0, "insult": 0}},
        {"text": "Thank you for the soup.", "family": "thanks", "labels": {"toxicity": 0, "insult": 0}},
        {"text": "This is fucking brilliant.", "family": "thanks", "labels": {"profanity": 1}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = measure_contrast(scorer, path)
    found = {each.family: (each.harmful, each.harmless) for each in report.families}
    assert [(t.right, t.texts) for t in found["insult"]] == [(1, 1), (0, 1)]
    assert [(t.right, t.texts) for t in found["thanks"]] == [(0, 0), (1, 1)]
    assert (report.harmful.accuracy, report.harmless.accuracy) == (1.0, 0.5)
    assert [(t.right, t.texts) for t in report.categories["profanity"]] == [(1, 1), (0, 0)]
    assert [(t.right, t.texts) for t in report.categories["insult"]] == [(1, 1), (1, 2)]


def test_families_are_those_of_the_counterexamples_and_have_both_poles() -> None:
    texts = read_contrast(CONTRAST)
    assert {one.family for one in texts} == {family.name for family in load_grammar(TEMPLATES).families}
    assert len({one.text for one in texts}) == len(texts) >= 150
    sides = Counter(one.labels.get("toxicity") for one in texts)
    assert min(sides[0], sides[1]) >= 70
    assert {name for one in texts for name in one.labels} == set(CATEGORIES)


def test_no_counterexample_is_a_contrast_text() -> None:
    grammar = load_grammar(TEMPLATES)
    contrast = [one.text for one in read_contrast(CONTRAST)]
    templates = [t for family in grammar.families for lines in family.poles.values() for t in lines.strip().split("\n")]
    said = [
        (template, text)
        for template in templates
        if len(re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", template)) > 12  # shorter ones fit too many texts
        for text in contrast
        if re.fullmatch(pattern_of(template), text, re.IGNORECASE)
    ]
    assert said == []
    emitted = {content_hash(row.text) for row in counterexamples(3000, 1, CATEGORIES)}
    assert emitted.isdisjoint(content_hash(text) for text in contrast)
