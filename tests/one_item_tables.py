"""A DynamoDB table for tests that make thousands of calls, in memory: updates of items under simple conditions."""

import re
from collections.abc import Mapping
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # none of it has types
from botocore.errorfactory import ClientExceptionsFactory  # type: ignore[import-untyped]

EXCEPTIONS = ClientExceptionsFactory().create_client_exceptions(
    botocore.session.get_session().get_service_model("dynamodb")
)

_ABSENT = re.compile(r"attribute_not_exists\(#(\w+)\)")
_COMPARED = re.compile(r"#(\w+) (=|<=) :(\w+)")


class OneItemTable:
    """As much of DynamoDB as the state of retraining takes. moto, which tests it too, is 20 times slower."""

    def __init__(self) -> None:
        """Begin empty."""
        self.exceptions = EXCEPTIONS
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """GetItem."""
        item = self.items.get(_key(request["Key"]))
        return {} if item is None else {"Item": dict(item)}

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """TransactWriteItems, of one update."""
        [action] = request["TransactItems"]
        update = action["Update"]
        key = _key(update["Key"])
        item = self.items.get(key, {})
        if not _is_met(update.get("ConditionExpression"), item, update["ExpressionAttributeValues"]):
            reasons = [{"Code": "ConditionalCheckFailed"}]
            raise self.exceptions.TransactionCanceledException(
                {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons},
                "TransactWriteItems",
            )
        sets, _, removes = update["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
        given = dict(pair.split(" = ") for pair in sets.split(", "))
        changed = {name[1:]: update["ExpressionAttributeValues"][value] for name, value in given.items()}
        gone = {name[1:] for name in removes.split(", ")}
        kept = {name: value for name, value in item.items() if name not in gone}
        self.items[key] = {**update["Key"], **kept, **changed}
        return {}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """BatchGetItem."""
        raise NotImplementedError

    def query(self, **request: Any) -> dict[str, Any]:
        """Query."""
        raise NotImplementedError

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        """BatchWriteItem."""
        raise NotImplementedError


def _key(wire: Mapping[str, Any]) -> tuple[str, str]:
    return wire["pk"]["S"], wire["sk"]["S"]


def _is_met(condition: str | None, item: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return condition is None or any(_holds(term, item, values) for term in condition.split(" OR "))


def _holds(term: str, item: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    if match := _ABSENT.fullmatch(term):
        return match[1] not in item
    match = _COMPARED.fullmatch(term)
    assert match is not None, f"not understood: {term}"
    stored, given = item.get(match[1]), values[f":{match[3]}"]
    if stored is None or match[2] == "=":
        return stored is not None and bool(stored == given)
    return int(stored["N"]) <= int(given["N"])
