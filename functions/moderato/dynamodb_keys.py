"""The keys of a deployment, in a DynamoDB table of their own."""

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from moderato.dynamodb_wire import from_wire, to_wire
from moderato.keys import PlatformKey, known_scopes


class KeysClient(Protocol):
    """What of boto3's DynamoDB client is used; the authorizer, which only finds keys, needs `get_item` alone."""

    def get_item(self, **request: object) -> dict[str, Any]:
        """Read one item."""

    def put_item(self, **request: object) -> dict[str, Any]:
        """Write one item."""

    def scan(self, **request: object) -> dict[str, Any]:
        """Read a part of the table."""

    def delete_item(self, **request: object) -> dict[str, Any]:
        """Delete one item."""


class DynamoKeys:
    """`moderato.keys.Keys` in one DynamoDB table; any number of functions may use it.

        digest  (partition key) and the other fields of PlatformKey; `scopes` are joined by spaces

    `expires` is the table's time to live and is left out of a key that never expires. DynamoDB takes up to two days to
    delete what has expired.
    """

    def __init__(self, client: KeysClient, table: str) -> None:
        """Use a table through a client."""
        self._client = client
        self._table = table

    def add(self, key: PlatformKey) -> None:
        """Keep a key; a retry is the same write."""
        fields = msgspec.structs.asdict(key) | {"scopes": " ".join(key.scopes)}
        item = to_wire({name: value for name, value in fields.items() if value is not None})
        self._client.put_item(TableName=self._table, Item=item)

    def find(self, digest: str) -> PlatformKey | None:
        """Return the key whose text has this digest, or None: it never was, or is revoked."""
        # Consistent: a key that was just made lets its user in, and a revoked one nobody.
        found = self._client.get_item(TableName=self._table, Key=_wire_key(digest), ConsistentRead=True)
        return _key_of(found["Item"]) if "Item" in found else None

    def list(self) -> list[PlatformKey]:
        """Return all keys, the oldest first. It reads the whole table: for people who tend it, not for functions."""
        return sorted(self._scan(), key=lambda key: (key.created, key.key_id))

    def revoke(self, key_id: str) -> bool:
        """Forget a key for good; False where there is none of this id. It reads the whole table."""
        digests = [key.digest for key in self._scan() if key.key_id == key_id]
        for digest in digests:
            self._client.delete_item(TableName=self._table, Key=_wire_key(digest))
        return bool(digests)

    def _scan(self) -> Iterator[PlatformKey]:
        request: dict[str, Any] = {"TableName": self._table, "ConsistentRead": True}
        while True:
            answer = self._client.scan(**request)
            yield from map(_key_of, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def keys_table_definition(name: str) -> dict[str, Any]:
    """Return the request that creates the table; its time to live, on `expires`, is a request of its own."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "digest", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "digest", "KeyType": "HASH"}],
    }


def _wire_key(digest: str) -> dict[str, Any]:
    return to_wire({"digest": digest})


def _key_of(wire: dict[str, Any]) -> PlatformKey:
    item = from_wire(wire)
    return msgspec.convert({**item, "scopes": known_scopes(str(item["scopes"]).split())}, PlatformKey)
