"""A deployed stack for tests: its outputs, its API over HTTP, its table and its logs."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import httpx

PATIENCE_SECONDS = 90
"""How long to wait for what a deployed stack does in its own time: logs, events, dead letters."""


@dataclass(frozen=True)
class Deployment:
    """A stack, by the outputs that it has for its clients."""

    outputs: Mapping[str, str]
    http: httpx.Client

    @classmethod
    def of(cls, stack: str) -> "Deployment":
        """Read the outputs of the stack with this name; region and credentials are those of the environment."""
        described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        # A function's first answer takes a while, and its deployment was a moment ago.
        return cls(outputs, httpx.Client(base_url=outputs["ApiUrl"], timeout=30, follow_redirects=False))

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request with a platform key, or a token, as the bearer."""
        bearer = {} if key is None else {"authorization": f"Bearer {key}"}
        self.http.cookies.clear()
        return self.http.request(method, path, json=body, headers={**bearer, **(headers or {})}, params=query)

    def rows(self) -> int:
        """Return how many items are in the table. It reads the whole table: for small stacks."""
        pages = (
            boto3.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.outputs["TableName"], Select="COUNT", ConsistentRead=True)
        )
        return sum(page["Count"] for page in pages)

    def log_group(self, function: str) -> str:
        """Return the name of the log group of a function, given the output that names the function."""
        configuration = boto3.client("lambda").get_function_configuration(FunctionName=self.outputs[function])
        return str(configuration["LoggingConfig"]["LogGroup"])

    def log_lines(self, group: str, since: float) -> Iterator[str]:
        """Yield what was logged to a group since a second of 1970."""
        pages = (
            boto3.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, startTime=int(since * 1000))
        )
        for page in pages:
            yield from (event["message"] for event in page["events"])


def eventually(see: Callable[[], Any]) -> Any:
    """Return the first thing seen that counts as true; raise TimeoutError when there is none for long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if seen := see():
            return seen
        time.sleep(0.5)
    raise TimeoutError(f"nothing came in {PATIENCE_SECONDS} seconds")
