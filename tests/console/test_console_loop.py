"""The console's page on the loop, and its JSON twin."""

import json
from io import StringIO

import msgspec

from feedback.app import Handler
from feedback.console import Console
from moderato.models_report import ModelsReport
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, review_id_of
from moderato.sqlite import SqliteStore
from tests.consoles import answered, app_with, queued, report_models, see
from tests.pages import get


def test_the_loop_shows_reviews_labels_and_models(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    sampled = queued(store, 1, reason=ReviewReason.SAMPLED, sampling_probability=0.01)
    answered(queue, sampled, ann=["threat"], bob=["threat"], cid=["threat"])
    disputed = queued(store, 2)
    answered(queue, disputed, ann=["threat"], bob=["threat"], cid=[])
    queued(store, 3)
    page = see(app, "/console/loop")
    [tiles] = [each for each in page.all("dl") if each["class"] == "tiles"]
    assert tiles.words == (
        "Waiting 1 In dispute 1 Settled 1 Labels for the next dataset 1 Labels in a dataset 0 Rejected 0"
    )
    rows = [row.words for row in page.all("tr")]
    assert "Uncertain 1 0 1 0" in rows
    assert "ann you 2 100 %" in rows
    assert "100.0 %" in page.text("p")
    assert "1 texts drawn by chance" in page.text("p")
    assert "starter 1.2.0 in use for 3 days" in page.text("section")
    assert "identity terms 0.031 0.058 at most 0.041 no" in rows
    assert "Identity terms: too many false alarms." in page.text("li")
    assert "starter 2 starter 1 48,211 132" in rows


def test_how_annotators_did_on_test_items_is_for_adjudicators_alone(
    app: Handler, store: SqliteStore, queue: ReviewQueue
) -> None:
    queued(store)
    for number in range(10):
        queue.add_gold(f"test item number {number}", ["insult"])
        queue.annotate(review_id_of(None, f"test item number {number}"), "eve", ["threat"])
    assert "eve 10 – 0 % of 10 does not count" in [
        row.words for row in see(app, "/console/loop", name="boss").all("tr")
    ]
    page = see(app, "/console/loop")
    assert "eve 10 –" in [row.words for row in page.all("tr")]
    assert "does not count" not in page.html


def test_the_json_twin_of_the_loop_has_what_its_page_has(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    answered(queue, queued(store, 1), ann=["threat"], bob=["threat"], cid=[])
    queued(store, 2, reason=ReviewReason.SAMPLED)
    for name in ("ann", "boss"):
        shown = json.loads(get(app, "/loop", x_name=name).body)
        assert shown["by_reason"]["disputed"] == {"disagreement": "0", "uncertain": "1", "sampled": "0"}
        assert shown["by_reason"]["waiting"] == {"disagreement": "0", "uncertain": "0", "sampled": "1"}
        assert [one["annotator"] for one in shown["annotators"]] == ["ann", "bob", "cid"]
        assert [one["is_distrusted"] for one in shown["annotators"]] == [False if name == "boss" else None] * 3
        assert msgspec.convert(shown["models"], ModelsReport) == report_models()


def test_without_models_the_twin_has_none(store: SqliteStore, logs: StringIO) -> None:
    assert json.loads(get(app_with(Console(), store, logs), "/loop", x_name="ann").body)["models"] is None
