"""The predict image outside of Lambda: /ping, /invocations and their limits, over a real socket."""

import base64
import http.client
import json
import random
import re
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from moderato.api import MAX_BODY_BYTES
from moderato.scorer import Scorer
from predict.hosting.invocations import MAX_LINES, MAX_LINES_BYTES, Invocations, Kind, Stopped
from predict.hosting.turns import MAX_WAITING_BYTES, MAX_WAITING_REQUESTS
from tests.conftest import STARTER, App
from tests.events import send
from tests.hosted import SECONDS, Held, invocations, post, send_raw, serving

TEXTS = Path(__file__).parent / "texts"
ABUSIVE = (TEXTS / "abusive.txt").read_text().splitlines()
FRIENDLY = (TEXTS / "friendly.txt").read_text().splitlines()
MARKER = "xylophonequokka"
JSON = "application/json"
LINES = "application/jsonlines"


@pytest.fixture(scope="module")
def port(scorer: Scorer) -> Iterator[int]:
    """The port of a server with the starter model."""
    with serving(invocations(scorer, StringIO())) as port:
        yield port


def ask(port: int, method: str, path: str, body: Any = None, kind: str | None = None) -> tuple[int, Any, Any]:
    """Send a request on a connection of its own; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def invoke(port: int, body: Any, kind: str = JSON) -> tuple[int, Any]:
    """Send an invocation, as JSON unless it is bytes; return the status and the decoded body."""
    status, _, content = ask(port, "POST", "/invocations", body if isinstance(body, bytes) else json.dumps(body), kind)
    return status, json.loads(content)


def invoke_lines(port: int, body: bytes) -> list[Any]:
    """Send texts, one a line; return the decoded lines of the answer."""
    status, headers, content = ask(port, "POST", "/invocations", body, LINES)
    assert (status, headers["content-type"]) == (200, LINES)
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.removesuffix(b"\n").split(b"\n")]


def test_a_process_with_a_verified_model_is_healthy(port: int) -> None:
    status, headers, body = ask(port, "GET", "/ping")
    assert (status, headers["content-type"], json.loads(body)) == (200, JSON, {"status": "ok"})


def test_one_request_is_answered_as_the_api_answers_it(port: int, moderation: App) -> None:
    request = {"items": [{"id": "c-1", "text": ABUSIVE[0]}, {"text": FRIENDLY[0]}], "explain": True, "store": False}
    status, body = invoke(port, request)
    expected = send(moderation, "POST", "/moderate", request)[1]
    for result in [*body["results"], *expected["results"]]:
        del result["decision_id"]
    assert (status, body) == (200, expected)


def test_nothing_is_stored_whatever_the_request_asks_for(port: int) -> None:
    status, body = invoke(port, {"items": [{"text": ABUSIVE[0]}, {"text": FRIENDLY[0]}], "store": True})
    assert status == 200
    assert [(result["flagged"], result["stored"]) for result in body["results"]] == [(True, False), (False, False)]


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"text": ""},
        {"text": "a" * 20_001},
        {"text": "a", "policy": "nope"},
        {"text": "a", "explian": True},
        {"items": [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}]},
        b"",
        b"{",
        b'{"text": "a", "text": "b"}',
        b'{"text": "\xff"}',
    ],
)
def test_a_bad_request_is_refused_in_the_words_of_the_api(port: int, moderation: App, request_body: Any) -> None:
    raw = request_body if isinstance(request_body, bytes) else json.dumps(request_body).encode()
    headers, encoded = {"content-type": JSON}, base64.b64encode(raw).decode()
    expected = send(moderation, "POST", "/moderate", encoded, headers, is_base64=True)
    assert expected[0] == 400
    assert invoke(port, raw) == expected


def test_each_line_has_its_result_in_its_place_and_a_bad_one_its_error(port: int, scorer: Scorer) -> None:
    lines = [
        json.dumps({"id": "a", "text": ABUSIVE[0]}).encode(),
        b'{"id": "b"}',
        b"",
        b'{"text": "' + FRIENDLY[0].encode() + b'"}\r',
        b'{"id": "c", "text": "\xff"}',
        b'{"id": 7, "text": "x"}',
        json.dumps({"id": "a", "text": "split \u2028 or not"}, ensure_ascii=False).encode(),
        b"[1]",
    ]
    answers = invoke_lines(port, b"\n".join(lines))
    assert [answer.get("id") for answer in answers] == ["a", "b", None, None, "c", None, "a", None]
    assert ["action" in answer for answer in answers] == [True, False, False, True, False, False, True, False]
    assert [answer["error"]["status"] for answer in answers if "error" in answer] == [400] * 5
    assert answers[1]["error"]["detail"] == "the body: Object missing required field `text`"
    assert answers[0]["scores"] == scorer.score(ABUSIVE[0]).scores
    assert answers[3]["scores"] == scorer.score(FRIENDLY[0]).scores
    assert answers[0]["model"] == {"name": "starter", "version": scorer.manifest.version}
    assert answers[0]["policy"] == {"name": "default", "version": 1}
    assert {answer["stored"] for answer in answers if "action" in answer} == {False}


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_last_line_may_have_an_end_and_one_record_is_one_line(port: int, end: bytes) -> None:
    (answer,) = invoke_lines(port, b'{"text": "Have a lovely day"}' + end)
    assert answer["action"] == "allow"


def test_a_line_that_is_too_much_for_the_model_or_too_long_stops_no_other(port: int) -> None:
    # Each is one character of six or seven tokens, and no window repeats another.
    most = json.dumps({"id": "tokens", "text": "".join(random.Random(1).choices("\u321d\u321e", k=20_000))})
    longest = json.dumps({"text": "a" * MAX_BODY_BYTES})
    answers = invoke_lines(port, f'{most}\n{longest}\n{{"text": "Have a lovely day"}}'.encode())
    assert [answer.get("error", {}).get("status") for answer in answers] == [413, 413, None]
    assert answers[0]["id"] == "tokens"


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n"])
def test_lines_without_any_are_refused(port: int, body: bytes) -> None:
    status, problem = invoke(port, body, LINES)
    assert (status, problem["detail"]) == (400, "the body is empty; send one JSON object with a `text` a line")


def test_more_lines_than_there_is_memory_for_answers_are_refused(port: int) -> None:
    # Each is an error in a few bytes; a body of six megabytes of them had answers of gigabytes.
    assert len(invoke_lines(port, b"x\n" * MAX_LINES)) == MAX_LINES
    status, problem = invoke(port, b"x\n" * (MAX_LINES + 1), LINES)
    assert (status, problem["detail"]) == (413, "a body may have at most 100000 lines here; send fewer at once")


def test_a_job_that_may_send_more_bytes_may_send_more_lines(scorer: Scorer) -> None:
    # 100 MB, the most that Batch Transform sends, of lines of 64 bytes.
    assert invocations(scorer, StringIO(), max_lines_bytes=100 * 1024 * 1024).max_lines == 1_638_400


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/csv", "application/json; charset=latin-1", "application/jsonl", "", "application/"]
)
def test_another_kind_of_body_is_refused_with_those_that_are_right(port: int, kind: str) -> None:
    status, problem = invoke(port, b'{"text": "a"}', kind)
    assert status == 415
    assert "application/json," in problem["detail"]
    assert "application/jsonlines" in problem["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"'])
def test_a_kind_may_name_its_letters(port: int, kind: str) -> None:
    assert invoke(port, {"text": "a"}, kind)[0] == 200


@pytest.mark.parametrize(("kind", "limit"), [(JSON, MAX_BODY_BYTES), (LINES, MAX_LINES_BYTES)])
def test_a_body_that_is_announced_too_long_is_refused_unread(port: int, kind: str, limit: int) -> None:
    # No body follows: a server that read on would wait for it for ever.
    head = f"POST /invocations HTTP/1.1\r\nhost: h\r\ncontent-type: {kind}\r\ncontent-length: {limit + 1}\r\n\r\n"
    with send_raw(port, head.encode()) as connection:
        answer = whole(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert f"at most {limit} bytes".encode() in answer
    assert b"\r\nconnection: close\r\n" in answer


def test_a_chunked_body_is_cut_off_at_the_limit(scorer: Scorer) -> None:
    head = f"POST /invocations HTTP/1.1\r\nhost: h\r\ncontent-type: {LINES}\r\ntransfer-encoding: chunked\r\n\r\n"
    sent = head.encode() + b"3e9\r\n" + b"x" * 1_001 + b"\r\n"
    with serving(invocations(scorer, StringIO(), max_lines_bytes=1_000)) as port, send_raw(port, sent) as connection:
        assert whole(connection).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_on_still_sees_why_it_was_refused(port: int) -> None:
    status, problem = invoke(port, b" " * 20_000_000)
    assert (status, problem["detail"]) == (413, "a body may have at most 262144 bytes here; send fewer texts at once")
    assert invoke(port, b" " * 20_000_000, "text/plain")[0] == 415


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "/ping, /invocations, /execution-parameters"),
        ("POST", "/moderate", 404, "/invocations"),
        ("GET", "/invocations", 405, "POST"),
        ("POST", "/ping", 405, "GET"),
    ],
)
def test_routes_and_methods_are_told_apart(port: int, method: str, path: str, status: int, words: str) -> None:
    answered, headers, body = ask(port, method, path)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert words in json.loads(body)["detail"]
    assert headers["allow"] == (words if status == 405 else None)


def test_a_batch_job_is_told_how_to_ask(scorer: Scorer) -> None:
    with serving(invocations(scorer, StringIO()), cpus=3) as port:
        told = json.loads(ask(port, "GET", "/execution-parameters")[2])
    assert told == {"MaxConcurrentTransforms": 3, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 1}


def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        sockets = set()
        for _ in range(3):
            connection.request("POST", "/invocations", b'{"text": "a"}', {"Content-Type": JSON})
            response = connection.getresponse()
            assert (response.status, response.read()[:1]) == (200, b"{")
            assert connection.sock is not None
            sockets.add(connection.sock.getsockname())
        assert len(sockets) == 1
    finally:
        connection.close()


def test_texts_of_one_moment_do_not_mix(port: int, scorer: Scorer) -> None:
    texts = (ABUSIVE + FRIENDLY)[:24]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda text: invoke(port, {"text": text})[1]["results"][0]["scores"], texts))
    assert answers == [scorer.score(text).scores for text in texts]


def test_health_is_told_while_every_cpu_scores(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), kind=Held)
    with serving(held, cpus=1) as port, send_raw(port, post(b"1")) as first:
        assert held.entered.acquire(timeout=SECONDS)
        assert ask(port, "GET", "/ping")[0] == 200
        held.released.set()
        assert whole(first).endswith(b"\r\n\r\n1")


def test_one_cpu_scores_one_request_at_a_time_in_the_order_they_came(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), kind=Held)
    with serving(held, cpus=1) as port, send_raw(port, post(b"1")) as first:
        assert held.entered.acquire(timeout=SECONDS)
        with send_raw(port, post(b"2")) as second:
            assert ask(port, "GET", "/ping")[0] == 200
            assert not held.entered.acquire(blocking=False)
            held.released.set()
            assert [whole(first)[-1:], whole(second)[-1:]] == [b"1", b"2"]


def test_what_cannot_be_scored_soon_is_refused_at_once(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), kind=Held)
    with serving(held, cpus=1) as port:
        connections = [send_raw(port, post(b"x")) for _ in range(MAX_WAITING_REQUESTS + 2)]
        readable, _, _ = select.select(connections, [], [], SECONDS)
        (turned_away,) = readable
        answer = whole(turned_away)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b"too many requests wait here" in answer
        held.released.set()
        statuses = [whole(connection)[:13] for connection in connections if connection is not turned_away]
        for connection in connections:
            connection.close()
    assert statuses == [b"HTTP/1.1 200 "] * (MAX_WAITING_REQUESTS + 1)


def test_what_waits_takes_no_more_memory_than_there_is(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), max_lines_bytes=MAX_WAITING_BYTES, kind=Held)
    large = post(b"x" * (MAX_WAITING_BYTES * 2 // 3), LINES)
    with serving(held, cpus=1) as port, send_raw(port, large) as first:
        assert held.entered.acquire(timeout=SECONDS)
        # One is scored and takes no place any more; of two others one waits, and the second would be too much.
        others = [send_raw(port, large) for _ in range(2)]
        readable, _, _ = select.select(others, [], [], SECONDS)
        assert [whole(connection)[:13] for connection in readable] == [b"HTTP/1.1 503 "]
        held.released.set()
        assert {whole(one)[:13] for one in (first, *others) if one not in readable} == {b"HTTP/1.1 200 "}
        for connection in others:
            connection.close()


def test_bodies_that_still_arrive_take_no_more_memory_than_there_is(scorer: Scorer) -> None:
    body = b"x" * MAX_LINES_BYTES
    unfinished, count = post(body, LINES)[:-1], MAX_WAITING_BYTES // MAX_LINES_BYTES
    held = invocations(scorer, StringIO(), kind=Held)
    held.released.set()
    with serving(held, cpus=1) as port:
        # Twice: what was held for the first ones, answered or refused, is there for the next.
        for _ in range(2):
            connections = [send_raw(port, unfinished) for _ in range(count + 1)]
            readable, _, _ = select.select(connections, [], [], SECONDS)
            (turned_away,) = readable
            answer = whole(turned_away)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 1\r\n" in answer
            connections.remove(turned_away)
            turned_away.close()
            for connection in connections:
                connection.sendall(b"x")
                assert whole(connection).startswith(b"HTTP/1.1 200 ")
                connection.close()


def test_a_body_that_never_ends_is_given_up(scorer: Scorer) -> None:
    answering = invocations(scorer, StringIO())
    with serving(answering, max_body_seconds=0.05) as port, send_raw(port, post(b'{"text": "a"}')[:-1]) as connection:
        answer = whole(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert b"a body must be complete within 0.05 s" in answer


def test_nobody_waits_for_longer_than_an_answer_is_of_use(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), kind=Held)
    with serving(held, cpus=1, most_seconds=0.05) as port, send_raw(port, post(b"1")) as first:
        assert held.entered.acquire(timeout=SECONDS)
        status, problem = invoke(port, b"2")
        assert (status, problem["detail"][:26]) == (503, "no CPU was free for 0.05 s")
        held.released.set()
        assert whole(first).startswith(b"HTTP/1.1 200 ")


def test_what_nobody_waits_for_any_more_is_not_scored_to_its_end(scorer: Scorer) -> None:
    held = invocations(scorer, StringIO(), kind=Held)
    with serving(held, cpus=1) as port:
        with send_raw(port, post(b"1")):
            assert held.entered.acquire(timeout=SECONDS)
        assert held.stopped.wait(SECONDS)
        held.released.set()
        assert ask(port, "POST", "/invocations", b"2", JSON)[2] == b"2"


def test_lines_stop_between_two_of_them(scorer: Scorer) -> None:
    answering: Invocations = invocations(scorer, StringIO())
    asked: list[None] = []

    def is_stopped() -> bool:
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(Stopped):
        answering(Kind.LINES, b'{"text": "a"}\n' * 10, is_stopped)
    assert len(asked) == 3


def test_a_crash_is_a_500_without_its_message_and_the_server_lives_on(scorer: Scorer) -> None:
    class Crashing(Invocations):
        def __call__(self, kind: Kind, body: bytes, is_stopped: Any) -> bytes:
            raise ValueError(f"{kind} {body!r} {is_stopped}")

    logs = StringIO()
    with serving(invocations(scorer, StringIO(), kind=Crashing), logs=logs) as port:
        status, problem = invoke(port, MARKER.encode())
        assert (status, problem["title"]) == (500, "Internal Server Error")
        assert ask(port, "GET", "/ping")[0] == 200
    assert "ValueError" in logs.getvalue()
    assert MARKER not in logs.getvalue() + str(problem)


def test_no_user_text_is_logged(scorer: Scorer, capfd: pytest.CaptureFixture[str]) -> None:
    logs = StringIO()
    with serving(invocations(scorer, logs), logs=logs) as port:
        invoke(port, {"text": f"{MARKER} you stupid idiot"})
        invoke(port, {MARKER: 1})
        invoke_lines(port, f'{{"text": "{MARKER}", "id": "{MARKER}"}}\n{MARKER}'.encode())
        invoke(port, b"a", MARKER)
        ask(port, "GET", f"/{MARKER}?{MARKER}")
        with send_raw(port, f"{MARKER} not http\r\n\r\n".encode()) as connection:
            whole(connection)
    events = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert [(event["message"], event.get("texts")) for event in events] == [
        ("moderated", 1), ("refused", None), ("moderated", 1), ("refused_lines", None), ("refused", None),
        ("refused", None),
    ]  # fmt: skip
    captured = capfd.readouterr()
    assert MARKER not in logs.getvalue() + captured.out + captured.err


def test_the_scores_are_those_that_the_model_had_where_it_was_made(port: int) -> None:
    golden = [json.loads(line) for line in (STARTER / "golden.jsonl").read_text().splitlines()[:8]]
    answers = invoke_lines(port, "\n".join(json.dumps({"text": one["text"]}) for one in golden).encode())
    for one, answer in zip(golden, answers, strict=True):
        assert answer["scores"] == pytest.approx(one["scores"], abs=0.04)


def whole(connection: socket.socket) -> bytes:
    """Return one whole answer, or what comes before the server hangs up."""
    answer = b""
    try:
        while not _is_whole(answer) and (part := connection.recv(65536)):
            answer += part
    except ConnectionResetError:
        pass  # it hung up while we were still sending
    return answer


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])
