"""The definition of the DynamoDB table, and the client that reads and writes it."""

from collections.abc import Mapping
from typing import Any, Protocol

LISTINGS = "listings"
"""The name of the index."""

EXPIRES = "expires"
"""The name of the attribute that the table's time to live is to be set on."""


CLIENT_SETTINGS: Mapping[str, Any] = {
    "connect_timeout": 1,
    "read_timeout": 2,
    "retries": {"total_max_attempts": 3, "mode": "standard"},
}
"""How long a function's client waits, in seconds, and how often it tries: the arguments of botocore's Config."""


def table_definition(name: str) -> dict[str, Any]:
    """Return the request that creates the table; its time to live, on `EXPIRES`, is a request of its own."""
    keys = {"pk": "HASH", "sk": "RANGE"}
    listing = {"listing": "HASH", "position": "RANGE"}
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in (*keys, *listing)],
        "KeySchema": _schema(keys),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": LISTINGS,
                "KeySchema": _schema(listing),
                # Keys only, and what tells whether to look: texts are not copied, and so are erased in one place.
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [EXPIRES]},
            }
        ],
    }


class Client(Protocol):
    """What of boto3's DynamoDB client is used."""

    @property
    def exceptions(self) -> Any:  # noqa: ANN401  # boto3 makes them of the service's model
        """The classes of what the service refuses."""

    def get_item(self, **request: object) -> dict[str, Any]:
        """Read one item."""

    def batch_get_item(self, **request: object) -> dict[str, Any]:
        """Read up to 100 items."""

    def query(self, **request: object) -> dict[str, Any]:
        """Read or count items of a partition, of the table or of its index."""

    def transact_write_items(self, **request: object) -> dict[str, Any]:
        """Write up to 100 items, or none."""

    def batch_write_item(self, **request: object) -> dict[str, Any]:
        """Delete up to 25 items, one by one."""


def _schema(keys: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()]
