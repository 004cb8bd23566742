"""The bucket of the deployment: beside objects that stay as they are, records that change and texts that go."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from moderato.dynamodb_table import Contended
from moderato.objects import S3Client, S3Objects, checked

_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
"""What S3 says where an object is not any more what it was when it was read."""
_MOST_TRIES = 8


class BucketClient(S3Client, Protocol):
    """What is needed of boto3's client of S3."""

    def delete_object(self, **request: object) -> Mapping[str, Any]:
        """DeleteObject."""


class Bucket(S3Objects):
    """Objects of an S3 bucket that keeps versions: what is replaced or removed is there until its lifecycle ends it."""

    def __init__(self, client: BucketClient, name: str) -> None:
        """Keep objects in the bucket of this name, which exists."""
        super().__init__(client, name)
        self._client: BucketClient = client

    def replace(self, key: str, content: bytes) -> None:
        """Write an object in place of whatever is there."""
        self._client.put_object(Bucket=self._bucket, Key=checked(key), Body=content)

    def change(self, key: str, change: Callable[[bytes], bytes | None]) -> None:
        """Write what `change` makes of an object; None leaves it as it is. Raises UnknownObject.

        Of several who change one at once, each is given what the others made of it.
        """
        for _ in range(_MOST_TRIES):
            found = self._object(key)
            with found["Body"] as body:
                changed = change(body.read())
            if changed is None or self._put_over(key, changed, found["ETag"]):
                return
        raise Contended("others wrote the same object at the same time, again and again")

    def remove(self, key: str) -> None:
        """Take an object away; where there is none, nothing happens."""
        self._client.delete_object(Bucket=self._bucket, Key=checked(key))

    def _put_over(self, key: str, content: bytes, tag: str) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=checked(key), Body=content, IfMatch=tag)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED:
                raise
            return False
        return True
