"""What a million texts cost in each home of the predict image: arithmetic over prices and times that you give.

    python -m bench.cost [--ms-per-text 2.75] [--texts-per-request 1] [--per-second 1 10 ...] [--endpoint-hour 0.102]

Every price and every time is an option; --help lists them. The defaults are list prices of us-east-1 in dollars, whose
sources and dates are in docs/scale.md. Free tiers, savings plans, logs, traffic between zones and taxes are left out.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields

from rich.console import Console
from rich.table import Table

HOURS_A_MONTH = 730
LAMBDA_GB = 1769 / 1024
"""The memory at which a function has one whole vCPU."""


@dataclass(frozen=True)
class Prices:
    """Dollars, and what is had for them."""

    lambda_gb_second: float = 0.0000166667
    lambda_million_requests: float = 0.20
    api_million_requests: float = 1.00
    serverless_gb_second: float = 0.00002
    serverless_gb_of_data: float = 0.016
    endpoint_hour: float = 0.102
    endpoint_cpus: int = 2
    node_hour: float = 0.085
    node_cpus: int = 2


@dataclass(frozen=True)
class Work:
    """What there is to do, and how much room is left for bursts."""

    ms_per_text: float = 2.75
    ms_per_request: float = 1.1
    texts_per_request: int = 1
    cold_share: float = 0.01
    cold_ms: float = 600.0
    bytes_per_text: int = 700
    serverless_gb: int = 2
    utilization: float = 0.6
    fewest_instances: int = 2

    @property
    def seconds_per_request(self) -> float:
        """What one request takes of one CPU."""
        return (self.ms_per_request + self.ms_per_text * self.texts_per_request) / 1000

    @property
    def seconds_per_text(self) -> float:
        """What one text takes of one CPU, with its share of the request."""
        return self.seconds_per_request / self.texts_per_request


def on_lambda(work: Work, prices: Prices, *, has_api: bool = True) -> float:
    """Return dollars for a million texts on Lambda, through an HTTP API or invoked directly."""
    billed = work.seconds_per_request + work.cold_share * work.cold_ms / 1000
    requests = prices.lambda_million_requests + (prices.api_million_requests if has_api else 0)
    return (1e6 * billed * LAMBDA_GB * prices.lambda_gb_second + requests) / work.texts_per_request


def on_serverless(work: Work, prices: Prices) -> float:
    """Return dollars for a million texts on a serverless endpoint, should its memory buy one whole CPU."""
    time = 1e6 * work.seconds_per_text * work.serverless_gb * prices.serverless_gb_second
    return time + 1e6 * work.bytes_per_text / 1e9 * prices.serverless_gb_of_data


def in_batch(work: Work, prices: Prices) -> float:
    """Return dollars for a million texts in a Batch Transform job that keeps its instance busy."""
    return 1e6 * work.ms_per_text / 1000 / 3600 / prices.endpoint_cpus * prices.endpoint_hour


def instances(work: Work, cpus: int, per_second: float) -> int:
    """Return how many instances of so many CPUs take this load, at the utilization that leaves room for bursts."""
    needed = per_second * work.seconds_per_text / (cpus * work.utilization)
    return max(work.fewest_instances, math.ceil(needed - 1e-9))


def always_on(work: Work, hour: float, cpus: int, per_second: float) -> float:
    """Return dollars for a million texts on instances that run all the time."""
    return 1e6 * instances(work, cpus, per_second) * hour / (3600 * per_second)


def break_even(work: Work, prices: Prices, dollars_per_million: float) -> float:
    """Return the texts a second from which the fewest endpoint instances cost less than so much for a million."""
    return 1e6 * work.fewest_instances * prices.endpoint_hour / (3600 * dollars_per_million)


def main() -> None:
    """Print the table as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=float, nargs="+", default=[0.1, 1, 10, 100, 1000])
    for given in (*fields(Work), *fields(Prices)):
        parser.add_argument(_option(given), type=type(given.default), default=given.default, help="(%(default)s)")
    options = vars(parser.parse_args())
    work = Work(**{given.name: options[given.name] for given in fields(Work)})
    prices = Prices(**{given.name: options[given.name] for given in fields(Prices)})
    report(work, prices, options["per_second"])


def report(work: Work, prices: Prices, loads: Sequence[float]) -> None:
    """Print dollars for a million texts by load and home."""
    table = Table(title="Dollars for a million texts")
    for column in ("texts/s", "M a month", "Lambda+API", "Lambda", "serverless", "endpoint", "nodes"):
        table.add_column(column, justify="right", no_wrap=True)
    for load in loads:
        paid = on_lambda(work, prices), on_lambda(work, prices, has_api=False), on_serverless(work, prices)
        endpoint = always_on(work, prices.endpoint_hour, prices.endpoint_cpus, load)
        nodes = always_on(work, prices.node_hour, prices.node_cpus, load)
        table.add_row(
            f"{load:g}",
            f"{load * 3600 * HOURS_A_MONTH / 1e6:,.2f}",
            *(f"{dollars:.2f}" for dollars in paid),
            f"{endpoint:,.2f} ({instances(work, prices.endpoint_cpus, load)})",
            f"{nodes:,.2f} ({instances(work, prices.node_cpus, load)})",
        )
    console = Console(width=100)
    console.print(table)
    console.print(f"In brackets: instances. Batch Transform, at any load: {in_batch(work, prices):.2f}.")
    for name, dollars in (("an HTTP API", on_lambda(work, prices)), ("nothing before it", paid[1])):
        even = break_even(work, prices, dollars)
        console.print(
            f"{work.fewest_instances} endpoint instances cost less than Lambda with {name} from {even:.1f} texts/s."
        )


def _option(given: Field[float]) -> str:
    return "--" + given.name.replace("_", "-")


if __name__ == "__main__":
    main()
