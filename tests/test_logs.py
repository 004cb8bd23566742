"""No log line holds what a user wrote, whatever happens to the request."""

import io
import json
from pathlib import Path

from aws_lambda_powertools.utilities.typing import LambdaContext

from feedback.app import create_app
from moderato.sqlite import SqliteStore
from tests.events import event
from tests.records import decision, logger_to

MARKER = "MARKER"
REQUESTS = [
    ("POST", "/feedback", {"decision_id": "d_1", "correct": False, "note": MARKER}),
    ("POST", "/feedback", {"text": MARKER, "labels": {"insult": True}}),
    ("POST", "/feedback", {"text": MARKER, "labels": {MARKER: True}}),
    ("POST", "/feedback", {"text": MARKER, MARKER: 1}),
    ("POST", "/feedback", {"text": [MARKER]}),
    ("POST", "/feedback", {"labels": {MARKER: MARKER}}),
    ("POST", "/feedback", {"text": MARKER * 4000}),
    ("POST", "/feedback", f'{{"text": "{MARKER}'),
    ("POST", "/feedback", f'{{"text": "a", "{MARKER}": 1, "{MARKER}": 1}}'),
    ("POST", "/feedback", f'{{"text": "\ud800{MARKER}"}}'),
    ("POST", "/feedback", {"decision_id": MARKER, "correct": True}),
    ("GET", "/decisions/d_1", None),
    ("GET", f"/decisions/{MARKER}", None),
    ("GET", f"/{MARKER}", None),
    (MARKER, "/feedback", None),
    ("POST", "/feedback", {"text": "a", "correct": False, "decision_id": f"{MARKER} words"}),
    ("DELETE", f"/decisions/{MARKER} words", None),
    ("POST", "/feedback", {f"secret - at `$.{MARKER}`": 1}),
    ("DELETE", "/decisions/d_1", None),
]


def test_no_log_line_and_no_error_holds_user_text(tmp_path: Path) -> None:
    log = io.StringIO()
    store = SqliteStore(tmp_path / "moderato.db")
    store.record_decisions([decision(text=MARKER)])
    app = create_app(store, ["insult"], logger_to(log))
    answers = [app(event(*request, headers={"X-Note": MARKER}), LambdaContext()) for request in REQUESTS]
    store.close()
    answers += [app(event(*request), LambdaContext()) for request in REQUESTS]  # the store fails now

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {line["message"] for line in lines} == {"feedback_recorded", "refused", "decision_erased", "failed"}
    assert MARKER not in log.getvalue()
    assert not [answer for answer in answers if answer["statusCode"] >= 400 and MARKER in json.dumps(answer)]


def test_an_unexpected_error_is_logged_by_its_type_only(tmp_path: Path) -> None:
    log = io.StringIO()
    store = SqliteStore(tmp_path / "moderato.db")
    app = create_app(store, ["insult"], logger_to(log))
    store.close()
    app(event("GET", "/decisions/d_1"), LambdaContext())
    line = json.loads(log.getvalue())
    assert (line["message"], line["error_type"]) == ("failed", "ProgrammingError")
    assert "exception" not in line
