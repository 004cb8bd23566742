"""docs/scale.md says what is so: its commands are AWS's, its sums are bench.cost's, its limits are the server's."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # it has no types
import pytest
from botocore import xform_name

from bench.cost import Prices, Work, always_on, break_even, in_batch, instances, on_lambda, on_serverless
from moderato.api import MAX_BODY_BYTES
from moderato.contracts import MAX_REQUEST_TOKENS
from predict.hosting.app import MAX_BODY_SECONDS
from predict.hosting.invocations import MAX_LINES, MAX_LINES_BYTES
from predict.hosting.server import GRACE_SECONDS
from predict.hosting.turns import MAX_WAITING_BYTES, MAX_WAITING_REQUESTS, MAX_WAITING_SECONDS
from tests.service_models import complaints
from tests.test_docs_deploy import DOCS, anchors, blocks, rows, section

PAGE = (DOCS / "scale.md").read_text()
SERVICES = ("sagemaker", "sagemaker-runtime", "application-autoscaling")
OF_THE_CLI = {"cli-binary-format"}
SAMPLES = {
    "$ROLE": "arn:aws:iam::123456789012:role/moderato-endpoint",
    "$IMAGE": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/predict@sha256:" + "0" * 64,
    "$BUCKET": "moderato-dev-bucket",
    "YOUR-BUCKET": "moderato-dev-bucket",
}
COMMENTS = Work(ms_per_text=20.5)


def commands() -> Iterator[list[str]]:
    """Yield the words of each command to one of the services, after its `aws`."""
    for block in blocks(PAGE, "sh"):
        lexer = shlex.shlex(re.sub(r"\\\n", " ", block), posix=True, punctuation_chars="\n;")
        lexer.whitespace, lexer.whitespace_split = " \t", True
        line: list[str] = []
        for word in [*lexer, "\n"]:
            if set(word) <= {"\n", ";"}:
                if line[:1] == ["aws"] and line[1] in SERVICES:
                    yield line[1:]
                line = []
            else:
                line.append(word)


def request_of(service: str, operation: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the request that options of the command line make, typed as botocore wants it."""
    members = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape.members
    by_option = {xform_name(name, "-"): name for name in members}
    request: dict[str, Any] = {}
    options = list(words)
    while options:
        option = options.pop(0)
        if not option.startswith("--"):
            continue  # where an answer is to be written
        value = options.pop(0) if options and not options[0].startswith("--") else "true"
        if option[2:] not in OF_THE_CLI:
            name = by_option[option[2:]]
            request[name] = _typed(members[name].type_name, value)
    return request


def _typed(kind: str, value: str) -> Any:
    if kind in ("structure", "list", "map"):
        return json.loads(value) if value[:1] in "[{" else dict(pair.split("=", 1) for pair in value.split(","))
    return {"boolean": lambda: value == "true", "integer": lambda: int(value)}.get(kind, lambda: value)()


def sampled(word: str) -> str:
    for name, sample in SAMPLES.items():
        word = word.replace(name, sample)
    return word


def test_the_commands_can_be_seen() -> None:
    assert len(list(commands())) >= 14


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: " ".join(words[:2]))
def test_aws_takes_every_command(words: list[str]) -> None:
    service, operation, *rest = words
    model = botocore.session.get_session()
    if operation == "wait":
        waiters = model.get_waiter_model(service).waiter_names
        assert rest[0] in {xform_name(name, "-") for name in waiters}
        return
    names = {xform_name(name, "-"): name for name in model.get_service_model(service).operation_names}
    request = request_of(service, names[operation], [sampled(word) for word in rest])
    assert request
    assert complaints(service, names[operation], request) == []


def test_every_shell_block_can_be_read_by_a_shell() -> None:
    for block in blocks(PAGE, "sh"):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", PAGE) if "://" not in link]
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        target = DOCS / path if path else DOCS / "scale.md"
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_prices_are_those_that_the_sums_use() -> None:
    prices = [float(row[1]) for row in rows(section(PAGE, "What it costs")) if re.fullmatch(r"0?\d*\.\d+", row[1])]
    known = Prices()
    assert prices[:7] == [
        known.lambda_gb_second,
        known.lambda_million_requests,
        known.api_million_requests,
        known.endpoint_hour,
        2 * known.serverless_gb_second,
        known.serverless_gb_of_data,
        known.node_hour,
    ]


def test_a_million_texts_cost_what_the_arithmetic_says() -> None:
    found = [row for row in rows(section(PAGE, "What it costs")) if re.fullmatch(r"\d+", row[0])]
    works = [Work(), COMMENTS]
    expected = [priced(work, load) for work in works for load in (1, 10, 100, 1000)]
    assert found == expected
    assert f"costs {in_batch(works[0], Prices()):.2f} and {in_batch(works[1], Prices()):.2f}," in PAGE


def priced(work: Work, load: float) -> list[str]:
    prices = Prices()
    fixed = on_lambda(work, prices), on_lambda(work, prices, has_api=False), on_serverless(work, prices)
    kinds = ((prices.endpoint_hour, prices.endpoint_cpus), (prices.node_hour, prices.node_cpus))
    return [
        f"{load}",
        f"{load * 3600 * 730 / 1e6:,.2f}",
        *(f"{dollars:.2f}" for dollars in fixed),
        *(f"{always_on(work, hour, cpus, load):.2f} ({instances(work, cpus, load)})" for hour, cpus in kinds),
    ]


def test_an_endpoint_begins_to_pay_where_the_page_says() -> None:
    prices = Prices()
    found = [[int(cell) for cell in row[1:]] for row in rows(section(PAGE, "Where an endpoint begins to pay"))]
    many = [Work(texts_per_request=25), Work(ms_per_text=20.5, texts_per_request=25)]
    assert found == [
        [round(break_even(work, prices, on_lambda(work, prices))) for work in (Work(), COMMENTS)],
        [round(break_even(work, prices, on_lambda(work, prices, has_api=False))) for work in (Work(), COMMENTS)],
        [round(break_even(work, prices, on_lambda(work, prices))) for work in many],
    ]


def test_the_limits_are_those_of_the_server() -> None:
    assert (MAX_BODY_BYTES, MAX_LINES_BYTES) == (256 * 1024, 6 * 1024 * 1024)
    answers = section(PAGE, "What the server answers")
    assert (
        "more than 256 KB of JSON, 6 MB of lines (or `SAGEMAKER_MAX_PAYLOAD_IN_MB`), "
        f"{MAX_LINES:,} lines (or one for each 64 bytes of that), or {MAX_REQUEST_TOKENS:,} tokens" in answers
    )
    assert (
        f"{MAX_WAITING_REQUESTS} requests a CPU wait already, bodies that arrive or wait hold "
        f"{MAX_WAITING_BYTES // 2**20} MB together" in answers
    )
    assert f"or one has waited for {MAX_WAITING_SECONDS:g} s" in answers
    assert f"| 408 | the body was not complete within {MAX_BODY_SECONDS:g} s" in answers
    assert f"for up to {GRACE_SECONDS} s" in answers
