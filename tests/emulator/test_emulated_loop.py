"""The main flow on an emulated AWS that enforces IAM: each step works by the own role of the function that takes it."""

import json
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from moderato.access import Scope
from tests.emulator.issuer import Issuer, platform_token
from tests.live.conftest import MakeKey
from tests.live.deployment import Deployment

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def mark() -> str:
    """A word that is in no other test's text."""
    return f"mark{uuid4().hex}"


def rows_with(deployment: Deployment, word: str) -> int:
    """Return how many items of the table have a word in them."""
    pages = (
        boto3.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=deployment.outputs["TableName"], ConsistentRead=True)
    )
    return sum(word in json.dumps(item) for page in pages for item in page["Items"])


def test_a_text_goes_all_the_way_from_decision_to_label_and_is_erased(
    deployment: Deployment, issuer: Issuer, make_key: MakeKey, mark: str
) -> None:
    platform = platform_token(deployment)
    moderator, *annotators = (make_key(scopes=[Scope.FEEDBACK]) for _ in range(4))
    adjudicator = issuer.of_person("ada", "adjudicators")

    decided = deployment.ask("POST", "/moderate", {"text": f"You are a complete idiot, {mark}."}, platform)
    assert decided.status_code == 200
    decision_id = decided.json()["results"][0]["decision_id"]
    assert rows_with(deployment, mark) == 1

    given = deployment.ask("POST", "/feedback", {"decision_id": decision_id, "correct": False}, moderator)
    assert (given.status_code, given.json()["review_queued"]) == (201, True)

    waiting = deployment.ask("GET", "/reviews", key=moderator).json()["reviews"]
    review_id = next(review["review_id"] for review in waiting if review["decision_id"] == decision_id)
    for annotator in annotators:
        answered = deployment.ask("POST", f"/reviews/{review_id}/annotations", {"labels": ["insult"]}, annotator)
        assert answered.status_code == 201

    settled = deployment.ask("GET", f"/reviews/{review_id}", key=annotators[0]).json()
    assert (settled["status"], settled["label"]["insult"]) == ("settled", True)
    assert mark in deployment.ask("GET", "/labels.manifest", key=moderator).text
    assert deployment.ask("GET", "/loop", key=moderator).status_code == 200

    assert deployment.ask("DELETE", f"/decisions/{decision_id}", key=moderator).status_code == 403
    assert deployment.ask("DELETE", f"/decisions/{decision_id}", key=adjudicator).status_code == 204
    assert deployment.ask("GET", f"/decisions/{decision_id}", key=moderator).status_code == 404
    assert rows_with(deployment, mark) == 0


def test_a_text_without_a_decision_is_reported_adjudicated_and_erased(
    deployment: Deployment, issuer: Issuer, make_key: MakeKey, mark: str
) -> None:
    moderator, *annotators = (make_key(scopes=[Scope.FEEDBACK]) for _ in range(4))
    adjudicator = issuer.of_person("ada", "adjudicators")
    text = f"Nobody asked you, {mark}."
    given = deployment.ask("POST", "/feedback", {"text": text, "labels": {"insult": True}}, moderator).json()
    assert given["review_queued"]
    waiting = deployment.ask("GET", "/reviews", key=moderator).json()["reviews"]
    review_id = next(review["review_id"] for review in waiting if review["text"] == text)
    for annotator, labels in zip(annotators, [["insult"], ["insult"], []], strict=True):
        deployment.ask("POST", f"/reviews/{review_id}/annotations", {"labels": labels}, annotator)
    disputed = deployment.ask("GET", "/reviews?status=disputed", key=adjudicator).json()["reviews"]
    assert review_id in [review["review_id"] for review in disputed]
    decided = deployment.ask("POST", f"/reviews/{review_id}/adjudication", {"labels": ["insult"]}, adjudicator)
    assert decided.status_code == 201
    assert deployment.ask("DELETE", f"/feedback/{given['feedback_id']}", key=adjudicator).status_code == 204
    assert rows_with(deployment, mark) == 0


def test_an_annotator_may_take_an_answer_back(deployment: Deployment, make_key: MakeKey, mark: str) -> None:
    moderator, annotator = (make_key(scopes=[Scope.FEEDBACK]) for _ in range(2))
    deployment.ask("POST", "/feedback", {"text": f"Fool, {mark}.", "labels": {"insult": False}}, moderator)
    waiting = deployment.ask("GET", "/reviews", key=annotator).json()["reviews"]
    review_id = next(review["review_id"] for review in waiting if mark in review["text"])
    annotations = f"/reviews/{review_id}/annotations"
    assert deployment.ask("POST", annotations, {"labels": []}, annotator).status_code == 201
    assert deployment.ask("DELETE", annotations, key=annotator).status_code == 204


def test_the_console_shows_its_pages_to_who_is_signed_in(deployment: Deployment, issuer: Issuer) -> None:
    person = issuer.of_person("mia")
    for page in ("/console/reviews", "/console/decisions", "/console/loop"):
        answer = deployment.ask("GET", page, key=person)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/html")
