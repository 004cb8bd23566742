"""Logs and metrics. A log line is an event with fields, never a text, a token or an exception's message."""

from collections.abc import Callable
from typing import TextIO

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Moderato"

Count = Callable[[str], None]
"""Adds one to the metric of this name."""


def make_logger(service: str, stream: TextIO | None = None) -> Logger:
    """Return the service's logger: one JSON object a line, on `stream` or else standard output."""
    return Logger(service=service, stream=stream, log_uncaught_exceptions=False)


def make_count(service: str) -> Count:
    """Return a counter whose metrics CloudWatch reads from standard output (embedded metric format)."""

    def count(name: str) -> None:
        # One line a count: powertools' Metrics gathers in the class, which threads of a local server would share.
        with single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as metric:
            metric.add_dimension(name="service", value=service)

    return count


def ignore(name: str) -> None:
    """Count nothing: for a laptop, where nobody reads metrics."""
