"""The console's pages of reviews: the queue, one text at a time, answers, skips and undoing."""

from io import StringIO
from typing import Any

import pytest

from feedback.app import Handler
from moderato.policy import Action, Reason
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, Status, review_id_of
from moderato.sqlite import SqliteStore
from tests.consoles import CATEGORIES, HOSTILE, answer, answered, assert_is_accessible, listed, queued, see
from tests.pages import get, post
from tests.records import feedback


def test_the_queue_shows_what_waits_the_oldest_first(app: Handler, store: SqliteStore) -> None:
    second, first = queued(store, 2), queued(store, 1)
    page = see(app, "/console/reviews")
    assert listed(page) == [f"/console/reviews/{first}", f"/console/reviews/{second}"]
    assert "20 days" in page.text("tbody")


def test_the_queue_can_be_filtered(app: Handler, store: SqliteStore) -> None:
    old = queued(store, 1, reason=ReviewReason.DISAGREEMENT)
    new = queued(store, 20, scores={"threat": 0.7}, reasons=[Reason("threat", 0.7, 0.6, Action.REVIEW)])
    for query, review_id in {
        "reason=disagreement": old,
        "category=threat": new,
        "older_than_days=7": old,
        "reason=uncertain&category=threat&older_than_days=": new,
    }.items():
        [link] = listed(see(app, f"/console/reviews?{query}"))
        assert link.startswith(f"/console/reviews/{review_id}?")
    assert listed(see(app, "/console/reviews?reason=sampled")) == []


def test_filters_stay_while_one_answers(app: Handler, store: SqliteStore) -> None:
    first, second = queued(store, 1), queued(store, 2)
    queued(store, 3, reason=ReviewReason.DISAGREEMENT)
    at = get(app, "/console/reviews/next?reason=uncertain", x_name="ann").location
    assert at == f"/console/reviews/{first}?reason=uncertain"
    carried = see(app, at).all("input", name="reason", type_="hidden")
    assert {field["value"] for field in carried} == {"uncertain"}
    at = answer(app, first, {"label": "insult", "reason": "uncertain"}).location
    assert at == f"/console/reviews/next?reason=uncertain&notice=saved&last={first}"
    assert get(app, at, x_name="ann").location.startswith(f"/console/reviews/{second}?reason=uncertain&notice=saved")


def test_counts_say_how_many_wait_and_why(app: Handler, store: SqliteStore) -> None:
    queued(store, 1)
    queued(store, 2)
    queued(store, 3, reason=ReviewReason.SAMPLED)
    nav = next(nav for nav in see(app, "/console/reviews").all("nav") if nav["class"] == "chips")
    assert nav.words == "All 3 Disagreement 0 Uncertain 2 Sampled 1"


def test_a_long_queue_has_pages(app: Handler, store: SqliteStore) -> None:
    for number in range(1, 28):
        queued(store, number)
    queued(store, 28, reason=ReviewReason.SAMPLED)
    first = see(app, "/console/reviews?reason=uncertain")
    [more] = first.all("a", rel="next")
    assert str(more["href"]).startswith("/console/reviews?reason=uncertain&cursor=")
    second = see(app, str(more["href"]).replace("%3D", "="))
    assert (len(listed(first)), len(listed(second))) == (25, 2)
    assert not set(listed(first)) & set(listed(second))
    assert second.all("a", rel="next") == []


def test_a_review_shows_what_helps_to_decide(app: Handler, store: SqliteStore) -> None:
    page = see(app, f"/console/reviews/{queued(store)}")
    rows = [row.words for row in page.all("tr")]
    assert rows[1:] == ["insult 0.90 review from 0.80", "threat 0.10 below 0.60"]
    assert [field["value"] for field in page.all("input", name="label")] == CATEGORIES
    terms = [term.text for term in page.all("dt")]
    assert {"toxicity", "insult", "threat", "house rule"} <= set(terms)
    assert "No definition is at hand" in page.text("dd")


def test_an_answer_is_kept_and_the_next_text_comes_at_once(app: Handler, store: SqliteStore) -> None:
    first, second = queued(store, 1), queued(store, 2)
    sent = [("label", "threat"), ("label", "insult"), ("note", " he\r\nmeant it "), ("answer", "submit")]
    at = answer(app, first, sent).location
    [stored] = store.annotations_of(first)
    assert (stored.annotator, stored.labels, stored.note) == ("ann", ["insult", "threat"], "he\nmeant it")
    at = get(app, at, x_name="ann").location
    assert at.startswith(f"/console/reviews/{second}?")
    page = see(app, at)
    [notice] = page.all("p", class_="notice")
    assert notice.words == "Answer saved. See how others answered"
    assert f"/console/reviews/{first}" in [link["href"] for link in page.all("a")]


@pytest.mark.parametrize(("fields", "labels"), [({"none": "yes"}, []), ({"answer": "skip", "label": "insult"}, None)])
def test_none_and_skip_are_answers_too(app: Handler, store: SqliteStore, fields: Any, labels: Any) -> None:
    review_id = queued(store)
    assert answer(app, review_id, fields).status == 303
    assert store.annotations_of(review_id)[0].labels == labels
    assert "Nothing waits for you" in see(app, "/console/reviews/next").text("h1")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Choose at least one category"),
        ({"note": "only a note"}, "Choose at least one category"),
        ({"none": "yes", "label": "insult"}, "not both"),
        ({"label": "kindness"}, "unknown category"),
        ({"label": "insult", "note": "a" * 2001}, "The note has 2001 characters"),
        ([("label", "insult"), ("note", "a"), ("note", "b")], "more than once"),
    ],
)
def test_a_wrong_answer_is_asked_for_again(app: Handler, store: SqliteStore, fields: Any, says: str) -> None:
    review_id = queued(store)
    refused = answer(app, review_id, fields)
    assert refused.status == 400
    assert_is_accessible(refused.page)
    assert says in refused.page.one("problem").text
    assert store.annotations_of(review_id) == []


