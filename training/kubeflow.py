"""`python -m training.kubeflow`: process 1 of a pod of Kubeflow Trainer, before it becomes the launcher.

Trainer tells a pod where it stands by torchrun's variables (PET_*), SageMaker by a file: this writes that file from
those variables, and hands the process over. A pod of a TrainJob is called JOB-node-0-NUMBER.JOB; the first is named.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from training.container import Container, Hosts, JobError
from training.failure import write_failure
from training.launcher import ROOT

FIRST = re.compile(r"(?P<job>[^.]+-)0(?P<domain>\..+)?")
"""The name of the first pod: its number is the last of the first label."""

LAUNCHER = (sys.executable, "-m", "training.launcher")


def read_hosts(environment: Mapping[str, str]) -> Hosts:
    """Return the pods of the job and which of them this one is. Raises JobError for variables that are none."""
    count, number = _number(environment, "PET_NNODES", 1), _number(environment, "PET_NODE_RANK", 0)
    if number >= count:
        raise JobError(f"PET_NODE_RANK is {number}, and PET_NNODES {count}: numbers go from 0")
    address = environment.get("PET_MASTER_ADDR", "")
    first = FIRST.fullmatch(address)
    if first is None:
        raise JobError(f"PET_MASTER_ADDR is {address!r}; Kubeflow Trainer names the first pod, JOB-node-0-0.JOB")
    names = tuple(f"{first['job']}{each}{first['domain'] or ''}" for each in range(count))
    return Hosts(current=names[number], names=names)


def without_torchrun(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the launcher: it starts torchrun by its own options, which variables would add to."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PET_")}
    port, processes = environment.get("PET_MASTER_PORT"), environment.get("PET_NPROC_PER_NODE", "auto")
    given = {"MASTER_PORT": port} if port else {}
    return kept | given | ({"PROCESSES_PER_HOST": processes} if processes.isdecimal() else {})


def write_hosts(container: Container, hosts: Hosts) -> None:
    """Write resourceconfig.json as SageMaker does."""
    folder = container.root / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"current_host": hosts.current, "hosts": list(hosts.names)}
    (folder / "resourceconfig.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def main() -> None:
    """Write the file, and become the launcher."""
    container = Container(Path(os.environ.get("ML_ROOT", ROOT)))
    try:
        write_hosts(container, read_hosts(os.environ))
    except JobError as error:
        write_failure(container.failure, f"JobError: {error}")
        sys.exit(f"kubeflow: {error}")
    # The same process, so that a signal to it reaches the launcher.
    os.execve(LAUNCHER[0], LAUNCHER, without_torchrun(os.environ))  # noqa: S606  # no shell is wanted


def _number(environment: Mapping[str, str], name: str, least: int) -> int:
    value = environment.get(name)
    if value is None:
        raise JobError(
            f"{name} is not set; Kubeflow Trainer sets it in the container called `node` of a runtime with a torch "
            "policy, and anywhere else `python -m training.launcher` is what starts"
        )
    if not value.isdecimal() or int(value) < least:
        raise JobError(f"{name} is {value!r}; it is a whole number from {least}")
    return int(value)


if __name__ == "__main__":
    main()
