"""An HTTP server for Lambda handlers: each request becomes an API Gateway event, each answer an HTTP response."""

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import uvicorn
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.events import HttpAnswer, answer_of, event_of
from moderato.api import MAX_BODY_BYTES as API_MAX_BODY_BYTES
from moderato.contracts import ProblemDetails

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 6 * 1024 * 1024
"""A Lambda function is never sent more: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


class BodyTooLarge(Exception):
    """The request's body is longer than a Lambda function could be sent."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class LocalContext(LambdaContext):
    """What Lambda tells a handler of its surroundings, as far as a laptop has it."""

    def __init__(self) -> None:
        """Make the context of one call."""
        self._function_name = "moderato"
        self._function_version = "$LATEST"
        self._invoked_function_arn = "arn:aws:lambda:local:000000000000:function:moderato"
        self._memory_limit_in_mb = 1769
        self._aws_request_id = str(uuid.uuid4())


def create_application(handler: Handler, executor: ThreadPoolExecutor, logger: Logger) -> Application:
    """Return the ASGI application that answers by calling `handler` in a thread of `executor`."""

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await _read_body(scope, receive)
        except ClientGone:
            return
        except BodyTooLarge:
            await _respond(
                _problem(413, "Request too large", f"a body may have at most {API_MAX_BODY_BYTES} bytes"), send
            )
            return
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(executor, _answer, handler, event_of(scope, body), logger)
        await _respond(answer, send)

    return application


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that clients can connect from now on; OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


def create_server(application: Application) -> uvicorn.Server:
    """Return the server of an application; it stops when told by SIGINT, SIGTERM or its `should_exit`."""
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        # No access log: a path or a query string may hold what a user wrote.
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def run(handler: Handler, listener: socket.socket, logger: Logger) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first, then the signal is raised again."""
    threads = max(2, min(4, os.cpu_count() or 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="lambda") as executor:
        create_server(create_application(handler, executor, logger)).run(sockets=[listener])


async def _read_body(scope: Mapping[str, Any], receive: Receive) -> bytes:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise BodyTooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(body)


def _answer(handler: Handler, event: dict[str, Any], logger: Logger) -> HttpAnswer:
    try:
        return answer_of(handler(event, LocalContext()))
    except Exception as error:  # noqa: BLE001  # where Lambda would end the call with an error, a server lives on
        # The type only: an exception's message may hold what a user wrote.
        logger.error("crashed", extra={"error_type": type(error).__name__})
        return _problem(
            500, "Internal Server Error", "something failed on our side; the same request may be tried again"
        )


def _problem(status: int, title: str, detail: str) -> HttpAnswer:
    problem = ProblemDetails(type="about:blank", title=title, status=status, detail=detail)
    headers = {"content-type": "application/problem+json"}
    return answer_of({"statusCode": status, "headers": headers, "body": msgspec.json.encode(problem).decode()})


async def _respond(answer: HttpAnswer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
