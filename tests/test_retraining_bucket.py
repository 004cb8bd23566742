"""The bucket of retraining: records that several change at once, and texts that go."""

from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from moto import mock_aws

from moderato.dynamodb_table import Contended
from moderato.objects import UnknownObject
from retraining.bucket import Bucket
from tests.buckets import MemoryBucket


def test_what_is_replaced_or_removed_in_s3_is_there_as_a_version_only() -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="a-bucket")
        client.put_bucket_versioning(Bucket="a-bucket", VersioningConfiguration={"Status": "Enabled"})
        bucket = Bucket(client, "a-bucket")
        bucket.put("a/b", b"one")
        bucket.replace("a/b", b"two")
        assert bucket.get("a/b") == b"two"
        bucket.change("a/b", lambda content: content + b" and more")
        bucket.change("a/b", lambda _: None)
        assert bucket.get("a/b") == b"two and more"
        with pytest.raises(UnknownObject):
            bucket.change("a/none", lambda content: content)
        bucket.remove("a/b")
        bucket.remove("a/none")
        assert list(bucket.keys("a/")) == []
        bucket.put("a/b", b"three")
        assert bucket.get("a/b") == b"three"
        assert len(client.list_object_versions(Bucket="a-bucket", Prefix="a/b")["Versions"]) == 4


def test_of_two_who_change_an_object_at_once_the_second_sees_what_the_first_made() -> None:
    bucket = Bucket(MemoryBucket(), "a-bucket")
    bucket.put("a", b"0")
    others = iter([b"1", b"2"])

    def change(content: bytes) -> bytes:
        if other := next(others, b""):
            bucket.replace("a", other)
        return content + b"+"

    bucket.change("a", change)
    assert bucket.get("a") == b"2+"


def test_an_object_that_never_stops_changing_is_given_up() -> None:
    bucket = Bucket(MemoryBucket(), "a-bucket")
    bucket.put("a", b"0")

    def change(content: bytes) -> bytes:
        bucket.replace("a", content + b".")
        return content

    with pytest.raises(Contended):
        bucket.change("a", change)


def test_a_refusal_by_s3_is_passed_on() -> None:
    class Refusing(MemoryBucket):
        def put_object(self, **request: Any) -> dict[str, Any]:
            if "IfMatch" in request:
                raise self.exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
            return super().put_object(**request)

    bucket = Bucket(Refusing(), "a-bucket")
    bucket.put("a", b"0")
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.change("a", lambda content: content)
