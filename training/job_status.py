"""What a job does: its progress line by line while it runs, a page of one job, a table of the last ones."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from training.account import Account, answers
from training.jobs import Refused
from training.prices import Price, ask_price, spent

DONE = frozenset({"Completed", "Failed", "Stopped"})

Described = Mapping[str, Any]


def describe(account: Account, name: str) -> Described:
    """Return SageMaker's description of a training job. Raises Refused where there is none of this name."""
    with answers(
        f"job {name} could not be asked", {"ValidationException": f"no training job {name!r} in {account.region}"}
    ):
        found: Described = account.session.client("sagemaker").describe_training_job(TrainingJobName=name)
    return found


def describe_search(account: Account, name: str) -> Described | None:
    """Return SageMaker's description of a tuning job, or None where there is none of this name."""
    client = account.session.client("sagemaker")
    missing = "no such tuning job"
    try:
        with answers(f"job {name} could not be asked", {"ResourceNotFound": missing, "ValidationException": missing}):
            found: Described = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    except Refused as refusal:
        if str(refusal) == missing:
            return None
        raise
    return found


def follow(account: Account, name: str, every_seconds: float, say: Callable[[str], None]) -> Described:
    """Tell what a training job does until it is done: each step of its own, each new figure. Returns its end."""
    told = Told()
    while True:
        described = describe(account, name)
        for line in told.news(described):
            say(line)
        if described["TrainingJobStatus"] in DONE:
            return described
        time.sleep(every_seconds)


def follow_search(account: Account, name: str, every_seconds: float, say: Callable[[str], None]) -> Described:
    """Tell how many trials of a tuning job are done, and the best of them, until it is done. Returns its end."""
    last = ""
    while True:
        described = describe_search(account, name)
        if described is None:
            raise Refused(f"no tuning job {name!r} in {account.region}")
        if (line := search_line(described)) != last:
            say(line)
        last = line
        if described["HyperParameterTuningJobStatus"] in DONE:
            return described
        time.sleep(every_seconds)


class Told:
    """What has been told of a job, so that nothing is told twice."""

    def __init__(self) -> None:
        self.steps: set[tuple[str, str]] = set()
        self.figures: dict[str, float] = {}

    def news(self, described: Described) -> Iterator[str]:
        """Yield a line for each step and for the figures, where they are new."""
        for step in described.get("SecondaryStatusTransitions", []):
            message = step.get("StatusMessage", "")
            key = (step["Status"], message)
            if key not in self.steps:
                self.steps.add(key)
                yield f"{_clock(step['StartTime'])} {step['Status']:12} {message}".rstrip()
        figures = {each["MetricName"]: each["Value"] for each in described.get("FinalMetricDataList", [])}
        if figures and figures != self.figures:
            self.figures = figures
            yield f"{'':8} {'figures':12} " + ", ".join(
                f"{name} {value:.4g}" for name, value in sorted(figures.items())
            )


def search_line(described: Described) -> str:
    """How far a tuning job is."""
    counts = described.get("TrainingJobStatusCounters", {})
    done = counts.get("Completed", 0) + counts.get("Stopped", 0)
    failed = counts.get("NonRetryableError", 0)
    line = f"{described['HyperParameterTuningJobStatus']}: {done} trials done, {counts.get('InProgress', 0)} running"
    line += f", {failed} failed" if failed else ""
    best = described.get("BestTrainingJob", {})
    figure = best.get("FinalHyperParameterTuningJobObjectiveMetric")
    if figure is None:
        return line
    knobs = ", ".join(f"{name} {value}" for name, value in sorted(best.get("TunedHyperParameters", {}).items()))
    return f"{line}; best {best['TrainingJobName']}: {figure['MetricName']} {figure['Value']:.4f} with {knobs}"


def end_sentence(described: Described) -> str:
    """How a training job or a search ended, and where a job's result is."""
    status = described.get("TrainingJobStatus") or described["HyperParameterTuningJobStatus"]
    if status == "Completed":
        return f"completed: {described.get('ModelArtifacts', {}).get('S3ModelArtifacts', 'no model')}"
    reason = str(described.get("FailureReason", "")).strip()
    return f"{status.lower()}: {reason}" if reason else status.lower()


def page(account: Account, described: Described) -> Table:
    """Everything that matters of one job, what it has cost included."""
    resources = described.get("ResourceConfig", {})
    table = Table(show_header=False, box=None)
    for name, value in (
        ("job", described["TrainingJobName"]),
        ("status", f"{described['TrainingJobStatus']} ({described.get('SecondaryStatus', '')})"),
        ("machines", _machines(described)),
        ("trained", _duration(described.get("TrainingTimeInSeconds"))),
        ("billed", _billed(described)),
        ("cost", _cost(described, ask_price(account, resources.get("InstanceType", "")))),
        (
            "figures",
            ", ".join(f"{each['MetricName']} {each['Value']:.4g}" for each in described.get("FinalMetricDataList", [])),
        ),
        ("checkpoints", described.get("CheckpointConfig", {}).get("S3Uri", "")),
        ("result", end_sentence(described) if described["TrainingJobStatus"] in DONE else ""),
    ):
        if value:
            table.add_row(name, str(value))
    return table


def recent(account: Account, contains: str | None, count: int) -> Table:
    """The newest training jobs of the account and region, the last first."""
    client = account.session.client("sagemaker")
    chosen = {"NameContains": contains} if contains else {}
    with answers("the jobs could not be listed"):
        listed = client.list_training_jobs(SortBy="CreationTime", SortOrder="Descending", MaxResults=count, **chosen)
    prices: dict[str, Price] = {}
    table = Table(title=f"training jobs in {account.region}")
    for name in ("job", "status", "began", "machines", "billed", "cost"):
        table.add_column(name, overflow="fold")
    for each in listed["TrainingJobSummaries"]:
        described = describe(account, each["TrainingJobName"])
        kind = described.get("ResourceConfig", {}).get("InstanceType", "")
        price = prices.get(kind) or prices.setdefault(kind, ask_price(account, kind))
        began = f"{each['CreationTime']:%Y-%m-%d %H:%M}"
        status = str(described["TrainingJobStatus"])
        table.add_row(
            each["TrainingJobName"], status, began, _machines(described), _billed(described), _cost(described, price)
        )
    return table


def _machines(described: Described) -> str:
    resources = described.get("ResourceConfig", {})
    spot = " spot" if described.get("EnableManagedSpotTraining") else ""
    return f"{resources.get('InstanceCount', '?')} x {resources.get('InstanceType', '?')}{spot}"


def _billed(described: Described) -> str:
    """Billable seconds of each machine, and what spot has saved of them."""
    billable, trained = described.get("BillableTimeInSeconds"), described.get("TrainingTimeInSeconds")
    if billable is None:
        return ""
    saved = (
        f", spot saved {1 - billable / trained:.0%}" if trained and described.get("EnableManagedSpotTraining") else ""
    )
    return f"{billable:,} s{saved}"


def _cost(described: Described, price: Price) -> str:
    billable = described.get("BillableTimeInSeconds")
    if billable is None:
        return ""
    told = spent(billable, described.get("ResourceConfig", {}).get("InstanceCount", 1), price)
    return told if price.hourly is not None else f"{told}: {price.unknown}"


def _duration(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} h"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S}"
