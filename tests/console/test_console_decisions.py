"""The console's pages of decisions: the list, one with its feedback, and erasure."""

from feedback.app import Handler
from moderato.sqlite import SqliteStore
from tests.consoles import listed, queued, see
from tests.pages import get, post
from tests.records import feedback


def test_decisions_come_the_newest_first_with_paging(app: Handler, store: SqliteStore) -> None:
    for number in range(1, 28):
        queued(store, number)
    first = see(app, "/console/decisions")
    assert listed(first)[:2] == ["/console/decisions/d_27", "/console/decisions/d_26"]
    [older] = first.all("a", rel="next")
    second = see(app, str(older["href"]).replace("%3D", "="))
    assert listed(second) == ["/console/decisions/d_2", "/console/decisions/d_1"]


def test_a_decision_shows_its_feedback_and_its_review(app: Handler, store: SqliteStore) -> None:
    review_id = queued(store)
    given = feedback(review_id=review_id, labels={"insult": False, "threat": True}, correct=None, note="a joke")
    store.record_feedback(given, "digest", None)
    page = see(app, "/console/decisions/d_1")
    assert "mia not insult threat" in page.text("section")
    assert "a joke" in page.text("section")
    assert "Its review is waiting" in page.text("section")
    assert f"/console/reviews/{review_id}" in [link["href"] for link in page.all("a")]


def test_erasure_needs_a_confirmation(app: Handler, store: SqliteStore) -> None:
    queued(store)
    assert post(app, "/console/decisions/d_1/erase", {}, x_name="boss").status == 400
    assert get(app, "/console/decisions/d_1", x_name="boss").status == 200
    at = post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="boss").location
    assert "Erased for good" in see(app, at, "boss").text("main")
    assert get(app, "/console/decisions/d_1", x_name="boss").status == 404
    assert post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="boss").status == 404


def test_who_is_no_adjudicator_sees_no_way_to_erase_and_has_none(app: Handler, store: SqliteStore) -> None:
    queued(store)
    assert "Erase" not in get(app, "/console/decisions/d_1", x_name="ann").body
    assert "Erase" in get(app, "/console/decisions/d_1", x_name="boss").body
    assert post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann").status == 403
    assert get(app, "/console/decisions/d_1", x_name="ann").status == 200
