"""The console's forms: read strictly, and refused when another site sends them."""

import base64
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.app import Handler
from feedback.console_security import refuse_foreign
from moderato.sqlite import SqliteStore
from tests.consoles import (
    queued,
)
from tests.pages import asking, call, get, post

ENCODED = base64.b64encode(b"note=%C3%A9&none=1").decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "https://console.test.evil.test"},
        {"origin": "https://["},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "https://console.test"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.test"},
    ],
)
def test_a_form_from_another_site_is_refused(app: Handler, store: SqliteStore, headers: dict[str, str]) -> None:
    review_id = queued(store)
    answer = post(app, f"/console/reviews/{review_id}/answer", {"none": "yes"}, x_name="ann", **headers)
    assert answer.status == 403
    assert "another site" in answer.page.text("main")
    assert post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="ann", **headers).status == 403
    assert store.annotations_of(review_id) == []
    assert get(app, "/console/decisions/d_1", x_name="ann").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://console.test"},
        {"sec_fetch_site": "same-origin", "origin": "null"},
        {"sec_fetch_site": "same-origin", "origin": "https://console.test"},
        {"sec_fetch_site": "none"},
    ],
)
def test_a_form_of_ours_is_taken(headers: dict[str, str]) -> None:
    refuse_foreign(APIGatewayProxyEventV2(asking("POST", "/console/search", "", headers)))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("none=yes", {"content_type": "application/json"}, 415),
        ("none=yes", {"content_type": "multipart/form-data; boundary=x"}, 415),
        ("none=yes", {"content_type": "application/x-www-form-urlencoded; charset=UTF-8"}, 303),
        ("none=yes&junk", {}, 400),
        ("none=%ff", {}, 400),
        ("&".join(["label=insult"] * 201), {}, 400),
        ("note=" + "a" * 262_144, {}, 413),
        ("", {}, 400),
        ("none=\ud800", {}, 400),
    ],
)
def test_forms_are_read_strictly(app: Handler, store: SqliteStore, body: str, headers: Any, status: int) -> None:
    review_id = queued(store)
    sent = {"x_name": "ann", "content_type": "application/x-www-form-urlencoded"} | headers
    assert call(app, asking("POST", f"/console/reviews/{review_id}/answer", "", sent, body)).status == status


@pytest.mark.parametrize(("body", "status"), [(ENCODED, 303), (f"!{ENCODED}", 400), ("=", 400)])
def test_a_body_may_come_as_base64(app: Handler, store: SqliteStore, body: str, status: int) -> None:
    review_id = queued(store)
    headers = {"x_name": "ann", "content_type": "application/x-www-form-urlencoded"}
    sent = asking("POST", f"/console/reviews/{review_id}/answer", "", headers, body) | {"isBase64Encoded": True}
    assert call(app, sent).status == status
    assert [given.note for given in store.annotations_of(review_id)] == (["é"] if status == 303 else [])
