"""The socket and the server of the predict image outside of Lambda: uvicorn, without a log of what is asked."""

import socket

import uvicorn

from predict.hosting.app import Application

KEEP_ALIVE_SECONDS = 75
"""Longer than a load balancer keeps an idle connection (AWS's: 60 s), so that none is closed under a new request."""

GRACE_SECONDS = 18
"""What requests under way have after SIGTERM. SageMaker and Kubernetes kill 30 s after it, and what is being scored at
the end of this may take 10 more."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on all addresses of the container, IPv6 too where there is any."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    listener = socket.create_server(("", port), family=family, backlog=2048, dualstack_ipv6=dual)
    # Each connection has it from here. Head and body are two pieces, and the second would wait 40 ms for the client to
    # acknowledge the first. asyncio sets it only where a socket says that it is TCP's, which this one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def create_server(application: Application) -> uvicorn.Server:
    """Return the server of an application; it stops when told by SIGINT, SIGTERM or its `should_exit`."""
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)
