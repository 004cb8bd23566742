"""The DynamoDB table: how its items are read, listed, and written several together or none."""

import heapq
import itertools
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import msgspec

from moderato.clock import Clock, utc_now
from moderato.cursors import cursor_of, position_of
from moderato.dynamodb_items import Item, Key, Value, is_live, key_of, position, record_of
from moderato.dynamodb_schema import LISTINGS, Client
from moderato.dynamodb_wire import from_wire, is_possible, to_wire, wire_key
from moderato.dynamodb_writes import Write, Writer, names_and_values, together
from moderato.errors import ModeratoError
from moderato.store import Page

MAX_BATCH_READS = 100
MAX_BATCH_WRITES = 25

PAUSES_SECONDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""How long to wait, at most, before each further try of a transaction that met another; a function has 20 seconds."""

_PASSING = {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_UNEXPIRED = "attribute_not_exists(#expires) OR #expires > :now"

Record = TypeVar("Record", bound=msgspec.Struct)
Pause = Callable[[float], None]


class Contended(ModeratoError):
    """Too many wrote the same item at the same time: try again later."""


class DynamoTable:
    """One DynamoDB table; any number of threads and functions may use it."""

    def __init__(self, client: Client, table: str, clock: Clock = utc_now, pause: Pause = time.sleep) -> None:
        """Use the table of this name, which `table_definition` describes, through a client of boto3's."""
        self._client = client
        self._table = table
        self._clock = clock
        self._pause = pause

    def _writer(self) -> Writer:
        return Writer(self._table, self._clock())

    def _get(self, key: Key) -> Item | None:
        if not is_possible(key):
            return None
        found = self._client.get_item(TableName=self._table, Key=wire_key(key), ConsistentRead=True)
        return from_wire(found["Item"]) if "Item" in found else None

    def _get_live(self, key: Key) -> Item | None:
        item = self._get(key)
        return item if self._is_live(item) else None

    def _get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        for some in _chunks([key for key in dict.fromkeys(keys) if is_possible(key)], MAX_BATCH_READS):
            found |= {key_of(item): item for item in self._get_batch(some)}
        return found

    def _get_batch(self, keys: Sequence[Key]) -> Iterator[Item]:
        left: dict[str, Any] = {self._table: {"Keys": [wire_key(key) for key in keys], "ConsistentRead": True}}
        for _ in self._tries():
            answer = self._client.batch_get_item(RequestItems=left)
            yield from (from_wire(wire) for wire in answer["Responses"].get(self._table, ()))
            left = answer.get("UnprocessedKeys") or {}
            if not left:
                return

    def _partition(self, partition: str) -> list[Item]:
        if not is_possible((partition, "")):
            return []
        values = to_wire({"pk": partition})
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": values["pk"]},
            "ConsistentRead": True,
        }
        return [from_wire(wire) for answer in self._answers(request) for wire in answer["Items"]]

    def _page(
        self,
        record_type: type[Record],
        listings: Sequence[str],
        limit: int,
        cursor: str | None,
        newest_first: bool = False,
    ) -> Page[Record]:
        after = None if cursor is None else position(*position_of(cursor))
        streams = [self._listed(listing, after, limit + 1, newest_first) for listing in listings]
        keys = heapq.merge(*streams, reverse=newest_first)
        found: list[tuple[str, Item]] = []
        while len(found) <= limit and (some := list(itertools.islice(keys, limit + 1 - len(found)))):
            # The index lags: what has left the listing, or is erased, the table itself knows.
            items = self._get_many(key for _, key in some)
            listed = [(place, item) for place, key in some if (item := items.get(key)) is not None]
            found += [(place, item) for place, item in listed if self._is_listed(item, listings)]
        records = [record_of(record_type, item) for _, item in found[:limit]]
        return Page(records, None if len(found) <= limit else cursor_of(*found[limit - 1][0].split("#", 1)))

    def _listed(
        self, listing: str, after: str | None = None, page_size: int = 1000, newest_first: bool = False
    ) -> Iterator[tuple[str, Key]]:
        request = self._listing_request(listing, after, newest_first) | {"Limit": page_size}
        for answer in self._answers(request):
            for item in map(from_wire, answer["Items"]):
                yield str(item["position"]), key_of(item)

    def _count(self, listing: str) -> int:
        request = self._listing_request(listing) | {"Select": "COUNT"}
        return sum(answer["Count"] for answer in self._answers(request))

    def _listing_request(self, listing: str, after: str | None = None, newest_first: bool = False) -> dict[str, Any]:
        condition = "#listing = :listing"
        if after is not None:
            condition += " AND #position " + ("<" if newest_first else ">") + " :position"
        values: dict[str, Value] = {"listing": listing, "position": after or "", "now": int(self._clock().timestamp())}
        return {
            "TableName": self._table,
            "IndexName": LISTINGS,
            "KeyConditionExpression": condition,
            "FilterExpression": _UNEXPIRED,
            "ScanIndexForward": not newest_first,
            **names_and_values([condition, _UNEXPIRED], values),
        }

    def _answers(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            answer = self._client.query(**request, **more)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _transact(self, *writes: Write) -> list[Write]:
        """Make all the writes, or none and return those whose condition is not met."""
        for _ in self._tries():
            try:
                self._client.transact_write_items(TransactItems=[write.action for write in writes])
            except self._client.exceptions.TransactionCanceledException as error:
                codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
                failed = [write for write, code in zip(writes, codes, strict=True) if code == "ConditionalCheckFailed"]
                if failed:
                    return failed
                if not _PASSING.issuperset(codes):
                    raise
            except self._client.exceptions.TransactionInProgressException:
                continue
            else:
                break
        return []

    def _write_what_can(self, groups: Iterable[Sequence[Write]], beside: Sequence[Write] = ()) -> bool:
        """Make the writes whose conditions are met; False, and the rest not made, when one `beside` them fails."""
        for writes in together(groups, beside):
            left = writes
            while len(left) > len(beside) and (failed := self._transact(*left)):
                if any(write in failed for write in beside):
                    return False
                left = [write for write in left if write not in failed]
        return True

    def _delete(self, keys: Collection[Key]) -> None:
        for some in _chunks(list(keys), MAX_BATCH_WRITES):
            left: dict[str, Any] = {self._table: [{"DeleteRequest": {"Key": wire_key(key)}} for key in some]}
            for _ in self._tries():
                left = self._client.batch_write_item(RequestItems=left).get("UnprocessedItems") or {}
                if not left:
                    break

    def _tries(self) -> Iterator[None]:
        """Yield for each try of something in which others may come first."""
        for seconds in PAUSES_SECONDS:
            if seconds:
                self._pause(random.uniform(0, seconds))  # noqa: S311  # so that two who met part
            yield
        raise Contended("others wrote the same items at the same time, again and again")

    def _is_live(self, item: Item | None) -> TypeGuard[Item]:
        return is_live(item, self._clock())

    def _is_listed(self, item: Item, listings: Sequence[str]) -> bool:
        return self._is_live(item) and item.get("listing") in listings


def _chunks(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    return (keys[first : first + size] for first in range(0, len(keys), size))
