"""The commands that make, list and revoke keys, of a data folder or of a deployed table."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.keys import open_keys
from moderato.access import Scope
from moderato.dynamodb_keys import DynamoKeys, keys_table_definition
from moderato.keys import Keys, digest_of
from moderato.sqlite_keys import SqliteKeys
from tests.commands import run
from tests.platform_keys import add_key
from tests.stores import simulated_dynamo
from tests.test_local_cli import moderato, refusal

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEY = re.compile(r"mod_[A-Za-z0-9_-]{43}")


def key_file(data: Path) -> SqliteKeys:
    """Open the keys of a data folder, as a running server has them."""
    return SqliteKeys(data / "keys.sqlite3")


def created(*arguments: str | Path) -> str:
    """Create a key; return its id."""
    done = run("keys", "create", "--name", "forum", *arguments)
    assert done.status == 0, done.refusal
    key_id: str = re.findall(r"^k_[A-Za-z0-9_-]{10}", done.output, re.MULTILINE)[0]
    return key_id


def test_a_new_key_is_alone_on_standard_output_so_that_it_can_be_piped(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    done = moderato("keys", "create", "--name", "forum", "--data-dir", data)
    assert done.returncode == 0
    assert re.fullmatch(KEY.pattern + "\n", done.stdout)
    assert not KEY.search(done.stderr)
    (key,) = key_file(data).list()
    assert key.key_id in done.stderr
    assert "shown this once" in done.stderr
    assert key.digest == digest_of(done.stdout.strip())


def test_a_key_may_moderate_and_never_expires_unless_told_otherwise(tmp_path: Path) -> None:
    created("--data-dir", tmp_path)
    (key,) = key_file(tmp_path).list()
    assert (key.name, key.tenant, key.scopes, key.expires) == ("forum", "local", [Scope.MODERATE], None)


def test_a_key_has_the_scopes_and_the_days_that_it_is_given(tmp_path: Path) -> None:
    created("--scope", "feedback", "--scope", "moderate", "--scope", "feedback", "--days", "7", "--data-dir", tmp_path)
    (key,) = key_file(tmp_path).list()
    assert key.scopes == [Scope.FEEDBACK, Scope.MODERATE]
    assert key.expires is not None
    assert round((key.expires - datetime.fromisoformat(key.created).timestamp()) / 86_400, 3) == 7


@pytest.mark.parametrize("options", [["--scope", "all"], ["--days", "0"], ["--days", "3651"]])
def test_a_scope_or_a_time_that_no_key_has_makes_none(options: list[str], tmp_path: Path) -> None:
    assert run("keys", "create", "--name", "forum", "--data-dir", tmp_path, *options).status == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " forum", "x" * 65, "a\x1b[2Jb", "two\nlines"])
def test_a_name_that_a_list_cannot_show_makes_no_key(name: str, tmp_path: Path) -> None:
    assert "printable characters" in run("keys", "create", "--name", name, "--data-dir", tmp_path).refusal
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_has_one_tenant(tmp_path: Path) -> None:
    refused = run("keys", "create", "--name", "forum", "--tenant", "acme", "--data-dir", tmp_path).refusal
    assert "the tenant 'local' only" in refused
    assert list(tmp_path.iterdir()) == []


def test_keys_are_listed_with_what_they_are_for_and_until_when_and_without_the_keys(tmp_path: Path) -> None:
    keys = open_keys(tmp_path)
    text, key = add_key(keys, name="old [bold]forum", scopes=[Scope.FEEDBACK], days=1, now=LONG_AGO)
    _, other = add_key(keys, name="new")
    done = run("keys", "list", "--data-dir", tmp_path)
    lines = done.output.splitlines()
    assert [key.key_id, "old [bold]forum", "local", "feedback", "2020-01-01", "2020-01-02, expired"] == re.split(
        r" {2,}", lines[1].strip()
    )
    assert [other.key_id, "new", "local", "moderate", "2026-11-21", "never"] == re.split(r" {2,}", lines[2].strip())
    assert text not in done.output
    assert key.digest not in done.output


def test_a_revoked_key_is_gone(tmp_path: Path) -> None:
    first, second = created("--data-dir", tmp_path), created("--data-dir", tmp_path)
    assert first in run("keys", "revoke", first, "--data-dir", tmp_path).output
    assert [key.key_id for key in key_file(tmp_path).list()] == [second]


def test_an_id_that_no_key_has_is_one_sentence_which_does_not_repeat_it(tmp_path: Path) -> None:
    text, key = add_key(open_keys(tmp_path))
    refused = run("keys", "revoke", text, "--data-dir", tmp_path).refusal
    assert "moderato keys list" in refused
    assert text not in refused
    assert key_file(tmp_path).list() == [key]


@pytest.mark.parametrize("command", [["list"], ["revoke", "k_1"]])
def test_a_mistyped_folder_does_not_become_one_without_keys(command: list[str], tmp_path: Path) -> None:
    assert "no keys in" in run("keys", *command, "--data-dir", tmp_path / "tpyo").refusal
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_keys_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys.sqlite3").write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    assert "cannot be opened as a database" in run("keys", "list", "--data-dir", tmp_path).refusal
    (tmp_path / "file").touch()
    assert "data folder" in run("keys", "create", "--name", "forum", "--data-dir", tmp_path / "file").refusal


@pytest.fixture
def table() -> Iterator[tuple[str, DynamoKeys]]:
    """A deployed table in a simulated DynamoDB, and what is in it."""
    with simulated_dynamo() as client:
        any_client: Any = client
        any_client.create_table(**keys_table_definition("stack-keys"))
        yield "stack-keys", DynamoKeys(any_client, "stack-keys")


@pytest.mark.parametrize(("options", "tenant"), [([], "default"), (["--tenant", "acme"], "acme")])
def test_keys_of_a_deployed_table_are_made_listed_and_revoked_there(
    table: tuple[str, Keys], options: list[str], tenant: str, tmp_path: Path
) -> None:
    name, keys = table
    place = ["--table", name, "--region", "eu-central-1", "--data-dir", str(tmp_path)]
    key_id = created(*options, *place)
    (key,) = keys.list()
    assert (key.key_id, key.tenant) == (key_id, tenant)
    assert f"{key_id}  forum  {tenant}" in run("keys", "list", *place).output
    assert run("keys", "revoke", key_id, *place).status == 0
    assert keys.list() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["create", "--name", "forum"], ["list"], ["revoke", "k_1"]])
def test_what_aws_refuses_is_one_sentence_and_no_key_is_shown(command: list[str], table: tuple[str, Keys]) -> None:
    done = run("keys", *command, "--table", "other", "--region", "eu-central-1")
    assert "table other: " in done.refusal
    assert "ResourceNotFoundException" in done.refusal
    assert "\n" not in done.refusal
    assert done.output == ""
    assert table[1].list() == []


@pytest.mark.parametrize("region", [[], ["--region", "no region"]])
def test_a_table_without_its_region_is_one_sentence(region: list[str], tmp_path: Path) -> None:
    nowhere = {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    assert "by --region or AWS_REGION" in refusal("keys", "list", "--table", "other", *region, **nowhere)


def test_a_table_that_cannot_be_reached_is_one_sentence_and_no_key_is_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody_there = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    said = refusal("keys", "create", "--name", "a", "--table", "other", "--region", "eu-central-1", **nobody_there)
    assert "table other: " in said


def test_without_credentials_a_table_is_one_sentence(tmp_path: Path) -> None:
    nobody = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    nobody |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    said = refusal("keys", "list", "--table", "other", "--region", "eu-central-1", **nobody)
    assert "nobody is signed in to AWS" in said


def test_without_an_aws_client_a_data_folder_has_keys_and_a_table_is_one_sentence(tmp_path: Path) -> None:
    # A package of that name that cannot be imported stands for one that is not installed.
    (tmp_path / "boto3.py").write_text("raise ImportError\n")
    path = f"{tmp_path}:{Path(__file__).parents[1] / 'functions'}"
    assert "-m pip install boto3" in refusal("keys", "list", "--table", "t", "--region", "r", PYTHONPATH=path)
    assert moderato("keys", "create", "--name", "a", "--data-dir", tmp_path, PYTHONPATH=path).returncode == 0
