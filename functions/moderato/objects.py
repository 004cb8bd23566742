"""Objects: named bytes that are written once, in a folder or in S3."""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from moderato.errors import ModeratoError

MAX_OBJECT_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**18
_KEY = re.compile(r"[A-Za-z0-9_=:+-][A-Za-z0-9_.=:+-]*(/[A-Za-z0-9_=:+-][A-Za-z0-9_.=:+-]*)*")
_MAX_KEY_CHARACTERS = 1024
_TEMPORARY = ".temporary"


class UnknownObject(ModeratoError):
    """Nothing was written under this key."""


class ObjectStore(Protocol):
    """Objects under keys of parts between slashes; what `put` has returned from is durable.

    A key is for one content: what is there stays. A key with an empty part, or one that begins with a dot, raises
    ValueError.
    """

    def put(self, key: str, content: bytes) -> None:
        """Write an object, unless its key is there."""

    def get(self, key: str, max_bytes: int = MAX_OBJECT_BYTES) -> bytes:
        """Return an object, or the first `max_bytes` + 1 of it if it is longer. Raises UnknownObject."""

    def lines(self, key: str, max_bytes: int) -> Iterator[bytes]:
        """Return an object's lines, split at line feeds only, each cut off after `max_bytes` + 1. Raises UnknownObject.

        Never more than a piece of the object is in memory.
        """

    def exists(self, key: str) -> bool:
        """Return whether an object is there."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Return the keys that begin with this, in alphabetical order."""


class FolderObjects:
    """Objects as the files of a folder; an object is there whole or not at all, even after a power failure."""

    def __init__(self, root: Path) -> None:
        """Make the folder, if there is none."""
        self._root = root
        (root / _TEMPORARY).mkdir(parents=True, exist_ok=True)

    def put(self, key: str, content: bytes) -> None:
        """Write an object, unless its key is there."""
        path = self._path(key)
        temporary = self._root / _TEMPORARY / secrets.token_hex(16)
        _write(temporary, content)
        _make(path.parent)
        try:
            # A rename would replace what another process has written meanwhile; a link leaves it.
            path.hardlink_to(temporary)
        except FileExistsError:
            return
        finally:
            temporary.unlink()
        _sync(path.parent)

    def get(self, key: str, max_bytes: int = MAX_OBJECT_BYTES) -> bytes:
        """Return an object, or the first `max_bytes` + 1 of it if it is longer. Raises UnknownObject."""
        with _found(self._path(key)).open("rb") as file:
            return file.read(max_bytes + 1)

    def lines(self, key: str, max_bytes: int) -> Iterator[bytes]:
        """Return an object's lines, split at line feeds only, each cut off after `max_bytes` + 1."""
        path = _found(self._path(key))

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk

        return split_lines(chunks(), max_bytes)

    def exists(self, key: str) -> bool:
        """Return whether an object is there."""
        return self._path(key).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        """Return the keys that begin with this, in alphabetical order."""
        files = (path.relative_to(self._root) for path in self._root.rglob("*") if path.is_file())
        names = (path.as_posix() for path in files if path.parts[0] != _TEMPORARY)
        return iter(sorted(name for name in names if name.startswith(prefix)))

    def _path(self, key: str) -> Path:
        path = self._root / checked(key)
        if not path.resolve().is_relative_to(self._root.resolve()):  # a link could lead out of the folder
            raise ValueError("the key leads out of the folder of objects")
        return path


class S3Objects:
    """Objects of an S3 bucket, by its boto3 client."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        """Keep objects in `bucket`, which exists."""
        self._client = client
        self._bucket = bucket

    def put(self, key: str, content: bytes) -> None:
        """Write an object, unless its key is there."""
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=checked(key), Body=content, IfNoneMatch="*", ChecksumSHA256=digest
            )
        except self._client.exceptions.ClientError as error:
            if _code(error) != "PreconditionFailed":  # it is there
                raise

    def get(self, key: str, max_bytes: int = MAX_OBJECT_BYTES) -> bytes:
        """Return an object, or the first `max_bytes` + 1 of it if it is longer. Raises UnknownObject."""
        with self._object(key)["Body"] as body:
            content: bytes = body.read(max_bytes + 1)
            return content

    def lines(self, key: str, max_bytes: int) -> Iterator[bytes]:
        """Return an object's lines, split at line feeds only, each cut off after `max_bytes` + 1."""
        body = self._object(key)["Body"]

        def chunks() -> Iterator[bytes]:
            with body:
                yield from body.iter_chunks(_CHUNK_BYTES)

        return split_lines(chunks(), max_bytes)

    def exists(self, key: str) -> bool:
        """Return whether an object is there."""
        try:
            self._client.head_object(Bucket=self._bucket, Key=checked(key))
        except self._client.exceptions.ClientError as error:
            if _code(error) in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Return the keys that begin with this, in alphabetical order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return (item["Key"] for page in pages for item in page.get("Contents", ()))

    def _object(self, key: str) -> Mapping[str, Any]:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=checked(key))
        except self._client.exceptions.NoSuchKey:
            raise UnknownObject("no object has this key") from None


class S3Client(Protocol):
    """What S3Objects needs of boto3's client."""

    exceptions: Any

    def put_object(self, **request: object) -> Mapping[str, Any]:
        """PutObject."""

    def get_object(self, **request: object) -> Mapping[str, Any]:
        """GetObject."""

    def head_object(self, **request: object) -> Mapping[str, Any]:
        """HeadObject."""

    def get_paginator(self, operation_name: str) -> Any:  # noqa: ANN401  # botocore has no types
        """Return what makes pages of a list."""


def checked(key: str) -> str:
    """Return the key, or raise ValueError when it is none: it may have been made of what others sent."""
    if len(key) > _MAX_KEY_CHARACTERS or not _KEY.fullmatch(key):
        raise ValueError(
            "a key has parts of letters, digits and _ . = : + - between slashes, none beginning with a dot"
        )
    return key


def split_lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Return the lines of these chunks, each cut off after `max_bytes` + 1: enough to see that it is too long."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line[: max_bytes + 1]
        rest = rest[: max_bytes + 1]
    if rest:
        yield rest


def _make(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync(one.parent)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _found(path: Path) -> Path:
    if not path.is_file():
        raise UnknownObject("no object has this key")
    return path


def _code(error: Any) -> str:  # noqa: ANN401  # botocore's ClientError, whose class is the client's
    return str(error.response.get("Error", {}).get("Code"))
