"""POST /moderate and the pages about the model, through the front door with the starter model."""

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from moderato.retention import Keep
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from tests.conftest import App, moderation_app
from tests.events import send

TEXTS = Path(__file__).parent / "texts"
ABUSIVE = (TEXTS / "abusive.txt").read_text().splitlines()
FRIENDLY = (TEXTS / "friendly.txt").read_text().splitlines()
MARKER = "xylophonequokka"


def moderate(app: App, **request: Any) -> Any:
    """Return the results of a request that is answered."""
    status, body = send(app, "POST", "/moderate", request)
    assert status == 200, body
    return body["results"]


def batch(texts: list[str]) -> list[dict[str, str]]:
    """Return texts as items."""
    return [{"id": f"c-{number}", "text": text} for number, text in enumerate(texts)]


def test_clearly_abusive_texts_are_flagged(moderation: App) -> None:
    assert len(ABUSIVE) == 20
    assert sum(result["flagged"] for result in moderate(moderation, items=batch(ABUSIVE))) >= 18


def test_friendly_texts_are_allowed(moderation: App) -> None:
    assert len(FRIENDLY) == 20
    assert sum(result["flagged"] for result in moderate(moderation, items=batch(FRIENDLY))) <= 2


def test_an_answer_names_model_policy_scores_and_reasons(moderation: App, scorer: Scorer) -> None:
    status, body = send(moderation, "POST", "/moderate", {"text": ABUSIVE[0]})
    assert status == 200
    assert body["model"] == {"name": "starter", "version": scorer.manifest.version}
    assert body["policy"] == {"name": "default", "version": 1}
    result = body["results"][0]
    assert set(result) == {"decision_id", "action", "flagged", "scores", "reasons", "stored"}
    assert list(result["scores"]) == list(scorer.manifest.category_names)
    assert result["reasons"][0]["score"] >= result["reasons"][0]["threshold"]
    assert result["action"] == result["reasons"][0]["action"]


def test_a_text_has_the_same_scores_alone_among_99_others_and_in_another_order(moderation: App) -> None:
    texts = [f"{text} ({number})" for number, text in enumerate((ABUSIVE + FRIENDLY) * 3)][:100]
    together = {r["id"]: r["scores"] for r in moderate(moderation, items=batch(texts))}
    items = batch(texts)
    random.Random(3).shuffle(items)
    shuffled = {r["id"]: r["scores"] for r in moderate(moderation, items=items)}
    alone = {item["id"]: moderate(moderation, text=item["text"])[0]["scores"] for item in items[:10]}
    assert shuffled == together
    assert alone == {name: together[name] for name in alone}


