"""The review console as a whole: every page safe, usable by anybody and also JSON; who may see it; nothing fails."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.app import Handler
from feedback.console import Console
from moderato.review_queue import ReviewQueue
from moderato.sqlite import SqliteStore
from tests.consoles import (
    answer,
    app_with,
    assert_is_accessible,
    assert_is_safe,
    every_page,
    queued,
    see,
)
from tests.pages import asking, call, get, post


def test_every_page_is_safe_and_can_be_used_by_anybody(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    for address in every_page(store, queue):
        answer = get(app, address, x_name="boss")
        assert answer.status == 200, address
        assert_is_safe(answer)
        assert_is_accessible(answer.page)


def test_every_page_is_also_there_as_json(app: Handler, store: SqliteStore, queue: ReviewQueue) -> None:
    for address in every_page(store, queue):
        [link] = see(app, address, name="boss").all("link", rel="alternate")
        assert link["type"] == "application/json"
        answer = get(app, str(link["href"]), x_name="boss")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


def test_errors_are_pages_too(app: Handler) -> None:
    answer = get(app, "/console/reviews/r_none", x_name="ann")
    assert answer.status == 404
    assert_is_safe(answer)
    assert_is_accessible(answer.page)
    assert answer.page.text("h1") == "Unknown review"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/console/nowhere", 404),
        ("/console/nowhere/at/all", 404),
        ("/console/reviews/%3Cscript%3E", 404),
        ("/console/reviews/<script>", 404),
        ("/console/reviews/r_" + "a" * 3000, 404),
        ("/console/decisions/d_none", 404),
        ("/console/decisions/none", 404),
        ("/console/static/../console.py", 404),
        ("/console/static/console.py", 404),
        ("/console/reviews?reason=boredom", 400),
        ("/console/reviews?category=kindness", 400),
        ("/console/reviews?older_than_days=0", 400),
        ("/console/reviews?older_than_days=-1", 400),
        ("/console/reviews?older_than_days=99999999999999999999", 400),
        ("/console/reviews?older_than_days=\u0663", 400),
        ("/console/reviews?cursor=nonsense", 400),
        ("/console/decisions?cursor=" + "a" * 5000, 400),
        ("/console/reviews/next?reason=boredom", 400),
        ("/console/disputes", 403),
        ("/console/disputes/r_none", 403),
    ],
)
def test_what_cannot_be_shown_gets_a_page_that_says_so(app: Handler, address: str, status: int) -> None:
    answer = get(app, address, x_name="ann")
    assert answer.status == status
    assert "script>" not in answer.page.text("main")


def test_the_console_begins_at_the_queue(app: Handler) -> None:
    assert get(app, "/console", x_name="ann").location == "/console/reviews"


def test_nobody_sees_anything_before_signing_in(app: Handler, store: SqliteStore, logs: StringIO) -> None:
    review_id = queued(store)
    elsewhere = app_with(Console(sign_in_url="/console/sign-in"), store, logs)
    for address in ("/console/reviews", f"/console/reviews/{review_id}", "/console/decisions/d_1", "/console/loop"):
        assert get(app, address).status == 401
        assert "text number" not in get(app, address).body
        assert get(elsewhere, address).location.startswith("/console/sign-in")
    assert post(app, f"/console/reviews/{review_id}/answer", {"none": "yes"}).status == 401
    assert store.annotations_of(review_id) == []


def test_whoever_has_to_sign_in_says_which_page_they_asked_for(store: SqliteStore, logs: StringIO) -> None:
    app = app_with(Console(sign_in_url="/console/sign-in"), store, logs)
    asked = "/console/reviews?reason=uncertain&cursor=a%2Fb"
    assert get(app, asked).location == f"/console/sign-in?{urlencode({'page': asked})}"
    assert get(app, "/console/reviews").location == "/console/sign-in"
    assert get(app, "/console/disputes/..%2f").location == "/console/sign-in"


def test_a_form_of_somebody_who_is_not_signed_in_any_more_says_that_nothing_was_saved(
    store: SqliteStore, logs: StringIO
) -> None:
    app = app_with(Console(sign_in_url="/console/sign-in"), store, logs)
    answer = post(app, f"/console/reviews/{queued(store)}/answer", {"none": "yes"})
    assert answer.status == 401
    assert "nothing was saved" in answer.page.text("main")
    assert answer.page.all("a", class_="button primary")[0]["href"] == "/console/sign-in"


def test_an_empty_console_says_so(store: SqliteStore, logs: StringIO) -> None:
    app = app_with(Console(), store, logs)
    for address in ("/console/reviews", "/console/decisions", "/console/loop", "/console/reviews/next"):
        page = see(app, address)
        assert_is_accessible(page)
    assert "Models" not in see(app, "/console/loop").text("h2")
    assert "Nothing is in dispute" in see(app, "/console/disputes", name="boss").text("main")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_static_files_need_no_sign_in_and_may_be_kept(app: Handler, name: str, media_type: str) -> None:
    answer = get(app, f"/console/static/{name}")
    assert answer.status == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=86400"
    assert "@import" not in answer.body
    assert "http" not in answer.body.replace("http://www.w3.org/2000/svg", "")


PATHS = st.sampled_from(["reviews", "reviews/next", "disputes", "decisions", "loop", "search", "x"]) | st.text()

FIELDS = st.sampled_from(["label", "none", "note", "answer", "id", "confirm", "reason", "category", "older_than_days"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST"]),
    path=PATHS,
    action=st.sampled_from(["", "/answer", "/undo", "/erase", "/decide"]),
    parameters=st.dictionaries(FIELDS | st.text(), st.text()),
    body=st.text() | st.lists(st.tuples(FIELDS, st.text())).map(lambda pairs: "&".join(f"{a}={b}" for a, b in pairs)),
    name=st.sampled_from(["ann", "boss", "\u202e<i>"]),
)
def test_no_request_makes_the_console_fail(
    app: Handler, method: str, path: str, action: str, parameters: dict[str, str], body: str, name: str
) -> None:
    headers = {"x_name": name, "content_type": "application/x-www-form-urlencoded"}
    request = asking(method, f"/console/{path}{action}", "", headers, body if method == "POST" else None)
    request["queryStringParameters"] = parameters
    assert call(app, request).status < 500


def test_logs_hold_no_text(app: Handler, store: SqliteStore, logs: StringIO) -> None:
    review_id = queued(store, text="zebrafish")
    see(app, f"/console/reviews/{review_id}")
    answer(app, review_id, {"label": "kindness", "note": "zebrafish"})
    answer(app, review_id, {"label": "insult", "note": "zebrafish"})
    post(app, "/console/decisions/d_1/erase", {"confirm": "erase"}, x_name="boss")
    get(app, "/console/decisions/d_1?notice=zebrafish", x_name="ann")
    assert "decision_erased" in logs.getvalue()
    assert "zebrafish" not in logs.getvalue()


def test_the_template_library_is_loaded_for_a_console_alone() -> None:
    imports = "import sys, predict.app, feedback.app, feedback.console; sys.exit('jinja2' in sys.modules)"
    functions = Path(__file__).parents[2] / "functions"
    assert subprocess.run([sys.executable, "-c", imports], cwd=functions, check=False).returncode == 0
