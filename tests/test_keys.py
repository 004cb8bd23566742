"""Platform keys: every promise of their stores, held by both, and what a key is."""

import json
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moderato.access import Scope
from moderato.keys import Keys, digest_of, new_key
from moderato.sqlite_keys import SqliteKeys
from tests.platform_keys import add_key, dynamo_keys
from tests.stores import simulated_dynamo

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Return a client of a simulated DynamoDB."""
    with simulated_dynamo() as client:
        yield client


@pytest.fixture(params=["sqlite", "dynamodb"])
def keys(request: pytest.FixtureRequest, tmp_path: Path, client: Any) -> Keys:
    """Return an empty store of each kind."""
    return SqliteKeys(tmp_path / "keys.sqlite3") if request.param == "sqlite" else dynamo_keys(client)


def test_a_key_is_256_random_bits_behind_a_prefix() -> None:
    texts = {new_key("local", "forum", [Scope.MODERATE], NOON)[0] for _ in range(100)}
    assert len(texts) == 100
    assert all(re.fullmatch(r"mod_[A-Za-z0-9_-]{43}", text) for text in texts)


def test_a_key_is_kept_as_the_digest_of_its_text_and_nothing_else_of_it() -> None:
    text, key = new_key("local", "forum", [Scope.MODERATE], NOON)
    assert key.digest == digest_of(text)
    assert text.removeprefix("mod_") not in repr(key)
    assert re.fullmatch(r"k_[A-Za-z0-9_-]{10}", key.key_id)
    # `printf mod_example | sha256sum`
    assert digest_of("mod_example") == "6c789beaf0bdfcfffe909990eaf49aab98cf7db2c266b453f54e3aa197e61267"


def test_text_that_no_encoding_has_has_a_digest_too() -> None:
    assert len(digest_of("mod_\ud800")) == 64


def test_a_key_expires_after_its_days_or_never() -> None:
    assert new_key("local", "forum", [Scope.MODERATE], NOON, days=1)[1].expires == 1795348800
    assert new_key("local", "forum", [Scope.MODERATE], NOON)[1].expires is None


@pytest.mark.parametrize("days", [None, 30])
def test_a_key_is_found_as_it_was_added(keys: Keys, days: int | None) -> None:
    text, key = add_key(keys, "acme", "the naïve “forum” 🙂", [Scope.MODERATE, Scope.FEEDBACK], days)
    add_key(keys)
    assert keys.find(digest_of(text)) == key
    assert set(key.scopes) == {"moderation/moderate", "moderation/feedback"}


def test_what_is_no_keys_digest_finds_nothing(keys: Keys) -> None:
    text, key = add_key(keys)
    assert keys.find(digest_of(text[:-1])) is None
    assert keys.find(key.key_id) is None
    assert keys.find(text) is None


def test_an_expired_key_is_still_found_so_that_its_user_can_be_told(keys: Keys) -> None:
    text, key = add_key(keys, days=1, now=datetime(2020, 1, 1, tzinfo=UTC))
    assert keys.find(digest_of(text)) == key


def test_keys_are_listed_from_the_oldest_on(keys: Keys) -> None:
    assert keys.list() == []
    added = [add_key(keys, now=NOON.replace(minute=minute))[1] for minute in (30, 10, 20)]
    assert keys.list() == [added[1], added[2], added[0]]


def test_adding_a_key_again_is_the_same_write(keys: Keys) -> None:
    _, key = add_key(keys)
    keys.add(key)
    assert keys.list() == [key]


def test_a_revoked_key_is_gone_and_the_others_stay(keys: Keys) -> None:
    text, key = add_key(keys)
    _, other = add_key(keys)
    assert keys.revoke(key.key_id) is True
    assert keys.find(digest_of(text)) is None
    assert keys.list() == [other]
    assert keys.revoke(key.key_id) is False


def test_a_key_of_an_unknown_id_is_not_revoked(keys: Keys) -> None:
    _, key = add_key(keys)
    assert keys.revoke("k_unknown") is False
    assert keys.revoke(key.digest) is False
    assert keys.list() == [key]


def test_a_scope_that_only_a_newer_release_knows_opens_nothing_and_is_in_nobodys_way(keys: Keys) -> None:
    _, old = add_key(keys)
    newer: Any = ["moderation/train", Scope.FEEDBACK]
    _, new = add_key(keys, scopes=newer)
    found = keys.find(new.digest)
    assert found is not None
    assert found.scopes == [Scope.FEEDBACK]
    assert {key.key_id for key in keys.list()} == {old.key_id, new.key_id}
    assert keys.revoke(old.key_id) is True


def test_threads_share_the_keys(keys: Keys) -> None:
    with ThreadPoolExecutor(4) as threads:
        added = list(threads.map(lambda _: add_key(keys)[1], range(20)))
    assert {key.key_id for key in keys.list()} == {key.key_id for key in added}


def test_a_file_is_its_owners_alone_and_holds_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite3"
    text, _ = add_key(SqliteKeys(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.removeprefix("mod_").encode() not in path.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["keys.sqlite3"]


def test_keys_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    _, key = add_key(SqliteKeys(tmp_path / "keys.sqlite3"))
    assert SqliteKeys(tmp_path / "keys.sqlite3").list() == [key]


class Recorder:
    """A client that notes the names of the calls that are made, and what they hold."""

    def __init__(self, client: Any) -> None:
        """Call through this client."""
        self._client = client
        self.calls: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        """Return the client's method, which is noted."""
        method = getattr(self._client, name)

        def call(**request: Any) -> Any:
            self.calls.append((name, json.dumps(request)))
            return method(**request)

        return call


def test_to_find_a_key_one_item_is_read_and_nothing_else_asked_of_dynamodb(client: Any) -> None:
    recorder = Recorder(client)
    keys = dynamo_keys(recorder)
    text, _ = add_key(keys)
    recorder.calls.clear()
    assert keys.find(digest_of(text)) is not None
    assert [name for name, _ in recorder.calls] == ["get_item"]


def test_a_keys_text_is_never_sent_to_dynamodb(client: Any) -> None:
    recorder = Recorder(client)
    keys = dynamo_keys(recorder)
    text, key = add_key(keys)
    keys.find(digest_of(text))
    keys.revoke(key.key_id)
    assert len(recorder.calls) == 5
    assert not any(text.removeprefix("mod_") in sent for _, sent in recorder.calls)


def test_the_time_to_live_is_a_number_and_left_out_of_a_key_that_never_expires(client: Any) -> None:
    recorder = Recorder(client)
    keys = dynamo_keys(recorder)
    add_key(keys, days=1)
    add_key(keys)
    sent = [json.loads(request)["Item"] for name, request in recorder.calls if name == "put_item"]
    assert [item.get("expires") for item in sent] == [{"N": "1795348800"}, None]


def test_a_table_of_several_pages_is_read_to_its_end(client: Any) -> None:
    class OneAtATime(Recorder):
        """A client that reads one item a page, as DynamoDB does after a megabyte."""

        def __getattr__(self, name: str) -> Any:
            method = super().__getattr__(name)
            return (lambda **request: method(**request, Limit=1)) if name == "scan" else method

    keys = dynamo_keys(OneAtATime(client))
    added = [add_key(keys, now=NOON.replace(minute=minute))[1] for minute in range(3)]
    assert keys.list() == added
    assert keys.revoke(added[2].key_id) is True
    assert keys.list() == added[:2]
