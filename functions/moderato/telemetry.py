"""Logs and metrics. A log line is an event with fields, never a text, a token or an exception's message."""

from collections.abc import Callable
from enum import StrEnum
from typing import TextIO

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Moderato"

Count = Callable[[str], None]
"""Adds one to the metric of this name."""


class Unit(StrEnum):
    """What a measured value counts, in CloudWatch's words."""

    SECONDS = "Seconds"
    COUNT = "Count"
    NONE = "None"
    """A share or an index, which counts nothing."""


Measure = Callable[[str, float, Unit], None]
"""Notes what the metric of this name is now."""


def make_logger(service: str, stream: TextIO | None = None) -> Logger:
    """Return the service's logger: one JSON object a line, on `stream` or else standard output."""
    return Logger(service=service, stream=stream, log_uncaught_exceptions=False)


def make_count(service: str, stack: str) -> Count:
    """Return a counter whose metrics CloudWatch reads from standard output (embedded metric format).

    `stack` is the deployment's: two of them in one account and region count apart.
    """

    def count(name: str) -> None:
        _emit(service, stack, name, 1, Unit.COUNT)

    return count


def make_measure(service: str, stack: str) -> Measure:
    """Return what writes measured values as `make_count` writes counts."""

    def measure(name: str, value: float, unit: Unit) -> None:
        _emit(service, stack, name, value, unit)

    return measure


def ignore(name: str) -> None:
    """Count nothing: for a laptop, where nobody reads metrics."""


def _emit(service: str, stack: str, name: str, value: float, unit: Unit) -> None:
    # One line a value: powertools' Metrics gathers in the class, which threads of a local server would share.
    with single_metric(name=name, unit=MetricUnit(unit.value), value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="service", value=service)
        metric.add_dimension(name="stack", value=stack)
