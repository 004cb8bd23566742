"""The DynamoDB client that is made when it is first used: an allowed text, of which nothing is stored, needs none."""

import threading
from collections.abc import Callable
from typing import Any

from moderato.dynamodb_schema import Client


class LateClient:
    """A `Client` that makes the real one on its first use, once, whichever thread comes first."""

    # Importing boto3 and making a client costs more than the rest of a cold start: about 0.3 s of CPU.

    def __init__(self, make_client: Callable[[], Client]) -> None:
        """Make the real client by `make_client`; when that raises, the next use tries again."""
        self._make_client = make_client
        self._making = threading.Lock()
        self._made: Client | None = None

    @property
    def exceptions(self) -> Any:  # noqa: ANN401  # boto3 makes them of the service's model
        """The classes of what the service refuses."""
        return self._client().exceptions

    def get_item(self, **request: object) -> dict[str, Any]:
        """Read one item."""
        return self._client().get_item(**request)

    def batch_get_item(self, **request: object) -> dict[str, Any]:
        """Read up to 100 items."""
        return self._client().batch_get_item(**request)

    def query(self, **request: object) -> dict[str, Any]:
        """Read or count items of a partition, of the table or of its index."""
        return self._client().query(**request)

    def transact_write_items(self, **request: object) -> dict[str, Any]:
        """Write up to 100 items, or none."""
        return self._client().transact_write_items(**request)

    def batch_write_item(self, **request: object) -> dict[str, Any]:
        """Delete up to 25 items, one by one."""
        return self._client().batch_write_item(**request)

    def _client(self) -> Client:
        with self._making:
            if self._made is None:
                self._made = self._make_client()
            return self._made
