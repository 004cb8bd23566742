"""The manifests that train: the launcher finds what it asks for, and a TrainJob is one by Kubeflow's own models."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_trainer_api import models  # type: ignore[import-untyped]  # it says nothing of its types

from tests.manifests import VERSIONS, Manifest, complaints, containers, manifests, pod_templates
from training.container import Container, read_job
from training.processes import GRACE_SECONDS

FILES = ("training-job.yaml", "trainjob.yaml")
KUBEFLOW = {"TrainingRuntime": models.TrainerV1alpha1TrainingRuntime, "TrainJob": models.TrainerV1alpha1TrainJob}
SCHEDULERS = (Path(__file__).parents[1] / "docs" / "schedulers.md").read_text()
WRITTEN = ("checkpoints", "model", "output")


def the(kind: str, name: str) -> Any:
    """Return the one object of a kind in a file."""
    (found,) = [manifest for manifest in manifests(name) if manifest["kind"] == kind]
    return found


def pod(name: str) -> Any:
    """Return the template of the one kind of pod that a file makes."""
    (template,) = [template for manifest in manifests(name) for template in pod_templates(manifest)]
    return template["spec"]


def unknown(manifest: Manifest) -> list[str]:
    """Return the paths of what Kubeflow's own models do not know in an object. Raises where a type is wrong."""
    model = KUBEFLOW[manifest["kind"]].from_dict(manifest)
    return _missing(manifest, model.to_dict(), "")


@pytest.mark.parametrize("kind", sorted(KUBEFLOW))
def test_kubeflow_knows_every_field(kind: str) -> None:
    assert unknown(the(kind, "trainjob.yaml")) == []


def test_a_misspelt_field_is_seen_wherever_it_is() -> None:
    job, runtime = (the(kind, "trainjob.yaml") for kind in ("TrainJob", "TrainingRuntime"))
    job["spec"]["trainer"]["numberNodes"] = 2
    runtime["spec"]["mlPolicy"]["pytorch"] = {}
    replicated = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]
    replicated["template"]["spec"]["backofLimit"] = 0
    assert unknown(job) == ["/spec/trainer/numberNodes"]
    assert unknown(runtime) == [
        "/spec/mlPolicy/pytorch",
        "/spec/template/spec/replicatedJobs/0/template/spec/backofLimit",
    ]


def test_kubeflow_finds_what_it_tells_where_it_stands() -> None:
    job, runtime = (the(kind, "trainjob.yaml") for kind in ("TrainJob", "TrainingRuntime"))
    assert job["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": runtime["kind"],
        "name": runtime["metadata"]["name"],
    }
    # Without a `trainer` in the job, Trainer sets no variable of torchrun.
    assert job["spec"]["trainer"]["numNodes"] > 1
    assert runtime["spec"]["mlPolicy"]["torch"] == {}
    (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["name"] == "node"
    assert replicated["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    (container,) = containers(runtime)
    assert container["name"] == "node"
    assert container["command"] == ["python", "-m", "training.kubeflow"]


def test_a_plain_job_starts_the_launcher() -> None:
    (container,) = containers(the("Job", "training-job.yaml"))
    assert container["command"] == ["python", "-m", "training.launcher"]


@pytest.mark.parametrize("name", FILES)
def test_a_pod_has_the_time_that_a_checkpoint_may_take(name: str) -> None:
    assert pod(name)["terminationGracePeriodSeconds"] >= GRACE_SECONDS + 15
    assert pod(name)["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", FILES)
def test_what_a_pod_mounts_is_there_and_what_the_launcher_writes_is_kept(name: str) -> None:
    spec, (container,) = pod(name), pod(name)["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    assert volumes["config"]["configMap"]["name"] == the("ConfigMap", name)["metadata"]["name"]
    claim = the("PersistentVolumeClaim", name)
    assert volumes["files"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    for folder in WRITTEN:
        mount = mounts[f"/opt/ml/{folder}"]
        assert (mount["name"], mount.get("readOnly", False)) == ("files", False)
    assert mounts["/opt/ml/input/data"]["readOnly"] is True


def test_several_nodes_share_their_files_and_none_writes_over_another() -> None:
    assert the("PersistentVolumeClaim", "trainjob.yaml")["spec"]["accessModes"] == ["ReadWriteMany"]
    (container,) = pod("trainjob.yaml")["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/opt/ml/output"]["subPathExpr"] == "output/$(POD_NUMBER)"
    assert "POD_NUMBER" in {variable["name"] for variable in container["env"]}
    # Each writes its own resourceconfig.json, which a mounted ConfigMap would not let it.
    assert "readOnly" not in mounts["/opt/ml/input/config"]


@pytest.mark.parametrize("name", FILES)
def test_the_launcher_takes_the_files_of_the_config_map(name: str, tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    files = the("ConfigMap", name)["data"]
    for file, content in files.items():
        (config / file).write_text(content)
    for channel in json.loads(files["inputdataconfig.json"]):
        folder = tmp_path / "input" / "data" / channel
        folder.mkdir(parents=True)
        (folder / "a file").touch()
    job = read_job(Container(tmp_path))
    assert Path(job.recipe.file).stem == "starter-next"
    assert sorted(job.channels) == ["champion", "dataset"]
    assert (job.hosts.number, len(job.hosts.names)) == (0, 1)


def test_a_job_waits_for_the_files_that_the_page_copies_into_its_claim() -> None:
    assert the("Job", "training-job.yaml")["spec"]["suspend"] is True
    assert the("TrainJob", "trainjob.yaml")["spec"]["suspend"] is True
    [helper] = re.findall(r"<<'YAML'\n(.*?)^YAML$", SCHEDULERS, re.MULTILINE | re.DOTALL)
    files = yaml.safe_load(helper)
    assert complaints(files, VERSIONS[0]) == complaints(files, VERSIONS[-1]) == []
    (volume,) = files["spec"]["volumes"]
    claim = the("PersistentVolumeClaim", "training-job.yaml")["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    # What they are copied into is what the job mounts.
    copied = {path.split("/")[0] for path in re.findall(r"moderato-files:/files/(\S+)", SCHEDULERS)}
    mounted = {mount.get("subPath") for mount in pod("training-job.yaml")["containers"][0]["volumeMounts"]}
    assert copied == {"data", "model"}
    assert copied <= mounted


def _missing(given: Any, known: Any, path: str) -> list[str]:
    if isinstance(given, dict):
        found = [f"{path}/{name}" for name in given if name not in known]
        both = [name for name in given if name in known]
        return found + [lost for name in both for lost in _missing(given[name], known[name], f"{path}/{name}")]
    if isinstance(given, list):
        return [lost for number, each in enumerate(given) for lost in _missing(each, known[number], f"{path}/{number}")]
    return [] if given == known else [path]
