"""What an ASGI server and an application say to each other, and the reading of a whole body: plain types, no server.

The protocol: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from moderato.errors import TooLarge

Message = MutableMapping[str, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection before it was answered."""


async def read_body(
    headers: Iterable[tuple[bytes, bytes]],
    receive: Receive,
    max_bytes: int,
    too_large: TooLarge,
    arrived: Callable[[int], None] = lambda _size_bytes: None,
) -> bytes:
    """Return the body of a request; `arrived` is told the bytes of each piece before it is kept, and may raise.

    Raises `too_large` where more than `max_bytes` are announced or come, and ClientGone.
    """
    announced = dict(headers).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        if len(body) + len(piece) > max_bytes:
            raise too_large
        arrived(len(piece))
        body += piece
        if not message.get("more_body"):
            return bytes(body)
