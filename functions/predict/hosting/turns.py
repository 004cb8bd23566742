"""Who waits for a CPU: first come, first served, and nobody for so long that the answer would come too late."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

from moderato.errors import RequestError

MAX_WAITING_REQUESTS = 100
"""Requests that wait for one CPU: about a second for short texts, one each."""

MAX_WAITING_BYTES = 32 * 1024 * 1024
"""What all bodies that still arrive or wait may have together, as they are held in memory; more only where each CPU
may be sent more at once."""

MAX_WAITING_SECONDS = 30.0
"""SageMaker gives up after 60 s, and the slowest request takes 10 to score: whoever waited longer would be scored
in vain."""

_TOO_MANY = "too many requests wait here; try again in a moment, with fewer at once"


class Overloaded(RequestError):
    """More comes in than can be scored; the same request may be sent again later, or to another instance."""

    status = 503
    title = "Overloaded"
    slug = "overloaded"
    after_seconds: ClassVar[int] = 1

    @property
    def headers(self) -> dict[str, str]:
        """When to try again (RFC 9110, 15.6.4)."""
        return {"Retry-After": str(self.after_seconds)}


class Place:
    """What one request holds in memory before its turn, counted piece by piece as it comes."""

    def __init__(self, turns: "Turns") -> None:
        """Begin with nothing."""
        self._turns = turns
        self._bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Count a piece. Raises Overloaded where all requests together hold too much."""
        self._turns.take(size_bytes)
        self._bytes += size_bytes

    def clear(self) -> None:
        """Count none of it any more: its turn has come, or it has gone."""
        self._turns.give_back(self._bytes)
        self._bytes = 0


class Turns:
    """One turn at a time for each CPU; used from one event loop."""

    def __init__(self, cpus: int, largest_bytes: int, most_seconds: float | None = MAX_WAITING_SECONDS) -> None:
        """Give turns on so many CPUs to requests of at most `largest_bytes`.

        They wait for at most `most_seconds`, or as long as it takes.
        """
        self._free = asyncio.Semaphore(cpus)
        self._most_requests = MAX_WAITING_REQUESTS * cpus
        self._most_bytes = max(MAX_WAITING_BYTES, cpus * largest_bytes)
        self._most_seconds = most_seconds
        self._requests = 0
        self._bytes = 0

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Give a request its place, for as long as it is here."""
        place = Place(self)
        try:
            yield place
        finally:
            place.clear()

    def take(self, size_bytes: int) -> None:
        """Count bytes that came. Raises Overloaded, and counts them not, where too many are held already."""
        if self._bytes + size_bytes > self._most_bytes:
            raise Overloaded(_TOO_MANY)
        self._bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count bytes no longer that were taken."""
        self._bytes -= size_bytes

    @asynccontextmanager
    async def turn(self, place: Place) -> AsyncIterator[None]:
        """Wait for a CPU, and have it. Raises Overloaded where too many wait, or when this one has waited too long."""
        if self._requests >= self._most_requests:
            raise Overloaded(_TOO_MANY)
        self._requests += 1
        try:
            async with asyncio.timeout(self._most_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(
                f"no CPU was free for {self._most_seconds:g} s; try again later, with fewer at once"
            ) from None
        finally:
            self._requests -= 1
        place.clear()
        try:
            yield
        finally:
            self._free.release()
