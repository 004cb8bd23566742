"""The whole API as one handler: moderation, feedback, reviews and the console on one store."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.cookies import SimpleCookie
from io import StringIO
from pathlib import Path
from urllib.parse import urlencode

import pytest

from local.assembly import Moderato, assemble
from local.databases import UnusableData
from moderato.errors import BrokenModel
from moderato.retention import Keep
from tests.events import send
from tests.made_models import STARTER
from tests.records import logger_to
from tests.test_local_server import ask, serving

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def moderato(tmp_path: Path) -> Iterator[Moderato]:
    """The API around the starter model."""
    moderato = assemble(STARTER, tmp_path, Keep.FLAGGED, logger_to(StringIO()))
    with closing(moderato.store):
        yield moderato


def sign_in(port: int, name: str, **fields: str) -> dict[str, str]:
    """Sign in to the console; return the headers that a browser would send from then on."""
    status, headers, _ = ask(port, "POST", "/console/sign-in", urlencode({"name": name} | fields), FORM)
    assert status == 303
    cookie = SimpleCookie(headers["set-cookie"])["moderato_session"]
    return FORM | {"cookie": f"moderato_session={cookie.value}"}


def test_a_correction_becomes_a_review_that_the_console_shows_with_its_spans(moderato: Moderato) -> None:
    _, answer = send(moderato.handler, "POST", "/moderate", {"text": "Nice day. You are a stupid fool."})
    decision_id = answer["results"][0]["decision_id"]
    wrong = {"decision_id": decision_id, "labels": {"insult": False}}
    assert send(moderato.handler, "POST", "/feedback", wrong)[1]["review_queued"] is True
    assert send(moderato.handler, "GET", "/reviews")[1]["reviews"][0]["decision_id"] == decision_id
    with serving(moderato.handler) as port:
        headers = sign_in(port, "ana")
        status, found, _ = ask(port, "GET", "/console/reviews/next", headers=headers)
        assert status == 303
        status, _, page = ask(port, "GET", found["location"], headers=headers)
    assert status == 200
    assert "<mark" in page.decode()


def test_the_page_on_the_loop_tells_of_the_champion(moderato: Moderato) -> None:
    with serving(moderato.handler) as port:
        status, _, page = ask(port, "GET", "/console/loop", headers=sign_in(port, "ana"))
    assert status == 200
    assert "2.0.1" in page.decode()


def test_nobody_sees_the_console_without_signing_in(moderato: Moderato) -> None:
    with serving(moderato.handler) as port:
        status, headers, _ = ask(port, "GET", "/console/reviews")
    assert (status, headers["location"]) == (303, "/console/sign-in")


def test_the_printed_address_leads_a_browser_to_the_console(moderato: Moderato) -> None:
    with serving(moderato.handler) as port:
        status, headers, _ = ask(port, "GET", "/")
        assert (status, headers["location"]) == (303, "/console")
        assert ask(port, "POST", "/", "{}", {"content-type": "application/json"})[0] == 404


def test_who_is_signed_in_is_who_calls_the_api(moderato: Moderato) -> None:
    with serving(moderato.handler) as port:
        cookie = {"cookie": sign_in(port, "mia")["cookie"], "content-type": "application/json"}
        body = json.dumps({"text": "you fool", "labels": {"insult": True}})
        assert ask(port, "POST", "/feedback", body, cookie)[0] == 201
        assert json.loads(ask(port, "GET", "/reviews/next", headers=cookie)[2])["review"] is None
        assert json.loads(ask(port, "GET", "/reviews/next")[2])["review"]["text"] == "you fool"


def test_a_broken_model_leaves_no_data_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel):
        assemble(tmp_path / "none", tmp_path / "data", Keep.FLAGGED, logger_to(StringIO()))
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableData, match="data folder"):
        assemble(STARTER, tmp_path / "file", Keep.FLAGGED, logger_to(StringIO()))
