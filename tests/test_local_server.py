"""The local server: HTTP in, API Gateway events out, and back; over a real socket."""

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.assembly import dispatch
from local.server import MAX_BODY_BYTES, Handler, create_application, create_server, listen
from moderato.telemetry import make_logger

MARKER = "zebrafish"
JSON = {"content-type": "application/json"}
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def serving(
    handler: Handler, logs: StringIO | None = None, *, is_public: bool = False, certificate: Path | None = None
) -> Iterator[int]:
    """Serve a handler in a thread, over TLS with a `certificate` and its key; give the port."""
    listener = listen("127.0.0.1", 0)
    with ThreadPoolExecutor(2) as executor:
        # A name of its own: powertools keeps one logger a service, with the stream that it had first.
        logger = make_logger(f"test-{listener.getsockname()[1]}", logs or StringIO())
        server = create_server(create_application(handler, executor, logger, is_public=is_public))
        server.config.ssl_keyfile = server.config.ssl_certfile = certificate and str(certificate)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Send a request; return the status, the headers and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def echo(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer with the event."""
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    """The port of a server that answers each request with its event."""
    with serving(echo) as port:
        yield port


def event_of(answer: Answer) -> dict[str, Any]:
    """Return the event that the echo server was sent."""
    event: dict[str, Any] = json.loads(answer[2])
    return event


def test_a_request_becomes_an_event_of_payload_2(echo_port: int) -> None:
    headers = {**JSON, "X-Thing": "a", "Cookie": "one=1; two=2", "User-Agent": "tester"}
    event = event_of(ask(echo_port, "POST", "/moderate?a=1&a=2&b=", '{"text": "h\u00e9"}'.encode(), headers))
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/moderate"
    assert event["rawQueryString"] == "a=1&a=2&b="
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["headers"]["x-thing"] == "a"
    assert event["cookies"] == ["one=1", "two=2"]
    assert "cookie" not in event["headers"]
    assert event["body"] == '{"text": "h\u00e9"}'
    assert event["isBase64Encoded"] is False
    assert event["requestContext"]["http"] == {
        "method": "POST",
        "path": "/moderate",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "tester",
    }


def test_repeated_headers_are_joined_by_commas(echo_port: int) -> None:
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-thing: a\r\nX-Thing: b\r\nconnection: close\r\n\r\n"
    answer = raw(echo_port, request)
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["headers"]["x-thing"] == "a,b"


@pytest.mark.parametrize(("body", "kind"), [(b"\xff\xfe", "application/json"), (b"plain", "image/png"), (b"{}", "")])
def test_a_body_that_is_no_text_travels_as_base64(echo_port: int, body: bytes, kind: str) -> None:
    event = event_of(ask(echo_port, "POST", "/", body, {"content-type": kind}))
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_a_form_travels_as_base64_as_it_does_through_api_gateway(echo_port: int) -> None:
    form = b"labels=insult&labels=threat&note=h%C3%A9"
    event = event_of(ask(echo_port, "POST", "/", form, {"content-type": "application/x-www-form-urlencoded"}))
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == form


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/css", "text/javascript"])
def test_a_page_keeps_its_type_and_its_letters(kind: str) -> None:
    page = {"statusCode": 200, "headers": {"Content-Type": kind}, "body": "<p>h\u00e9 \u2028 \U0001f600</p>"}
    with serving(lambda _event, _context: page) as port:
        status, headers, body = ask(port, "GET", "/console")
    assert (status, headers["content-type"]) == (200, kind)
    assert body.decode() == "<p>h\u00e9 \u2028 \U0001f600</p>"
    assert int(headers["content-length"]) == len(body) > len(body.decode())


def test_several_cookies_are_several_headers() -> None:
    answer = {"statusCode": 303, "headers": {"Location": "/console"}, "cookies": ["a=1; HttpOnly", "b=2"], "body": ""}
    with serving(lambda _event, _context: answer) as port:
        got = raw(port, b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert b"set-cookie: a=1; HttpOnly\r\n" in got
    assert b"set-cookie: b=2\r\n" in got


def test_a_request_without_a_body_has_none(echo_port: int) -> None:
    assert "body" not in event_of(ask(echo_port, "GET", "/healthz"))


def test_a_chunked_body_arrives_whole(echo_port: int) -> None:
    assert event_of(ask(echo_port, "POST", "/", iter([b'{"a"', b": 1}"]), JSON))["body"] == '{"a": 1}'


def test_odd_paths_arrive(echo_port: int) -> None:
    assert event_of(ask(echo_port, "GET", "/decisions/a%20%C3%A9%00%0A"))["rawPath"] == "/decisions/a \u00e9\x00\n"
    assert ask(echo_port, "GET", "/%ff%fe")[0] == 200


def test_a_head_request_has_no_body_in_its_answer(echo_port: int) -> None:
    assert ask(echo_port, "HEAD", "/")[2] == b""


def test_a_body_that_is_announced_too_long_is_refused_unread(echo_port: int) -> None:
    # No body follows: a server that read on would wait for it for ever.
    head = f"POST /moderate HTTP/1.1\r\nhost: localhost\r\ncontent-length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    answer = raw(echo_port, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def test_a_chunked_body_is_cut_off_at_the_limit(echo_port: int) -> None:
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % (MAX_BODY_BYTES + 1) + b"x" * (MAX_BODY_BYTES + 1) + b"\r\n"
    assert raw(echo_port, head + chunk).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1", "127.8.9.1", "[::1]", "[::1]:8000", "localhost:"],
)
def test_the_machine_itself_is_served_under_all_its_names(echo_port: int, host: str) -> None:
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    assert raw(echo_port, request.encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8000",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "localhost:8000@evil.test",
        "evil.test:127.0.0.1",
        "192.168.0.1",
        "8.8.8.8",
        "[::2]",
        "[evil]",
        "::1",
        "localhost:8000:1",
        "",
    ],
)
def test_another_host_is_not_served_here(echo_port: int, host: str) -> None:
    request = f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    head, _, body = raw(echo_port, request.encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 421 ")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["title"]) == (421, "Misdirected request")
    assert "evil" not in body.decode()


def test_a_public_server_answers_under_any_name() -> None:
    with serving(echo, is_public=True) as port:
        assert raw(port, b"GET / HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_client_of_http_1_0_need_not_name_a_host(echo_port: int) -> None:
    assert raw(echo_port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert raw(echo_port, b"GET / HTTP/1.0\r\nhost: evil.test\r\n\r\n").startswith(b"HTTP/1.1 421 ")


def test_what_is_not_http_gets_400_and_the_server_lives_on(echo_port: int) -> None:
    assert raw(echo_port, b"\x16\x03\x01 not http\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(echo_port, "GET", "/")[0] == 200


def test_a_client_that_hangs_up_harms_nobody(echo_port: int) -> None:
    with socket.create_connection(("127.0.0.1", echo_port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
    assert ask(echo_port, "GET", "/")[0] == 200


def test_an_answer_keeps_its_status_headers_cookies_and_bytes() -> None:
    binary = {"statusCode": 201, "headers": {"X-A": "b"}, "cookies": ["c=d"], "body": "/w==", "isBase64Encoded": True}
    with serving(lambda _event, _context: binary) as port:
        status, headers, body = ask(port, "GET", "/")
    assert (status, headers["x-a"], headers["set-cookie"], body) == (201, "b", "c=d", b"\xff")


def test_no_content_has_no_length_and_no_type() -> None:
    with serving(lambda _event, _context: {"statusCode": 204, "headers": {"Content-Type": "x"}, "body": ""}) as port:
        status, headers, body = ask(port, "DELETE", "/decisions/1")
    assert (status, body) == (204, b"")
    assert not {"content-length", "content-type"} & set(headers)


def test_a_handler_that_crashes_is_a_500_and_its_message_is_logged_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    def crash(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        raise ValueError(event["body"])

    logs = StringIO()
    with serving(crash, logs) as port:
        answers = [ask(port, "POST", f"/?q={MARKER}", MARKER, JSON) for _ in range(2)]
    assert [status for status, _, _ in answers] == [500, 500]
    assert answers[0][1]["content-type"] == "application/problem+json"
    assert "ValueError" in logs.getvalue()
    captured = capfd.readouterr()
    assert MARKER not in logs.getvalue() + captured.out + captured.err + str(answers)


def test_a_slow_request_holds_up_no_other() -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if event["rawPath"] == "/slow":
            entered.set()
            assert release.wait(30)
        return echo(event, context)

    with serving(slow) as port, ThreadPoolExecutor(1) as client:
        first = client.submit(ask, port, "GET", "/slow")
        assert entered.wait(30)
        assert ask(port, "GET", "/fast")[0] == 200
        release.set()
        assert first.result()[0] == 200


@pytest.mark.parametrize(
    ("path", "app"),
    [
        ("/feedback", "recording"),
        ("/decisions", "recording"),
        ("/decisions/d_1", "recording"),
        ("/reviews", "recording"),
        ("/reviews/r_1/annotations", "recording"),
        ("/loop", "recording"),
        ("/labels.manifest", "recording"),
        ("/console", "recording"),
        ("/console/static/console.css", "recording"),
        ("/moderate", "predicting"),
        ("/feedbacks", "predicting"),
        ("/consoles", "predicting"),
        ("/labels", "predicting"),
        ("/", "predicting"),
        ("", "predicting"),
    ],
)
def test_each_path_goes_to_its_app(path: str, app: str) -> None:
    handler = dispatch(lambda _e, _c: {"app": "predicting"}, lambda _e, _c: {"app": "recording"})
    event = {"rawPath": path, "requestContext": {"http": {"method": "POST"}}}
    assert handler(event, LambdaContext()) == {"app": app}


def raw(port: int, request: bytes) -> bytes:
    """Send bytes; return one whole answer, or what comes back before the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while not is_whole(answer) and (part := connection.recv(65536)):
                answer += part
        except ConnectionResetError:
            pass  # it hung up while we were still sending
        return answer


def is_whole(answer: bytes) -> bool:
    """Return whether an answer has as many bytes as it says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])
