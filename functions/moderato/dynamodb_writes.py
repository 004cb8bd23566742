"""Writes to the DynamoDB table, each with the condition under which it is made, as actions of a transaction."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moderato.dynamodb_items import MAX_ITEM_BYTES, Item, Key, Value, key_of, size_of
from moderato.dynamodb_wire import to_wire, wire_key

MAX_ACTIONS = 100
MAX_TRANSACTION_BYTES = 3_500_000
"""DynamoDB takes 4 MB, and counts what is there already too."""

FREE = "attribute_not_exists(#pk) OR #expires <= :now OR #write = :write"
"""Nothing is there, unless it has expired."""
STORED = "attribute_exists(#record) AND (attribute_not_exists(#expires) OR #expires > :now)"
"""A record is there that has not expired."""
NOT_ERASED = "attribute_not_exists(#erased)"
ABSENT = "attribute_not_exists(#pk) OR #write = :write"

_UNCHANGED = "#write = :seen OR #write = :write"
_GONE = "attribute_not_exists(#pk) OR #write = :seen"


@dataclass(frozen=True)
class Write:
    """One action of a transaction; `size` is that of the item in bytes, at most."""

    key: Key
    action: Mapping[str, Any]
    size: int


class Writer:
    """Makes the writes of one call of the store.

    Each leaves the call's token in its item. DynamoDB may answer 500 to a write that it made, and the client then
    sends it again: by the token the second one knows the first, and neither fails nor counts twice. A write that
    rests on what was read before finds by the token of then that nothing changed since.
    """

    def __init__(self, table: str, now: datetime) -> None:
        """Begin a call at this time."""
        self._table = table
        self._known: dict[str, Value] = {"now": int(now.timestamp()), "write": secrets.token_urlsafe(12)}

    def put(self, item: Item, condition: str | None = None, **values: Value) -> Write:
        """Return the write of an item in place of whatever is there."""
        key = str(item["pk"]), str(item["sk"])
        wire = to_wire({**item, "write": self._known["write"]})
        return Write(key, {"Put": self._action({"Item": wire}, condition, values)}, size_of(item))

    def renew(self, item: Item, old: Item | None) -> Write:
        """Return the write of an item in place of the one that was read, if that did not change since."""
        return self.put(item, ABSENT) if old is None else self.put(item, _UNCHANGED, seen=old["write"])

    def change(self, old: Item, **changes: Value | None) -> Write:
        """Return the write of these attributes of an item that was read, if it did not change since."""
        return self.update(key_of(old), changes, _UNCHANGED, size_of(old), seen=old["write"])

    def update(
        self,
        key: Key,
        changes: Mapping[str, Value | None],
        condition: str | None = None,
        size: int = MAX_ITEM_BYTES,
        **values: Value,
    ) -> Write:
        """Return the write of these attributes; None takes an attribute away."""
        given = {name: value for name, value in changes.items() if value is not None}
        sets = ", ".join(f"#{name} = :{name}" for name in ("write", *given))
        removes = ", ".join(f"#{name}" for name in changes if name not in given)
        update = f"SET {sets}" + (f" REMOVE {removes}" if removes else "")
        action = self._action({"Key": wire_key(key)}, condition, {**given, **values}, update)
        return Write(key, {"Update": action}, size)

    def remove(self, key: Key, old: Item | None = None) -> Write:
        """Return the removal of an item; of one that was read, if it did not change since. Gone already is fine."""
        condition, seen = (None, {}) if old is None else (_GONE, {"seen": old["write"]})
        return Write(key, {"Delete": self._action({"Key": wire_key(key)}, condition, seen)}, MAX_ITEM_BYTES)

    def check(self, key: Key, condition: str) -> Write:
        """Return an action that writes nothing, and fails the transaction where the condition is not met."""
        return Write(key, {"ConditionCheck": self._action({"Key": wire_key(key)}, condition, {})}, MAX_ITEM_BYTES)

    def _action(
        self, request: dict[str, Any], condition: str | None, values: Mapping[str, Value], update: str | None = None
    ) -> dict[str, Any]:
        expressions = {"ConditionExpression": condition, "UpdateExpression": update}
        given = {name: expression for name, expression in expressions.items() if expression is not None}
        return {
            "TableName": self._table,
            **request,
            **given,
            **names_and_values(given.values(), {**self._known, **values}),
        }


def together(groups: Iterable[Sequence[Write]], beside: Sequence[Write] = ()) -> Iterator[list[Write]]:
    """Pack groups of writes into as few transactions as DynamoDB's limits allow, each group whole in one.

    The writes `beside` are in every transaction.
    """
    packed = list(beside)
    for group in groups:
        if len(packed) + len(group) > MAX_ACTIONS or _size(packed) + _size(group) > MAX_TRANSACTION_BYTES:
            yield packed
            packed = list(beside)
        packed += group
    if len(packed) > len(beside):
        yield packed


def names_and_values(expressions: Iterable[str], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return what the `#names` and `:values` of expressions stand for; DynamoDB refuses any that is not in them."""
    text = " ".join(expressions)
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", text)}
    used = to_wire({name: values[name] for name in re.findall(r":(\w+)", text)})
    attributes = {
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name}": value for name, value in used.items()},
    }
    return {name: found for name, found in attributes.items() if found}


def _size(writes: Sequence[Write]) -> int:
    return sum(write.size for write in writes)
