"""DynamoDB's own format of values and keys."""

from collections.abc import Mapping
from typing import Any

from moderato.dynamodb_items import Item, Key, Value

MAX_PARTITION_BYTES = 2048
MAX_SORT_BYTES = 1024


def to_wire(item: Mapping[str, Value]) -> dict[str, Any]:
    """Return the values, each with its type."""
    return {name: _typed(value) for name, value in item.items()}


def from_wire(wire: Mapping[str, Mapping[str, Any]]) -> Item:
    """Return the values of an item; those that we never write are left out."""
    return {name: value for name, typed in wire.items() if (value := _plain(typed)) is not None}


def wire_key(key: Key) -> dict[str, Any]:
    """Return a key as requests have it."""
    return to_wire({"pk": key[0], "sk": key[1]})


def is_possible(key: Key) -> bool:
    """Return whether DynamoDB allows a key: an id out of a request may be of any length."""
    return len(key[0].encode()) <= MAX_PARTITION_BYTES and len(key[1].encode()) <= MAX_SORT_BYTES


def _typed(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):  # before int, which it is too
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


def _plain(typed: Mapping[str, Any]) -> Value | None:
    [(kind, value)] = typed.items()
    return {"S": str, "BOOL": bool, "N": int}[kind](value) if kind in ("S", "BOOL", "N") else None
