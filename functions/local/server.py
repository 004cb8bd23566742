"""An HTTP server for Lambda handlers: each request becomes an API Gateway event, each answer an HTTP response."""

import asyncio
import ipaddress
import os
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.events import Headers, HttpAnswer, answer_of, event_of
from moderato.api import MAX_BODY_BYTES as API_MAX_BODY_BYTES
from moderato.api import failure, problem
from moderato.asgi import Application, ClientGone, Receive, Send, read_body
from moderato.errors import RequestError, TooLarge

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

MAX_BODY_BYTES = 6 * 1024 * 1024
"""A Lambda function is never sent more: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?", re.IGNORECASE)


class Misdirected(RequestError):
    """The request is meant for another host than this machine."""

    status = 421
    title = "Misdirected request"
    slug = "misdirected-request"


class LocalContext(LambdaContext):
    """What Lambda tells a handler of its surroundings, as far as a laptop has it."""

    def __init__(self) -> None:
        """Make the context of one call."""
        self._function_name = "moderato"
        self._function_version = "$LATEST"
        self._invoked_function_arn = "arn:aws:lambda:local:000000000000:function:moderato"
        self._memory_limit_in_mb = 1769
        self._aws_request_id = str(uuid.uuid4())


def create_application(
    handler: Handler, executor: ThreadPoolExecutor, logger: Logger, *, is_public: bool = False
) -> Application:
    """Return the ASGI application that answers by calling `handler` in a thread of `executor`.

    One that `is_public` answers under any name: whoever makes it so has a handler that demands keys.
    """

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if not is_public:
                require_loopback_host(scope["headers"])
            body = await read_body(scope["headers"], receive, MAX_BODY_BYTES, _too_large())
        except ClientGone:
            return
        except RequestError as error:
            logger.info("refused", extra={"status": error.status, "problem": error.slug})
            await _respond(_http(problem(error, scope["path"])), send)
            return
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(executor, _answer, handler, event_of(scope, body), logger)
        await _respond(answer, send)

    return application


def require_loopback_host(headers: Headers) -> None:
    """Raise Misdirected where a request's Host names anything but this machine.

    A site whose name is made to lead to 127.0.0.1 ("DNS rebinding") is to a browser the same site as before: its pages
    could sign in here and read all there is. Only the Host tells. Clients that are no browsers may leave it out.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if not all(map(_is_loopback, hosts)):
        raise Misdirected("this server answers for its own machine only: ask localhost, 127.0.0.1 or [::1]")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that clients can connect from now on; OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # An answer's head and body are two pieces: the second would wait 40 ms for the client to acknowledge the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def run(handler: Handler, listener: socket.socket, logger: Logger, *, is_public: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first, then the signal is raised again."""
    threads = max(2, min(4, os.cpu_count() or 1))
    with ThreadPoolExecutor(threads, thread_name_prefix="lambda") as executor:
        application = create_application(handler, executor, logger, is_public=is_public)
        create_server(application).run(sockets=[listener])


def _too_large() -> TooLarge:
    return TooLarge(f"a body may have at most {API_MAX_BODY_BYTES} bytes")


def _is_loopback(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["address"] or found["name"]).lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _answer(handler: Handler, event: dict[str, Any], logger: Logger) -> HttpAnswer:
    try:
        return answer_of(handler(event, LocalContext()))
    except Exception as error:  # noqa: BLE001  # where Lambda would end the call with an error, a server lives on
        # The type only: an exception's message may hold what a user wrote.
        logger.error("crashed", extra={"error_type": type(error).__name__})
        return _http(failure(event["rawPath"]))


def _http(response: Response[str]) -> HttpAnswer:
    return answer_of({"statusCode": response.status_code, "headers": response.headers, "body": response.body})


async def _respond(answer: HttpAnswer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