def test_what_was_filled_in_is_still_there_after_a_mistake(app: Handler, store: SqliteStore) -> None:
    page = answer(app, queued(store), {"none": "yes", "label": "threat", "note": HOSTILE["markup"]}).page
    assert [field["value"] for field in page.all("input", name="label") if "checked" in field.attributes] == ["threat"]
    assert "checked" in page.one("none").attributes
    assert page.one("note").text.strip() == HOSTILE["markup"].strip()


def test_the_last_answer_can_be_undone(app: Handler, store: SqliteStore) -> None:
    first, _ = queued(store, 1), queued(store, 2)
    answer(app, first, {"label": "insult"})
    page = see(app, get(app, "/console/reviews/next", x_name="ann").location)
    undo = page.one("undo")["action"]
    assert undo == f"/console/reviews/{first}/undo"
    at = post(app, str(undo), x_name="ann").location
    assert at == f"/console/reviews/{first}?notice=undone"
    assert store.annotations_of(first) == []
    page = see(app, at)
    assert page.has("answer")
    assert not page.has("undo")
    assert post(app, str(undo), x_name="ann").status == 303  # again: the same


def test_a_label_in_a_dataset_cannot_be_undone(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    review_id = queued(store)
    answered(queue, review_id, ann=["insult"], bob=["insult"], cid=["insult"])
    store.mark_labels([review_id], "starter 2")
    refused = post(app, f"/console/reviews/{review_id}/undo", x_name="ann")
    assert refused.status == 409
    assert "dataset" in refused.page.text("main")


def test_answers_of_others_are_hidden_until_one_has_answered(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"])
    before = see(app, f"/console/reviews/{review_id}")
    assert "bob" not in before.text("main")
    assert "a note of bob" not in before.html
    answer(app, review_id, {"answer": "skip"})
    assert "bob" not in see(app, f"/console/reviews/{review_id}").text("main")
    post(app, f"/console/reviews/{review_id}/undo", x_name="ann")
    answer(app, review_id, {"label": "insult"})
    after = see(app, f"/console/reviews/{review_id}").text("section")
    assert "bob threat a note of bob" in after


def test_whoever_reported_a_text_does_not_judge_it(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store)
    store.record_feedback(feedback(moderator="mia", review_id=review_id), "digest", None)
    page = see(app, f"/console/reviews/{review_id}", name="mia")
    assert "You reported this text" in page.text("section")
    assert not page.has("answer")
    assert answer(app, review_id, {"none": "yes"}, name="mia").status == 403
    assert see(app, f"/console/reviews/{review_id}").has("answer")


def test_a_settled_review_shows_its_label_and_takes_no_answer(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    answered(queue, review_id, bob=["threat"], cid=["threat"], dee=["threat"])
    page = see(app, f"/console/reviews/{review_id}")
    assert "Settled threat by agreement" in page.text("section")
    assert not page.has("answer")
    assert "bob" not in page.text("section")
    assert answer(app, review_id, {"none": "yes"}).status == 409


def test_gold_looks_like_any_other_review(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    queue.add_gold("a test item", ["insult"])
    gold = review_id_of(None, "a test item")
    other = queued(store, 21)
    pages = [see(app, f"/console/reviews/{review_id}") for review_id in (gold, other)]
    assert "gold" not in pages[0].html.lower()
    assert [page.has("answer") for page in pages] == [True, True]
    answer(app, gold, {"none": "yes"})
    assert store.get_review(gold).status is Status.GOLD
    page = see(app, f"/console/reviews/{gold}")
    assert "Your answer none of them Nobody else has answered yet." in page.text("section")
    assert "gold" not in page.html.lower()
    assert set(listed(see(app, "/console/reviews"))) == {f"/console/reviews/{review_id}" for review_id in (gold, other)}
    assert "gold" not in see(app, "/console/loop").html.lower()


def test_progress_counts_what_one_did_and_how_often_it_stood(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    review_id = queued(store)
    queued(store, 2)
    answered(queue, review_id, ann=["threat"], cid=["threat"], dee=["threat"])
    [figures] = [each for each in see(app, "/console/reviews").all("dl") if each["class"] == "progress"]
    assert figures.words == "Today 1 In all 1 Waiting 1 Agreement 100 %"


@pytest.mark.parametrize(
    ("wanted", "location"),
    [("d_1", "/console/decisions/d_1"), (" d_1 ", "/console/decisions/d_1"), ("r_1", "/console/reviews/r_1")],
)
def test_search_finds_by_id(app: Handler, wanted: str, location: str) -> None:
    assert post(app, "/console/search", {"id": wanted}, x_name="ann").location == location


def test_search_never_puts_what_was_pasted_into_an_address_or_a_log(app: Handler, logs: StringIO) -> None:
    answer = post(app, "/console/search", {"id": "r_ you zebrafish"}, x_name="ann")
    assert answer.status == 404
    assert "zebrafish" not in answer.body + str(answer.headers) + logs.getvalue()
