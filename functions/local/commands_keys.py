"""The commands about platform keys: create, list, revoke; of this data folder, or of a deployed table."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from local.keys import TENANT, has_keys, open_keys
from local.options import DATA, DataDirectory, Refused
from moderato.access import Scope
from moderato.clock import is_expired, utc_now
from moderato.keys import Keys, PlatformKey, new_key

keys_app = typer.Typer(help="Keys that let programs in: to a server beyond loopback, and on AWS.", no_args_is_help=True)

DEPLOYED_TENANT = "default"
"""What the template's parameter Tenant is unless somebody sets it."""
MAX_NAME_CHARACTERS = 64


class Use(StrEnum):
    """What a key may be used for, as people type it: the last word of its scope."""

    MODERATE = "moderate"
    FEEDBACK = "feedback"


TableName = Annotated[
    str | None, typer.Option(help="Deployed table, the stack's output KeysTableName; without it, the data folder's.")
]
Region = Annotated[str | None, typer.Option(help="AWS region of the table.", envvar="AWS_REGION")]


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for, so that people know it in the list.")],
    tenant: Annotated[
        str | None,
        typer.Option(
            help=f"The deployment's Tenant; by default '{DEPLOYED_TENANT}' with --table, and '{TENANT}' without."
        ),
    ] = None,
    scope: Annotated[
        list[Use] | None,
        typer.Option(help="What it may be used for; may be repeated.", show_default="moderate"),
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="Days until it expires; by default it never does.", min=1, max=3650)
    ] = None,
    table: TableName = None,
    region: Region = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Make a key and print it, this once, alone on standard output: nobody can read it again."""
    scopes = [Scope(f"moderation/{each}") for each in scope or [Use.MODERATE]]
    text, key = new_key(_tenant(tenant, table), _printable("--name", name), scopes, utc_now(), days)
    with _keys(table, region, data_dir, is_new=True) as keys:
        keys.add(key)
    typer.echo(f"{key.key_id} ({key.name}), tenant {key.tenant}, for {_uses(key)}, {_until(key)}.", err=True)
    typer.echo("Keep it where secrets are kept: it is shown this once, and only its digest is stored.", err=True)
    typer.echo(text)


@keys_app.command("list")
def list_keys(table: TableName = None, region: Region = None, data_dir: DataDirectory = DATA) -> None:
    """List the keys, the oldest first: what they are for, and until when; the keys themselves nobody has."""
    with _keys(table, region, data_dir) as keys:
        _print(keys.list(), utc_now())


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `moderato keys list` shows it.")],
    table: TableName = None,
    region: Region = None,
    data_dir: DataDirectory = DATA,
) -> None:
    """Revoke a key for good; whoever used it last is let in for another minute at most."""
    with _keys(table, region, data_dir) as keys:
        if not keys.revoke(key_id):
            # What was typed may be a key itself, and is not repeated.
            raise Refused(f"no key of {table or data_dir} has this id; `moderato keys list` shows the ids")
    typer.echo(f"{key_id} is revoked; within a minute it lets nobody in.")


@contextmanager
def _keys(table: str | None, region: str | None, data_directory: Path, *, is_new: bool = False) -> Iterator[Keys]:
    """The keys of a table or of a data folder; a mistyped folder becomes no empty one unless it may be new."""
    if table is not None:
        from local.aws import deployed_keys

        with deployed_keys(table, region) as keys:
            yield keys
    elif is_new or has_keys(data_directory):
        yield open_keys(data_directory)
    else:
        raise Refused(f"no keys in {data_directory}: name the data folder of the server by --data-dir, or a --table")


def _tenant(named: str | None, table: str | None) -> str:
    if table is not None:
        return _printable("--tenant", named or DEPLOYED_TENANT)
    if named not in (None, TENANT):
        raise Refused(f"a data folder has the tenant '{TENANT}' only; a key of another one is for a --table")
    return TENANT


def _printable(option: str, value: str) -> str:
    if not 1 <= len(value) <= MAX_NAME_CHARACTERS or not value.isprintable() or value.strip() != value:
        raise Refused(f"{option} has 1 to {MAX_NAME_CHARACTERS} printable characters, and no space at its ends")
    return value


def _print(keys: Sequence[PlatformKey], now: datetime) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("id", no_wrap=True), "name", "tenant", "for", "created", "expires", box=None, pad_edge=False)
    for key in keys:
        until = _date(key.expires) if key.expires else "never"
        expires = Text(f"{until}, expired", style="red") if is_expired(key.expires, now) else Text(until)
        table.add_row(key.key_id, Text(key.name), Text(key.tenant), _uses(key), key.created[:10], expires)
    Console().print(table)


def _uses(key: PlatformKey) -> str:
    return " and ".join(scope.rpartition("/")[2] for scope in key.scopes)


def _until(key: PlatformKey) -> str:
    return "it never expires" if key.expires is None else f"until {_date(key.expires)}"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