def test_abuse_in_the_middle_of_20000_characters_is_flagged_and_located(moderation: App) -> None:
    abuse = "You are a disgusting idiot and I hope you die."
    filler = (" ".join(FRIENDLY) + " ") * 10
    half = filler[: (20_000 - len(abuse)) // 2]
    text = f"{half[: half.rindex(' ')]} {abuse} {filler}"[:20_000]
    result = moderate(moderation, text=text, explain=True)[0]
    assert result["flagged"]
    start = text.index(abuse)
    assert any(span["start"] <= start and start + len(abuse) <= span["end"] for span in result["spans"])


def test_spans_are_there_only_when_asked_for(moderation: App) -> None:
    assert "spans" not in moderate(moderation, text=ABUSIVE[0])[0]
    assert moderate(moderation, text=FRIENDLY[0], explain=True)[0]["spans"] == []


def test_a_flagged_decision_is_stored_and_an_allowed_one_is_not(moderation: App, store: SqliteStore) -> None:
    flagged, allowed = moderate(moderation, items=batch([ABUSIVE[2], FRIENDLY[0]]))
    assert (flagged["stored"], allowed["stored"]) == (True, False)
    decision = store.get_decision(flagged["decision_id"])
    assert (decision.text, decision.item_id, decision.kept_because) == (ABUSIVE[2], "c-0", "flagged")


def test_store_false_keeps_nothing_even_where_all_is_kept(scorer: Scorer, store: SqliteStore, tmp_path: Path) -> None:
    app = moderation_app(scorer, store, StringIO(), Keep.ALL)
    assert moderate(app, text=f"{MARKER} you idiot", store=False)[0]["stored"] is False
    store.close()
    assert all(MARKER.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(("keep", "stored"), [(Keep.ALL, True), (Keep.NONE, False)])
def test_all_and_none_are_kept_where_they_are_the_setting(
    scorer: Scorer, store: SqliteStore, keep: Keep, stored: bool
) -> None:
    results = moderate(moderation_app(scorer, store, StringIO(), keep), items=batch([ABUSIVE[0], FRIENDLY[0]]))
    assert [result["stored"] for result in results] == [stored, stored]


def test_a_sampled_text_is_stored_with_its_probability(scorer: Scorer, store: SqliteStore) -> None:
    app = moderation_app(scorer, store, StringIO(), Keep.FLAGGED, draw=0.0)
    decision = store.get_decision(moderate(app, text=FRIENDLY[0])[0]["decision_id"])
    assert (decision.kept_because, decision.sampling_probability) == ("sampled", 0.01)


@pytest.mark.parametrize(
    ("request_body", "word"),
    [
        ({}, "neither"),
        ({"text": "a", "items": [{"text": "b"}]}, "both"),
        ({"text": ""}, "/text"),
        ({"text": "a" * 20_001}, "/text"),
        ({"text": 1}, "/text"),
        ({"items": []}, "/items"),
        ({"items": [{"text": "a"}] * 101}, "/items"),
        ({"items": [{"text": "a"}, {"txt": "a"}]}, "/items/1"),
        ({"items": [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}]}, "same id"),
        ({"text": "a", "policy": "nope"}, "default"),
        ({"text": "a", "explian": True}, "explain"),
        ({"text": "a", "store": "no"}, "/store"),
    ],
)
def test_a_bad_request_is_named(moderation: App, request_body: object, word: str) -> None:
    status, body = send(moderation, "POST", "/moderate", request_body)
    assert status == 400
    assert word in json.dumps(body)


@pytest.mark.parametrize(
    "raw",
    ["", "{", "[]", '{"text": NaN}', '{"text": "a", "text": "b"}', '{"text": "\\ud800"}', "9" * 5000, "[" * 100_000],
    ids=["empty", "cut", "array", "nan", "duplicate", "surrogate", "digits", "deep"],
)
def test_what_is_no_request_is_refused(moderation: App, raw: str) -> None:
    status, body = send(moderation, "POST", "/moderate", raw, headers={"content-type": "application/json"})
    assert status == 400
    assert body["title"] == "Invalid request"


def test_no_user_text_is_logged(moderation: App, logs: StringIO) -> None:
    moderate(moderation, text=f"{MARKER} you stupid idiot")
    moderate(moderation, text=f"{MARKER} is lovely", explain=True)
    send(moderation, "POST", "/moderate", {"text": "a", MARKER: 1})
    send(moderation, "POST", "/moderate", {"text": "a", "policy": MARKER})
    send(moderation, "POST", "/moderate", f"{{{MARKER}")
    send(moderation, "GET", f"/{MARKER}")
    assert len(logs.getvalue().splitlines()) == 6
    assert MARKER not in logs.getvalue()


def test_the_pages_about_the_model_answer(moderation: App, scorer: Scorer) -> None:
    assert send(moderation, "GET", "/healthz") == (200, {"status": "ok"})
    assert send(moderation, "GET", "/readyz") == (200, {"status": "ok"})
    status, body = send(moderation, "GET", "/model")
    assert status == 200
    assert body["card"] == "# The card"
    assert [category["name"] for category in body["manifest"]["categories"]] == list(scorer.manifest.category_names)
    assert send(moderation, "GET", "/openapi.json")[1]["info"]["title"] == "Moderato"


def test_an_unknown_route_and_a_wrong_method_are_told_apart(moderation: App) -> None:
    assert send(moderation, "GET", "/nothing")[0] == 404
    assert send(moderation, "GET", "/moderate")[0] == 405
