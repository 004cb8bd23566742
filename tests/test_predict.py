"""POST /moderate and the pages about the model, through the front door with the starter model."""

import json
import random
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest

from moderato.errors import BrokenPolicy
from moderato.policy import Policy, Threshold
from moderato.retention import Keep, Retention
from moderato.reviews import ReviewReason, Status
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from predict.app import create_app
from tests.conftest import App, moderation_app
from tests.events import send
from tests.records import logger_to

TEXTS = Path(__file__).parent / "texts"
ABUSIVE = (TEXTS / "abusive.txt").read_text().splitlines()
FRIENDLY = (TEXTS / "friendly.txt").read_text().splitlines()
BORDERLINE = "Stop being lazy, you two."
MARKER = "xylophonequokka"


def borderline_app(scorer: Scorer, store: SqliteStore, keep: Keep, draw: float = 1.0) -> App:
    """Build the app with a policy whose one threshold is a tenth above the score of BORDERLINE."""
    toxicity = scorer.score(BORDERLINE).scores["toxicity"]
    return create_app(
        scorer=scorer,
        card="",
        policies={"default": Policy("default", 1, {"toxicity": Threshold(1.1 * toxicity, None)})},
        store=store,
        retention=Retention(keep, 0.01, lambda: draw),
        logger=logger_to(StringIO()),
    )


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


@pytest.mark.parametrize(("keep", "request_store"), [(Keep.ALL, False), (Keep.FLAGGED, False), (Keep.NONE, True)])
def test_what_may_not_be_stored_leaves_no_byte_even_where_chance_draws_it(
    scorer: Scorer, store: SqliteStore, tmp_path: Path, keep: Keep, request_store: bool
) -> None:
    app = borderline_app(scorer, store, keep, draw=0.0)
    results = moderate(
        app, items=batch([f"{MARKER} you idiot", f"{MARKER} is lovely", f"{BORDERLINE} {MARKER}"]), store=request_store
    )
    assert [result["stored"] for result in results] == [False, False, False]
    store.close()
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert not [path.name for path in files if MARKER.encode() in path.read_bytes()]


def test_a_certain_and_allowed_text_touches_no_store(scorer: Scorer) -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"the store was asked for {name}")

    app = moderation_app(scorer, cast("SqliteStore", Untouchable()), StringIO(), Keep.FLAGGED)
    assert moderate(app, text=FRIENDLY[0])[0]["stored"] is False


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


@pytest.mark.parametrize("keep", [Keep.FLAGGED, Keep.ALL])
def test_what_chance_draws_is_reviewed_with_its_probability(scorer: Scorer, store: SqliteStore, keep: Keep) -> None:
    app = borderline_app(scorer, store, keep, draw=0.0)
    decided = moderate(app, items=batch([FRIENDLY[0], BORDERLINE]))
    reviews = store.list_reviews(Status.WAITING, 10).records
    assert {review.decision_id for review in reviews} == {one["decision_id"] for one in decided}
    assert {(review.reason, review.sampling_probability) for review in reviews} == {(ReviewReason.SAMPLED, 0.01)}


@pytest.mark.parametrize("keep", [Keep.FLAGGED, Keep.ALL])
def test_what_is_uncertain_is_reviewed_without_a_probability(scorer: Scorer, store: SqliteStore, keep: Keep) -> None:
    app = borderline_app(scorer, store, keep)
    decided = moderate(app, items=batch([FRIENDLY[0], BORDERLINE]))
    (review,) = store.list_reviews(Status.WAITING, 10).records
    assert (review.decision_id, review.text) == (decided[1]["decision_id"], BORDERLINE)
    assert (review.reason, review.sampling_probability) == (ReviewReason.UNCERTAIN, None)
    assert review.scores == decided[1]["scores"]


def test_decision_and_review_are_kept_as_long_as_they_are_meant_to(scorer: Scorer, store: SqliteStore) -> None:
    moderate(borderline_app(scorer, store, Keep.FLAGGED), text=BORDERLINE)
    (review,) = store.list_reviews(Status.WAITING, 10).records
    decision = store.get_decision(review.decision_id or "")
    until = datetime.fromisoformat(decision.created) + timedelta(days=180)
    assert review.expires == decision.expires == int(until.timestamp())


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


def test_a_policy_that_names_a_category_the_model_does_not_score_is_refused_at_start(
    scorer: Scorer, store: SqliteStore
) -> None:
    policies = {
        "default": Policy("default", 1, {"toxicity": Threshold(0.5, None)}),
        "forum": Policy("forum", 7, {"insult": Threshold(0.5, None), "spam": Threshold(0.5, 0.9)}),
    }
    with pytest.raises(BrokenPolicy) as refused:
        create_app(scorer, "", policies, store, Retention(Keep.NONE, 0.0, lambda: 1.0), logger_to(StringIO()))
    assert str(refused.value) == (
        "policy forum version 7 has thresholds for spam, but the model's categories are "
        "toxicity, severe_toxicity, identity_attack, insult, profanity, threat"
    )
