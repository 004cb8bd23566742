"""A bucket for tests, in memory: S3's objects, every request held against S3's own model."""

import hashlib
import io
import threading
from collections.abc import Mapping
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # none of it has types
from botocore.errorfactory import ClientExceptionsFactory  # type: ignore[import-untyped]

from tests.service_models import complaints

BUCKET = "a-bucket"
EXCEPTIONS = ClientExceptionsFactory().create_client_exceptions(botocore.session.get_session().get_service_model("s3"))


class MemoryBucket:
    """The current objects of a bucket, and `written`: all that was ever written, as its versions hold it."""

    def __init__(self) -> None:
        """Begin empty."""
        self.exceptions = EXCEPTIONS
        self.objects: dict[str, bytes] = {}
        self.written: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def put_object(self, **request: Any) -> dict[str, Any]:
        """PutObject."""
        _check("PutObject", request)
        with self._lock:
            if request.get("IfNoneMatch") == "*" and request["Key"] in self.objects:
                raise self.exceptions.ClientError(_response("PreconditionFailed", 412), "PutObject")
            if "IfMatch" in request and request["IfMatch"] != _tag(self.objects.get(request["Key"])):
                raise self.exceptions.ClientError(_response("PreconditionFailed", 412), "PutObject")
            self.objects[request["Key"]] = request["Body"]
            self.written.append((request["Key"], request["Body"]))
        return {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        """GetObject."""
        _check("GetObject", request)
        if request["Key"] not in self.objects:
            raise self.exceptions.NoSuchKey(_response("NoSuchKey", 404), "GetObject")
        content = self.objects[request["Key"]]
        return {"Body": io.BytesIO(content), "ETag": _tag(content)}

    def delete_object(self, **request: Any) -> dict[str, Any]:
        """DeleteObject."""
        _check("DeleteObject", request)
        self.objects.pop(request["Key"], None)
        return {}

    def head_object(self, **request: Any) -> dict[str, Any]:
        """HeadObject."""
        raise NotImplementedError

    def get_paginator(self, operation_name: str) -> "MemoryBucket":
        """Return what makes pages of a list: ListObjectsV2."""
        assert operation_name == "list_objects_v2"
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Return pages of one key each."""
        _check("ListObjectsV2", request)
        return [{"Contents": [{"Key": key}]} for key in sorted(self.objects) if key.startswith(request["Prefix"])]


def _tag(content: bytes | None) -> str | None:
    return None if content is None else f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _check(operation: str, request: Mapping[str, Any]) -> None:
    problems = [*complaints("s3", operation, request), *([] if request["Bucket"] == BUCKET else ["another bucket"])]
    assert not problems, problems


def _response(code: str, status: int) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
