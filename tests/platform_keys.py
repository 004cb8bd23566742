"""Platform keys for tests, and both stores that hold them."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from moderato.access import Scope
from moderato.dynamodb_keys import DynamoKeys, keys_table_definition
from moderato.keys import Keys, PlatformKey, new_key
from tests.stores import MovableClock

_numbers = itertools.count()


def add_key(
    keys: Keys,
    tenant: str = "local",
    name: str = "forum",
    scopes: Sequence[Scope] = (Scope.MODERATE,),
    days: int | None = None,
    now: datetime | None = None,
) -> tuple[str, PlatformKey]:
    """Add a new key; return its text and what is kept of it."""
    text, key = new_key(tenant, name, scopes, now or MovableClock().now, days)
    keys.add(key)
    return text, key


def dynamo_keys(client: Any) -> DynamoKeys:
    """Return keys in a table of their own."""
    name = f"keys-{next(_numbers)}"
    client.create_table(**keys_table_definition(name))
    return DynamoKeys(client, name)
