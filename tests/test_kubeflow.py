"""The pod of Kubeflow Trainer: torchrun's variables become the file that the launcher reads, in the same process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.container import Container, JobError, read_job
from training.kubeflow import read_hosts, without_torchrun, write_hosts

ROOT = Path(__file__).parents[1]
SECOND = {
    "PET_NNODES": "3",
    "PET_NPROC_PER_NODE": "auto",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "weekly-node-0-0.weekly",
    "PET_MASTER_PORT": "29400",
}
"""What Trainer sets in the second pod of the TrainJob `weekly`."""


def test_the_launcher_learns_where_it_stands(tmp_path: Path) -> None:
    write_hosts(Container(tmp_path), read_hosts(SECOND))
    (tmp_path / "input" / "data" / "dataset").mkdir(parents=True)
    (tmp_path / "input" / "data" / "dataset" / "dataset.json").touch()
    hosts = read_job(Container(tmp_path)).hosts
    assert hosts.names == ("weekly-node-0-0.weekly", "weekly-node-0-1.weekly", "weekly-node-0-2.weekly")
    assert (hosts.number, hosts.interface) == (1, None)


def test_a_job_whose_name_ends_in_a_number_keeps_it() -> None:
    variables = SECOND | {"PET_NNODES": "2", "PET_MASTER_ADDR": "batch-0-node-0-0.batch-0"}
    assert read_hosts(variables).names == ("batch-0-node-0-0.batch-0", "batch-0-node-0-1.batch-0")


def test_torchrun_is_told_by_the_launcher_alone() -> None:
    assert without_torchrun(SECOND | {"PATH": "/bin"}) == {"PATH": "/bin", "MASTER_PORT": "29400"}
    assert without_torchrun(SECOND | {"PET_NPROC_PER_NODE": "4"})["PROCESSES_PER_HOST"] == "4"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PET_NODE_RANK": None}, "PET_NODE_RANK is not set; Kubeflow Trainer sets it in the container called `node`"),
        ({"PET_NNODES": "2:4"}, "PET_NNODES is '2:4'; it is a whole number from 1"),
        ({"PET_NODE_RANK": "3"}, "PET_NODE_RANK is 3, and PET_NNODES 3: numbers go from 0"),
        ({"PET_MASTER_ADDR": "weekly"}, "PET_MASTER_ADDR is 'weekly'; Kubeflow Trainer names the first pod"),
        ({"PET_MASTER_ADDR": None}, "PET_MASTER_ADDR is ''; Kubeflow Trainer names the first pod"),
    ],
)
def test_variables_that_are_none_are_named(changes: dict[str, str | None], told: str) -> None:
    variables = {name: value for name, value in (SECOND | changes).items() if value is not None}
    with pytest.raises(JobError, match="^" + told.replace(".", r"\.")):
        read_hosts(variables)


def test_the_pod_becomes_the_launcher(tmp_path: Path) -> None:
    done = start(tmp_path, {**SECOND, "PET_NNODES": "1", "PET_NODE_RANK": "0"})
    # The launcher's own complaint: there is nothing to train on.
    assert done.returncode == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("JobError: no channel 'dataset'")
    written = json.loads((tmp_path / "input" / "config" / "resourceconfig.json").read_text())
    assert written == {"current_host": "weekly-node-0-0.weekly", "hosts": ["weekly-node-0-0.weekly"]}


def test_outside_of_kubeflow_the_launcher_is_what_starts(tmp_path: Path) -> None:
    done = start(tmp_path, {})
    assert done.returncode == 1
    assert done.stderr == (
        "kubeflow: PET_NNODES is not set; Kubeflow Trainer sets it in the container called `node` of a runtime with a "
        "torch policy, and anywhere else `python -m training.launcher` is what starts\n"
    )
    assert (tmp_path / "output" / "failure").read_text().startswith("JobError: PET_NNODES is not set")


def start(root: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start what a pod starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PET_")}
    environment = {**kept, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "ML_ROOT": str(root), **variables}
    command = [sys.executable, "-m", "training.kubeflow"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
