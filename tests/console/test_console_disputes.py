"""The console's pages of disputes: for adjudicators, answers side by side."""

from typing import Any

import pytest

from feedback.app import Handler
from moderato.review_queue import ReviewQueue
from moderato.reviews import Status
from moderato.sqlite import SqliteStore
from tests.consoles import HOSTILE, answered, assert_is_accessible, listed, queued, see
from tests.pages import get, post
from tests.records import feedback


def test_disputes_are_for_adjudicators_alone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    for path in ("/console/disputes", f"/console/disputes/{review_id}"):
        refused = get(app, path, x_name="ann")
        assert refused.status == 403
        assert "cid" not in refused.body
    assert post(app, f"/console/disputes/{review_id}/decide", {"label": "insult"}, x_name="ann").status == 403
    assert "/console/disputes" not in [link["href"] for link in see(app, "/console/reviews").all("a")]
    assert listed(see(app, "/console/disputes", name="boss")) == [f"/console/disputes/{review_id}"]


def test_an_adjudicator_sees_answers_side_by_side_and_decides(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    page = see(app, f"/console/disputes/{review_id}", name="boss")
    [table] = [table for table in page.all("table") if table["class"] == "side-by-side"]
    rows = [row.words for row in page.all("tr") if table in row.within]
    assert rows[0] == "Category bob cid dee Decision"
    assert rows[1].startswith("insult no no yes insult: belongs")
    assert "threat yes yes yes agreed" in rows
    assert [field["value"] for field in page.all("input", name="label")] == ["insult"]
    at = post(app, f"/console/disputes/{review_id}/decide", {"label": "insult"}, x_name="boss").location
    assert at == "/console/disputes?notice=decided"
    label = store.get_label(review_id)
    assert label is not None
    assert label.values == {"toxicity": False, "insult": True, "threat": True, "house_rule": False}
    assert get(app, f"/console/disputes/{review_id}", x_name="boss").status == 409


def test_a_decided_dispute_can_be_undone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=[])
    at = post(app, f"/console/disputes/{review_id}/decide", {"label": "threat"}, x_name="boss").location
    undo = see(app, at, name="boss").one("undo")["action"]
    at = post(app, str(undo), x_name="boss").location
    assert store.get_review(review_id).status is Status.DISPUTED
    assert at == f"/console/disputes/{review_id}?notice=reopened"
    page = see(app, at, name="boss")
    assert "This dispute waits for a decision again" in page.text("p")
    assert page.has("answer")
    assert post(app, str(undo), x_name="boss").location == at  # again: the same


def test_an_adjudicator_who_undoes_an_annotation_is_asked_again(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store)
    post(app, f"/console/reviews/{review_id}/answer", {"label": "threat"}, x_name="boss")
    at = post(app, f"/console/reviews/{review_id}/undo", x_name="boss").location
    assert at == f"/console/reviews/{review_id}?notice=undone"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Choose at least one category, or “none of these”"),
        ({"note": "only a note"}, "Choose at least one category"),
        ({"answer": "skip"}, "Choose at least one category"),
        ({"none": "yes", "label": "insult"}, "not both"),
        ({"label": "kindness"}, "unknown category"),
        ({"label": "insult", "note": "a" * 2001}, "The note has 2001 characters"),
    ],
)
def test_a_dispute_is_not_decided_by_a_wrong_answer(
    app: Handler, store: SqliteStore, queue: ReviewQueue, fields: Any, says: str
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    refused = post(app, f"/console/disputes/{review_id}/decide", fields, x_name="boss")
    assert refused.status == 400
    assert_is_accessible(refused.page)
    assert says in refused.page.one("problem").text
    assert store.get_review(review_id).status is Status.DISPUTED


def test_none_of_the_disputed_categories_is_a_decision_too(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    assert see(app, f"/console/disputes/{review_id}", name="boss").one("none")["name"] == "none"
    post(app, f"/console/disputes/{review_id}/decide", {"none": "yes"}, x_name="boss")
    label = store.get_label(review_id)
    assert label is not None
    assert label.values == {"toxicity": False, "insult": False, "threat": True, "house_rule": False}


def test_what_was_filled_in_of_a_decision_is_still_there_after_a_mistake(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat", "insult"])
    fields = {"none": "yes", "label": "insult", "note": HOSTILE["markup"]}
    page = post(app, f"/console/disputes/{review_id}/decide", fields, x_name="boss").page
    assert "checked" in page.one("none").attributes
    assert "checked" in page.one("label-1").attributes
    assert page.one("note").text.strip() == HOSTILE["markup"].strip()


def test_an_adjudicator_does_not_decide_what_they_annotated_or_reported(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    first, second = queued(store, 1), queued(store, 2)
    answered(queue, first, boss=["threat"], cid=["threat"], dee=[])
    answered(queue, second, bob=["threat"], cid=["threat"], dee=[])
    store.record_feedback(feedback(decision_id="d_2", moderator="boss", review_id=second), "digest", None)
    for review_id, says in {first: "one of its annotators", second: "You reported"}.items():
        page = see(app, f"/console/disputes/{review_id}", name="boss")
        assert says in page.text("form")
        assert page.all("input", name="label") == []
        assert post(app, f"/console/disputes/{review_id}/decide", {"none": "yes"}, x_name="boss").status == 403
