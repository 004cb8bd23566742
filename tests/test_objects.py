"""Objects in a folder and in S3: the same rules for both."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
from moto import mock_aws

from moderato.objects import FolderObjects, ObjectStore, S3Objects, UnknownObject, split_lines

BUCKET = "a-bucket"


@pytest.fixture
def s3() -> Iterator[Any]:
    """A client of S3, where there is one empty bucket."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of objects."""
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    return S3Objects(request.getfixturevalue("s3"), BUCKET)


def test_what_was_put_is_there(objects: ObjectStore) -> None:
    objects.put("labeling/input/1.manifest", b"one\x00\xff")
    assert objects.get("labeling/input/1.manifest") == b"one\x00\xff"
    assert objects.exists("labeling/input/1.manifest")


def test_what_was_not_put_is_not_there(objects: ObjectStore) -> None:
    objects.put("labeling/1", b"one")
    assert not objects.exists("labeling/2")
    assert not objects.exists("labeling")
    with pytest.raises(UnknownObject):
        objects.get("labeling/2")
    with pytest.raises(UnknownObject):
        objects.lines("labeling/2", 10)


def test_a_key_is_written_once(objects: ObjectStore) -> None:
    objects.put("a/b", b"one")
    objects.put("a/b", b"two")
    assert objects.get("a/b") == b"one"


def test_an_object_may_be_empty(objects: ObjectStore) -> None:
    objects.put("empty", b"")
    assert objects.get("empty") == b""
    assert list(objects.lines("empty", 10)) == []


def test_of_a_long_object_as_much_is_read_as_shows_that_it_is_long(objects: ObjectStore) -> None:
    objects.put("long", b"a" * 1000)
    assert objects.get("long", max_bytes=10) == b"a" * 11


def test_lines_end_at_line_feeds_only(objects: ObjectStore) -> None:
    objects.put("lines", "one\r\ntwo\u2028still two\x0bstill\n\nlast".encode())
    expected = [b"one\r", "two\u2028still two\x0bstill".encode(), b"", b"last"]
    assert list(objects.lines("lines", 100)) == expected


def test_a_long_line_is_cut_off_and_the_next_one_whole(objects: ObjectStore) -> None:
    objects.put("lines", b"a" * 2_000_000 + b"\nb\n")
    assert list(objects.lines("lines", 5)) == [b"aaaaaa", b"b"]


def test_keys_are_listed_in_order_by_their_beginning(objects: ObjectStore) -> None:
    for key in ("a/2", "a/1/x", "ab", "b/1"):
        objects.put(key, b"")
    assert list(objects.keys("a/")) == ["a/1/x", "a/2"]
    assert list(objects.keys("a")) == ["a/1/x", "a/2", "ab"]
    assert list(objects.keys("c")) == []


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./b", ".temporary/x", "a\\b", "\x00", "a" * 1025],
)
def test_a_key_that_could_lead_elsewhere_is_refused(objects: ObjectStore, key: str) -> None:
    for use in (lambda: objects.put(key, b""), lambda: objects.get(key), lambda: objects.exists(key)):
        with pytest.raises(ValueError, match="key"):
            use()


def test_a_key_through_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    (tmp_path / "objects" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads out of the folder"):
        objects.put("link/x", b"")


def test_a_folder_holds_nothing_half_written(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.put("a/b", b"one")
    objects.put("a/b", b"one")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]
    (tmp_path / ".temporary" / "half").write_bytes(b"on")
    assert list(objects.keys("")) == ["a/b"]


def test_a_refusal_of_s3_is_passed_on(s3: Any) -> None:
    objects = S3Objects(s3, "no-such-bucket")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        objects.put("a", b"")
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucket"):
        objects.get("a")


def test_s3_is_given_the_digest_and_the_condition(s3: Any) -> None:
    sent: list[dict[str, str]] = []
    s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: sent.append(params["headers"]))
    S3Objects(s3, BUCKET).put("a", b"abc")
    assert sent[0]["x-amz-checksum-sha256"] == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    assert sent[0]["If-None-Match"] == "*"


def test_many_keys_are_listed_over_many_pages(s3: Any) -> None:
    for number in range(1_001):
        s3.put_object(Bucket=BUCKET, Key=f"a/{number:04}", Body=b"")
    assert len(list(S3Objects(s3, BUCKET).keys("a/"))) == 1_001


def test_lines_of_any_chunks_are_the_same() -> None:
    content = b"one\ntwo\n\nthree"
    for size in range(1, len(content) + 1):
        chunks = [content[start : start + size] for start in range(0, len(content), size)]
        assert list(split_lines(chunks, 100)) == [b"one", b"two", b"", b"three"]


def test_a_line_of_any_length_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        lines = list(split_lines((b"a" * 2**20 for _ in range(64)), 10))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines == [b"a" * 11]
    assert peak < 8 * 2**20
