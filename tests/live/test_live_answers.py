"""What a deployed stack answers: the scores that its model had where it was made, and feedback counted once."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from moderato.artifact import load_manifest
from moderato.golden import GOLDEN, Golden, misses, read_golden
from tests.live.deployment import Deployment

MODEL = Path(os.environ.get("MODEL_DIR", Path(__file__).parents[2] / "models" / "starter"))


@pytest.fixture(scope="module")
def golden() -> list[Golden]:
    """The golden answers of the model that should be there."""
    return read_golden(MODEL / GOLDEN)


def test_the_model_that_answers_is_the_one_that_was_tested(deployment: Deployment, key: str) -> None:
    answered = deployment.ask("GET", "/model", key=key).json()["manifest"]
    manifest = load_manifest(MODEL)
    assert (answered["name"], answered["version"]) == (manifest.name, manifest.version)


def test_golden_texts_get_their_golden_scores(deployment: Deployment, key: str, golden: list[Golden]) -> None:
    items = [{"id": str(number), "text": each.text} for number, each in enumerate(golden)]
    answer = deployment.ask("POST", "/moderate", {"items": items, "store": False}, key)
    results = answer.json()["results"]
    assert [result["id"] for result in results] == [item["id"] for item in items]
    assert [misses(each, result["scores"]) for each, result in zip(golden, results, strict=True)] == [[]] * len(golden)


def test_a_text_that_is_not_to_be_stored_leaves_no_row(deployment: Deployment, key: str, golden: list[Golden]) -> None:
    rows = deployment.rows()
    answer = deployment.ask("POST", "/moderate", {"text": golden[0].text, "store": False}, key)
    assert answer.json()["results"][0]["stored"] is False
    assert deployment.rows() == rows


def test_feedback_that_comes_twice_counts_once(deployment: Deployment, key: str, golden: list[Golden]) -> None:
    # A text that is clearly harmful is stored, and to agree queues no review: nobody has to clean up after this test.
    harmful = max(golden, key=lambda each: max(each.scores.values())).text
    decided = deployment.ask("POST", "/moderate", {"text": harmful}, key).json()["results"][0]
    assert decided["stored"]
    sent = {"decision_id": decided["decision_id"], "correct": True}
    once = {"idempotency-key": str(uuid4())}
    first, second = (deployment.ask("POST", "/feedback", sent, key, headers=once) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = deployment.ask("POST", "/feedback", {**sent, "note": "another body"}, key, headers=once)
    assert other.status_code == 409
    shown = deployment.ask("GET", f"/decisions/{decided['decision_id']}", key=key).json()
    assert [entry["feedback_id"] for entry in shown["feedback"]] == [first.json()["feedback_id"]]


def test_a_bad_request_is_told_what_is_wrong(deployment: Deployment, key: str) -> None:
    answer = deployment.ask("POST", "/moderate", {"text": "a", "texts": "b"}, key)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
