"""What a job may cost, by AWS's price list as it is now; no price of ours stands in where that cannot be asked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.account import Account, answers
from training.jobs import Job, Refused, Search

PRICE_LIST_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-northwest-1"}
"""The price list of all regions of a partition is asked in one of them."""


@dataclass(frozen=True)
class Price:
    """Dollars (in China, yuan) for an hour of an instance's training, or why they are not known."""

    hourly: float | None
    currency: str = "USD"
    unknown: str = ""


def ask_price(account: Account, instance_type: str) -> Price:
    """Ask the price list for an hour of training on demand."""
    partition = account.session.get_partition_for_region(account.region)
    if partition not in PRICE_LIST_REGIONS:
        return Price(None, unknown=f"partition {partition} has no price list")
    client = account.session.client("pricing", region_name=PRICE_LIST_REGIONS[partition])
    wanted = {"regionCode": account.region, "instanceName": instance_type}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    try:
        with answers("the price list could not be asked"):
            pages = client.get_paginator("get_products").paginate(ServiceCode="AmazonSageMaker", Filters=filters)
            products = [json.loads(product) for page in pages for product in page["PriceList"]]
    except Refused as refusal:
        return Price(None, unknown=str(refusal))
    for product in products:
        # Train of EU-Train:ml.g5.xlarge; the same type is hosted, and in notebooks, at other prices.
        usage = product["product"]["attributes"].get("usagetype", "")
        if f"-{usage}".endswith(f"-Train:{instance_type}"):
            for currency, hourly in _prices(product):
                return Price(hourly, currency)
    return Price(None, unknown=f"the price list has no training on {instance_type} in {account.region}")


def bound(job: Job, price: Price, search: Search | None = None) -> str:
    """Say in a sentence what the job costs at most: instances x hours x price, for every trial of a search."""
    hours = f"{job.max_hours:g} h" if search is None else f"{search.trials} trials x {job.max_hours:g} h"
    size = f"{job.instances} x {job.instance_type} x {hours}"
    if price.hourly is None:
        return f"cost: at most {size}; what that is in money is not known: {price.unknown}"
    total = job.instances * job.max_hours * price.hourly * (1 if search is None else search.trials)
    spot = "; spot is billed at less, by what it costs then" if job.spot else ""
    return f"cost: at most {total:,.2f} {price.currency} ({size} x {price.hourly:g} {price.currency}){spot}"


def spent(billable_seconds: int, instances: int, price: Price) -> str:
    """Say what a job has cost, as far as the price is known; billable seconds have spot's saving in them."""
    if price.hourly is None:
        return "not known"
    return f"{billable_seconds / 3600 * instances * price.hourly:,.2f} {price.currency}"


def _prices(product: Any) -> Iterator[tuple[str, float]]:
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            for currency, hourly in dimension["pricePerUnit"].items():
                yield currency, float(hourly)
