"""The routes of the predict image outside of Lambda, as an ASGI application.

    GET  /ping                   200: the model is verified, and this process answers
    POST /invocations            scores, by predict.hosting.invocations
    GET  /execution-parameters   what Batch Transform may send when whoever made the job did not say

The contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aws_lambda_powertools import Logger

from moderato.api import failure, problem
from moderato.asgi import ClientGone, Message, Receive, Scope, Send, read_body
from moderato.contracts import Health
from moderato.errors import MethodNotAllowed, RequestError, UnknownRoute
from predict.hosting.invocations import PATH, Invocations, Kind, Stopped, kind_of, too_large
from predict.hosting.turns import Place, Turns

ROUTES = {"/ping": "GET", PATH: "POST", "/execution-parameters": "GET"}


class ExecutionParameters(msgspec.Struct, frozen=True, rename="pascal"):
    """How Batch Transform should ask: one request for each CPU at a time, with as many lines as a megabyte holds.

    A megabyte takes one CPU a minute or two, and a job gives each request ten: a larger one would gain nothing.
    """

    max_concurrent_transforms: int
    batch_strategy: Literal["MULTI_RECORD"] = "MULTI_RECORD"
    max_payload_in_mb: int = msgspec.field(default=1, name="MaxPayloadInMB")


MAX_BODY_SECONDS = 30.0
"""How long a body may take to come; what is held of it meanwhile is memory that others need."""

LINGER_SECONDS = 5.0
"""How long the rest of a body is read that was refused before its end."""


class TooSlow(RequestError):
    """The body was not complete in time; the same request may be sent again, on another connection."""

    status = 408
    title = "Request timeout"
    slug = "request-timeout"


class Upload:
    """The messages of one request, and whether its body is over."""

    def __init__(self, receive: Receive) -> None:
        """Take them from a server."""
        self._receive = receive
        self.is_over = False

    async def __call__(self) -> Message:
        """Return the next message: a piece of the body, or that the client has gone."""
        message = await self._receive()
        self.is_over = message["type"] == "http.disconnect" or not message.get("more_body")
        return message


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    body: bytes
    media_type: str = Kind.JSON.value
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Application:
    """The ASGI application: it scores in threads of `executor`, one for each CPU, and answers the rest itself."""

    invocations: Invocations
    turns: Turns
    executor: Executor
    cpus: int
    logger: Logger
    max_body_seconds: float = MAX_BODY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        upload = Upload(receive)
        try:
            answer = await self._answer(scope, upload)
        except (ClientGone, Stopped):
            return
        except RequestError as error:
            self.logger.info("refused", extra={"status": error.status, "problem": error.slug})
            answer = _error(error)
        except Exception as error:  # noqa: BLE001  # one request fails, and the server lives on
            # The type only: an exception's message may hold what a user wrote.
            self.logger.error("failed", extra={"error_type": type(error).__name__})
            answer = _failure()
        await _respond(answer, upload, send)

    async def _answer(self, scope: Scope, upload: Upload) -> Answer:
        path = scope["path"]
        if path not in ROUTES:
            raise UnknownRoute(f"no route has this path; there are {', '.join(ROUTES)}")
        if scope["method"] != ROUTES[path]:
            raise MethodNotAllowed([ROUTES[path]])
        if path == PATH:
            return await self._invoke(scope, upload)
        # This is only reached around a verified model, so a process that answers at all is healthy.
        return Answer(msgspec.json.encode(Health() if path == "/ping" else ExecutionParameters(self.cpus)))

    async def _invoke(self, scope: Scope, upload: Upload) -> Answer:
        kind = kind_of(dict(scope["headers"]).get(b"content-type", b"").decode("latin-1"))
        with self.turns.place() as place:
            body = await self._read(kind, scope, upload, place)
            return Answer(await _unless_gone(self._score(kind, body, place), upload), kind.value)

    async def _read(self, kind: Kind, scope: Scope, upload: Upload, place: Place) -> bytes:
        limit = self.invocations.max_bytes(kind)
        try:
            async with asyncio.timeout(self.max_body_seconds):
                return await read_body(scope["headers"], upload, limit, too_large(limit), place.grow)
        except TimeoutError:
            raise TooSlow(f"a body must be complete within {self.max_body_seconds:g} s") from None

    async def _score(self, kind: Kind, body: bytes, place: Place) -> bytes:
        is_stopped = threading.Event()
        async with self.turns.turn(place):
            loop = asyncio.get_running_loop()
            scoring = loop.run_in_executor(self.executor, self.invocations, kind, body, is_stopped.is_set)
            try:
                return await asyncio.shield(scoring)
            except asyncio.CancelledError:
                is_stopped.set()
                # The CPU is free when its thread is, not before.
                await asyncio.gather(scoring, return_exceptions=True)
                raise


async def _unless_gone(work: Coroutine[Any, Any, bytes], upload: Upload) -> bytes:
    """Return what `work` does, and end it when the client goes: SageMaker hangs up after 60 s, and asks again."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_leave(upload))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _leave(upload: Upload) -> None:
    while (await upload())["type"] != "http.disconnect":
        pass


def _error(error: RequestError) -> Answer:
    response = problem(error, PATH)
    return Answer((response.body or "").encode(), response.content_type or "", error.status, error.headers)


def _failure() -> Answer:
    response = failure(PATH)
    return Answer((response.body or "").encode(), response.content_type or "", response.status_code)


async def _respond(answer: Answer, upload: Upload, send: Send) -> None:
    own = {"Content-Type": answer.media_type, "Content-Length": str(len(answer.body))}
    # What was not read to its end may never end, and the next request could not be found behind it.
    closing = {} if upload.is_over else {"Connection": "close"}
    headers = {**answer.headers, **own, **closing}.items()
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    await _linger(upload)
    await send({"type": "http.response.body", "body": b""})


async def _linger(upload: Upload) -> None:
    """Read what is left: a client whose connection is closed while it sends never sees why it was refused."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while not upload.is_over:
                await upload()
