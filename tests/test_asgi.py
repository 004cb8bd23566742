"""The reading of a body: what is refused, and who is told of its pieces."""

import asyncio
from typing import Any

import pytest

from moderato.asgi import ClientGone, Message, read_body
from moderato.errors import TooLarge


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """Return a message with a piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def read(*messages: dict[str, Any], announced: bytes = b"") -> tuple[bytes, list[int]]:
    """Read a body of at most four bytes; return it, and the sizes that were told."""
    waiting = list(messages)
    sizes: list[int] = []

    async def receive() -> Message:
        return waiting.pop(0)

    headers = [(b"content-length", announced)]
    return asyncio.run(read_body(headers, receive, 4, TooLarge("four at most"), sizes.append)), sizes


def test_each_piece_is_told_as_it_comes() -> None:
    assert read(piece(b"ab"), piece(b"c"), piece(b"d", more=False)) == (b"abcd", [2, 1, 1])


def test_more_than_may_be_is_refused_by_its_announcement_or_as_it_comes() -> None:
    with pytest.raises(TooLarge, match="four at most"):
        read(announced=b"5")
    with pytest.raises(TooLarge, match="four at most"):
        read(piece(b"abc"), piece(b"de"))


def test_a_client_that_goes_in_the_middle_is_told_apart_from_one_that_has_ended() -> None:
    with pytest.raises(ClientGone):
        read(piece(b"ab"), {"type": "http.disconnect"})
