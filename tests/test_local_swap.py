"""The change of the champion in a running server: no request fails, and a broken challenger changes nothing."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.assembly import Moderato, assemble
from local.champion import Champions
from local.swap import POLL_SECONDS, Switch, Watcher, watching
from moderato.artifact import Manifest
from moderato.retention import Keep
from tests.events import send
from tests.made_models import STARTER, change_starter, make_model, renamed
from tests.records import logger_to
from tests.test_local_server import JSON, ask, serving

CLIENTS = 4
BODY = json.dumps({"text": "you fool", "store": False})


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter model under another version."""
    return change_starter(tmp_path_factory.mktemp("models") / "challenger", renamed("2.1.0"))


class Hammer:
    """Clients that ask without a pause, and what they were answered."""

    def __init__(self, port: int) -> None:
        """Ask at this port."""
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._versions: Counter[str] = Counter()
        self._answered = threading.Condition()
        self._is_over = threading.Event()

    def ask_on(self) -> None:
        """Ask until told to stop."""
        while not self._is_over.is_set():
            status, _, body = ask(self._port, "POST", "/moderate", BODY, JSON)
            with self._answered:
                self.statuses[status] += 1
                if status == 200:
                    self._versions[json.loads(body)["model"]["version"]] += 1
                self._answered.notify_all()

    def wait_for(self, version: str, more: int) -> None:
        """Return when so many more answers came from a version."""
        with self._answered:
            wanted = self._versions[version] + more
            assert self._answered.wait_for(lambda: self._versions[version] >= wanted, timeout=60)

    def stop(self) -> None:
        """Let the clients end."""
        self._is_over.set()


@contextmanager
def running(data: Path, logs: StringIO) -> Iterator[tuple[Moderato, Champions, Watcher]]:
    """The API around the champion of a data folder, which is the starter model at first, and its watcher."""
    champions = Champions(data, lambda: STARTER)
    logger = logger_to(logs)
    moderato = assemble(champions.current(), data, Keep.FLAGGED, logger)
    with closing(moderato.store):
        yield moderato, champions, Watcher(champions, champions.pointer(), moderato.load, moderato.handler, logger)


def version_of(moderato: Moderato) -> str:
    """Return the version that answers."""
    version: str = send(moderato.handler, "GET", "/model")[1]["manifest"]["version"]
    return version


def test_no_request_fails_while_champions_change(tmp_path: Path, challenger: Path) -> None:
    with running(tmp_path, StringIO()) as (moderato, champions, watcher), serving(moderato.handler) as port:
        hammer = Hammer(port)
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(hammer.ask_on) for _ in range(CLIENTS)]
            try:
                hammer.wait_for("2.0.1", 10)
                champions.promote(challenger)
                watcher.look()
                hammer.wait_for("2.1.0", 10)
                champions.rollback()
                watcher.look()
                hammer.wait_for("2.0.1", 10)
            finally:
                hammer.stop()
            for client in clients:
                client.result()
    assert set(hammer.statuses) == {200}


def test_a_request_under_way_finishes_on_the_handler_it_began_with() -> None:
    entered, release = threading.Event(), threading.Event()

    def old(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        entered.set()
        assert release.wait(30)
        return {"by": "old"}

    switch = Switch(old)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(switch, {}, LambdaContext())
        assert entered.wait(30)
        switch.turn_to(lambda _event, _context: {"by": "new"})
        assert switch({}, LambdaContext()) == {"by": "new"}
        release.set()
        assert first.result() == {"by": "old"}


def test_a_broken_challenger_is_logged_by_its_type_and_the_old_one_serves_on(tmp_path: Path, challenger: Path) -> None:
    logs = StringIO()
    with running(tmp_path, logs) as (moderato, champions, watcher):
        # Its files are those of its manifest, and none of them is a model.
        champions.promote(make_model(tmp_path / "broken", "6.6.6"))
        watcher.look()
        watcher.look()
        assert version_of(moderato) == "2.0.1"
        champions.promote(challenger)
        watcher.look()
        assert version_of(moderato) == "2.1.0"
    lines = [json.loads(line) for line in logs.getvalue().splitlines()]
    refused = [line for line in lines if line["message"] == "champion_refused"]
    assert len(refused) == 1
    assert refused[0]["error_type"]
    assert "model.onnx" not in logs.getvalue()


def test_a_pointer_that_becomes_unreadable_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, StringIO()) as (moderato, _, watcher):
        (tmp_path / "champion.json").write_text("{")
        watcher.look()
        assert version_of(moderato) == "2.0.1"


def test_a_model_that_was_mended_is_tried_again_when_it_is_promoted_again(tmp_path: Path, challenger: Path) -> None:
    with running(tmp_path, StringIO()) as (moderato, champions, watcher):
        champions.promote(challenger)
        shutil.rmtree(champions.current())
        watcher.look()
        assert version_of(moderato) == "2.0.1"
        pointer = json.loads((tmp_path / "champion.json").read_text())
        champions.promote(challenger)
        again = json.loads((tmp_path / "champion.json").read_text()) | {"promoted": "2099-01-01T00:00:00+00:00"}
        assert pointer["sha256"] == again["sha256"]
        (tmp_path / "champion.json").write_text(json.dumps(again))
        watcher.look()
        assert version_of(moderato) == "2.1.0"


def test_feedback_takes_the_categories_of_the_new_champion(tmp_path: Path) -> None:
    def rename_threat(directory: Path, manifest: Manifest) -> Manifest:
        golden = directory / "golden.jsonl"
        golden.write_text(golden.read_text().replace('"threat"', '"menace"'))
        categories = [msgspec.structs.replace(each, name="menace") for each in manifest.categories[-1:]]
        return msgspec.structs.replace(manifest, version="3.0.0", categories=(*manifest.categories[:-1], *categories))

    body = {"text": "you fool", "labels": {"menace": True}}
    with running(tmp_path / "data", StringIO()) as (moderato, champions, watcher):
        assert send(moderato.handler, "POST", "/feedback", body)[0] == 400
        champions.promote(change_starter(tmp_path / "renamed", rename_threat))
        watcher.look()
        assert send(moderato.handler, "POST", "/feedback", body)[0] == 201


def test_the_watcher_looks_after_each_wait_until_it_is_told_to_stop(tmp_path: Path, challenger: Path) -> None:
    with running(tmp_path, StringIO()) as (moderato, champions, watcher):
        waited: list[float] = []

        def wait(seconds: float) -> bool:
            waited.append(seconds)
            if len(waited) == 2:
                champions.promote(challenger)
            return len(waited) == 3

        watcher.run(wait)
        assert waited == [POLL_SECONDS] * 3
        assert version_of(moderato) == "2.1.0"


def test_watching_ends_with_its_block(tmp_path: Path) -> None:
    with running(tmp_path, StringIO()) as (_, _, watcher):
        with watching(watcher):
            assert "champion" in {thread.name for thread in threading.enumerate()}
        assert "champion" not in {thread.name for thread in threading.enumerate()}
