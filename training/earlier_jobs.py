"""Jobs of before that a new one goes on from: a run whose checkpoints it takes up, a search that it begins with."""

import re
from collections.abc import Mapping
from typing import Any

from training.account import Account, answers
from training.container import THEIRS
from training.job_status import DONE, describe, describe_search
from training.jobs import Job, Refused, Search

PARENTS = frozenset({"Completed", "Stopped"})


def check_run_name(run: str) -> str:
    """Return what may be a run's name. Raises Refused."""
    if not re.fullmatch(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){,31}", run):
        raise Refused(f"--resume {run!r} is no run's name: it is what `train` said first, as in olid-1a2b3c4d")
    return run


def check_resumed(account: Account, run: str, job: Job) -> None:
    """Raise Refused unless the run can go on as it began: its checkpoints are of so many processes and these knobs."""
    client = account.session.client("sagemaker")
    with answers("the jobs could not be listed"):
        listed = client.list_training_jobs(NameContains=run, SortBy="CreationTime", SortOrder="Descending")
    names = [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]]
    earlier = next((name for name in names if name.startswith(f"{run}-")), None)
    if earlier is None:
        raise Refused(f"--resume: no job of a run {run!r} in {account.region}")
    described = describe(account, earlier)
    if described["TrainingJobStatus"] not in DONE:
        raise Refused(f"--resume: {earlier} of this run is not done; two at once would write the same checkpoints")
    resources = described["ResourceConfig"]
    before = (resources["InstanceCount"], resources["InstanceType"])
    if before != (job.instances, job.instance_type):
        raise Refused(
            f"--resume: {earlier} ran on {before[0]} x {before[1]}, and a run keeps its number of processes: "
            f"give --instances {before[0]} --instance-type {before[1]}"
        )
    channels = {
        each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in described["InputDataConfig"]
    }
    other = sorted(name for name, _ in channels.items() ^ dict(job.channels).items())
    if other:
        # Another dataset version would be trained on from the beginning, in the same place.
        raise Refused(f"--resume: {earlier} had another --{other[0]}: {channels.get(other[0], 'none')}")
    if described.get("HyperParameters", {}) != job.hyperparameters:
        raise Refused(f"--resume: {earlier} had other hyperparameters: {_differing(described, job)}")


def check_parent(account: Account, parent: str, job: Job, search: Search) -> None:
    """Raise Refused unless a search may begin with the trials of this tuning job, by what AWS says of warm starts.

    Source: HyperParameterTuningJobWarmStartConfig and ParentHyperParameterTuningJob in SageMaker's API reference.
    """
    described = describe_search(account, parent)
    if described is None:
        raise Refused(f"--parent: no tuning job {parent!r} in {account.region}")
    if (status := described["HyperParameterTuningJobStatus"]) not in PARENTS:
        raise Refused(f"--parent: {parent} is {status}, and a search begins with one that was completed or stopped")
    config = described["HyperParameterTuningJobConfig"]
    objective = config.get("HyperParameterTuningJobObjective", {})
    if (objective.get("Type"), objective.get("MetricName")) != ("Maximize", search.objective):
        raise Refused(
            f"--parent: {parent} searched by {objective.get('MetricName', 'no figure')}, and this search goes by "
            f"{search.objective}: a search and the one that it begins with have the same objective"
        )
    before, now = _knobs_of_search(described), {*job.hyperparameters, *search.space.ranges}
    if len(before) != len(now):
        raise Refused(
            f"--parent: {parent} had {len(before)} hyperparameters, searched and held, and this search has {len(now)}, "
            f"which must be as many; they differ in {', '.join(sorted(before ^ now))}"
        )


def _knobs_of_search(described: Mapping[str, Any]) -> set[str]:
    """The names of what a tuning job searched and of what it held, without those that SageMaker adds."""
    ranges = described["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    searched = {each["Name"] for kind in ranges.values() for each in kind if isinstance(each, dict)}
    held = described.get("TrainingJobDefinition", {}).get("StaticHyperParameters", {})
    return {name for name in (*searched, *held) if not name.startswith(THEIRS)}


def _differing(described: Mapping[str, Any], job: Job) -> str:
    before = described.get("HyperParameters", {})
    names = sorted(before.keys() | job.hyperparameters.keys())
    return ", ".join(
        f"{name} {before.get(name, 'not given')!r}, now {job.hyperparameters.get(name, 'not given')!r}"
        for name in names
        if before.get(name) != job.hyperparameters.get(name)
    )
