"""What the launcher refuses: one sentence in `output/failure`, before anything is trained."""

import json
import os
import signal
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.training.launched import Launcher, write_recipe, write_tree, write_version
from tests.training.made import STARTER
from training.commands import Commands
from training.container import Container, Hosts, Job, read_job
from training.launcher import launch
from training.processes import Supervisor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny recipe and a dataset version."""
    folder = tmp_path_factory.mktemp("made")
    write_recipe(folder)
    write_version(folder / "version", 16)
    return folder


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    """The files of a job that could be done."""
    return write_tree(tmp_path / "ml", {"recipe": made / "tiny.toml"}, {"dataset": made / "version"})


def failure(tree: Path, **environment: str) -> str:
    """Launch what cannot be done; return why."""
    with Supervisor().listening() as supervisor:
        code = launch(Container(tree), {"EXPORT_PYTHON": "/bin/sh"} | environment, supervisor)
    assert code == 1
    assert not (tree / "checkpoints").exists() or not list((tree / "checkpoints").glob("**/run.json"))
    return (tree / "output" / "failure").read_text()


def configure(tree: Path, name: str, **changes: Any) -> None:
    """Change a file of `input/config`."""
    path = tree / "input" / "config" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"recipe": "startre"}, "RecipeError: no recipe 'startre': there are bbc-summary, cola, "),
        ({"learning-rate": "1"}, "JobError: unknown hyperparameter 'learning-rate': there are recipe, smoke, "),
        (
            {"learning_rate": "fast"},
            "JobError: the hyperparameter learning_rate is 'fast': Expected `float`, got `str`",
        ),
        ({"batch_size": "0"}, "JobError: the hyperparameter batch_size is '0': Expected `int` >= 1"),
        ({"replay": "null"}, "JobError: the hyperparameter replay is 'null'; leave it out to take the recipe's"),
        (
            {"recipe": '"starter\\x"'},
            "JobError: the hyperparameter recipe is '\"starter\\\\x\"': what is in quotes is read as JSON, which this ",
        ),
        ({"smoke": "yes"}, "JobError: the hyperparameter smoke is 'yes'; it is true or false"),
    ],
)
def test_a_hyperparameter_that_cannot_be_used(tree: Path, given: dict[str, str], told: str) -> None:
    configure(tree, "hyperparameters", **given)
    assert failure(tree).startswith(told)


def test_hyperparameters_are_read_as_they_were_meant(tree: Path, made: Path) -> None:
    theirs = {"sagemaker_program": '"train.py"', "_tuning_objective_metric": "validation"}
    ours = {
        "recipe": json.dumps(str(made / "tiny.toml")),
        "learning_rate": "2e-05",
        "batch_size": '"64"',
        "bf16": "true",
    }
    configure(tree, "hyperparameters", **theirs, **ours, smoke="true", model_version="2.0.0")
    job = read_job(Container(tree))
    assert job.knobs == {"learning_rate": 2e-05, "batch_size": 64, "bf16": True}
    assert (job.recipe.name, job.smoke, job.model_version) == ("tiny", True, "2.0.0")


def test_what_is_not_there_has_its_default(tmp_path: Path, made: Path) -> None:
    (tmp_path / "input" / "data").mkdir(parents=True)
    (tmp_path / "input" / "data" / "dataset").symlink_to(made / "version")
    job = read_job(Container(tmp_path))
    assert (job.recipe.file.rsplit("/", 1)[1], job.hosts, job.smoke) == ("starter-next.toml", Hosts(), False)
    assert job.channels == {"dataset": tmp_path / "input" / "data" / "dataset"}


def test_a_channel_that_is_missing_empty_unknown_or_a_pipe(tree: Path) -> None:
    channels = json.loads((tree / "input" / "config" / "inputdataconfig.json").read_text())
    channels |= {"code": {}, "sm_drivers": {}}  # the SDK's own
    for change, told in (
        (
            {"champion": {}},
            "the channel 'champion' has no files; is its S3 prefix right, and does it end with a slash?",
        ),
        ({"trian": {}}, "unknown channel 'trian': there are dataset, champion, sources, encoder"),
        ({"dataset": {"TrainingInputMode": "Pipe"}}, "the channel 'dataset' is a pipe; give it the input mode File or"),
    ):
        (tree / "input" / "config" / "inputdataconfig.json").write_text(json.dumps(channels | change))
        assert failure(tree).startswith(f"JobError: {told}")
    (tree / "input" / "config" / "inputdataconfig.json").write_text(json.dumps({"champion": {}}))
    (tree / "input" / "data" / "champion").symlink_to(STARTER)
    assert failure(tree).startswith("JobError: no channel 'dataset': give the folder of a dataset version, or")
    (tree / "input" / "data" / "champion").unlink()
    (tree / "input" / "data" / "champion").mkdir()
    assert failure(tree).startswith("JobError: the channel 'champion' has no files")


def test_a_champion_and_an_encoder_cannot_both_be_begun_with(tree: Path) -> None:
    (tree / "input" / "config" / "inputdataconfig.json").unlink()
    for name in ("champion", "encoder"):
        (tree / "input" / "data" / name).symlink_to(STARTER)
    assert failure(tree).startswith("JobError: training goes on from a champion or begins with an encoder; give one")


def test_a_champion_is_a_directory_or_an_archive(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    with tarfile.open(tmp_path / "champion" / "model.tar.gz", "w:gz") as archive:
        archive.add(STARTER / "card.md", "../card.md")
    (tree / "input" / "config" / "inputdataconfig.json").unlink()
    (tree / "input" / "data" / "champion").symlink_to(tmp_path / "champion")
    assert failure(tree).startswith("UnusableModel: ")
    assert "'../card.md', which is no file of a model" in failure(tree)


def test_config_files_that_are_no_config(tree: Path) -> None:
    (tree / "input" / "config" / "hyperparameters.json").write_text("[]")
    assert failure(tree).endswith("hyperparameters.json is no JSON object")
    (tree / "input" / "config" / "hyperparameters.json").write_text("{")
    assert "hyperparameters.json is not JSON: Expecting property name" in failure(tree)


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"current_host": "algo-2"}, "resourceconfig.json: current_host 'algo-2' is none of its hosts"),
        ({"hosts": None}, "resourceconfig.json does not say current_host and hosts, as SageMaker writes it"),
        (
            {"hosts": ["algo-1", "no-such-host.invalid"]},
            "resourceconfig.json names hosts that this one does not know: algo-1, no-such-host.invalid; all hosts of",
        ),
        (
            {"hosts": ["127.0.0.1", "127.0.0.2"], "current_host": "127.0.0.1", "network_interface_name": "eth9"},
            "resourceconfig.json names the network interface 'eth9', and this host has ",
        ),
    ],
)
def test_hosts_that_cannot_find_one_another(tree: Path, resources: dict[str, Any], told: str) -> None:
    configure(tree, "resourceconfig", **resources)
    assert failure(tree, HOSTS_SECONDS="0").startswith(f"JobError: {told}")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PROCESSES_PER_HOST": "all"}, "PROCESSES_PER_HOST is 'all'; it is a whole number from 1"),
        ({"EXPORT_PYTHON": "/nowhere"}, "EXPORT_PYTHON is not the path of a Python; it is that of requirements/export"),
        ({"TORCHELASTIC_RUN_ID": "1"}, "torchrun started this launcher, which starts torchrun itself"),
    ],
)
def test_an_environment_that_does_not_fit(tree: Path, environment: dict[str, str], told: str) -> None:
    assert failure(tree, **environment).startswith(f"JobError: {told}")


def test_public_files_without_the_phrases_to_measure_on(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "jigsaw_train.csv.gz").touch()
    tree = write_tree(tmp_path / "ml", {"recipe": "starter"}, {"sources": tmp_path / "sources"})
    assert "starter.toml measures on identity_templates_en.csv.gz: put it into the channel 'sources'" in failure(tree)


def test_an_encoder_that_only_a_hub_has_and_none_can_be_reached(made: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "ml", {"recipe": hub_recipe(made, tmp_path)}, {"dataset": made / "version"})
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        hub = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Launcher(tree, {"EXPORT_PYTHON": "/bin/sh", "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}) as launcher:
            assert launcher.end() == 1
    told = f"JobError: the recipe's encoder 'nobody/tiny' is fetched from {hub}, which cannot be reached from here"
    assert launcher.failure is not None
    assert launcher.failure.startswith(told)
    assert launcher.failure.endswith("let it be reached, or hand it over as the channel 'encoder'")
    assert not list(tree.glob("checkpoints/*"))


def test_a_hub_that_does_not_have_the_encoder(made: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "ml", {"recipe": hub_recipe(made, tmp_path)}, {"dataset": made / "version"})
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyHub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub = f"http://127.0.0.1:{server.server_port}"
        with Launcher(tree, {"EXPORT_PYTHON": "/bin/sh", "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}) as launcher:
            assert launcher.end() == 1
        server.shutdown()
    assert launcher.failure is not None
    assert (
        "which has none of that name for us (RepositoryNotFoundError); hand it over as the channel" in launcher.failure
    )


def test_with_an_encoder_of_its_own_no_hub_is_asked(made: Path, tmp_path: Path) -> None:
    channels = {"dataset": made / "version", "encoder": made / "encoder"}
    tree = write_tree(tmp_path / "ml", {"recipe": hub_recipe(made, tmp_path)}, channels)
    job = read_job(Container(tree))
    command = Commands(job, tree / "checkpoints", processes=1).fit()
    assert command[command.index("--encoder") + 1] == str(tree / "input" / "data" / "encoder")


def test_a_job_of_two_hosts_is_torchruns_and_keeps_its_disks_apart(made: Path, tmp_path: Path) -> None:
    hosts = Hosts("algo-2", ("algo-1", "algo-2"), "eth0")
    job = read_job(Container(write_tree(tmp_path, {"recipe": made / "tiny.toml"}, {"dataset": made / "version"})))
    command = Commands(Job(job.recipe, channels=job.channels, hosts=hosts), tmp_path / "out", processes=8).fit()
    assert command[1:9] == [
        "-m", "torch.distributed.run", "--nproc-per-node=8", "--nnodes=2", "--node-rank=1", "--master-addr=algo-1",
        "--master-port=29500", "-m",
    ]  # fmt: skip
    assert command[-1] == "--own-disks"


def test_a_failure_of_an_earlier_start_is_gone(tree: Path) -> None:
    (tree / "output").mkdir()
    (tree / "output" / "failure").write_text("that was yesterday")
    with Supervisor().listening() as supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
        assert launch(Container(tree), {"EXPORT_PYTHON": "/bin/sh"}, supervisor) == 143
    assert not (tree / "output" / "failure").exists()


def hub_recipe(made: Path, folder: Path) -> Path:
    """The tiny recipe with an encoder that is named and nothing else."""
    path = folder / "hub.toml"
    lines = (made / "tiny.toml").read_text().replace('name = "tiny"\npath', 'name = "nobody/tiny"\npath').splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("path")))
    return path


class _EmptyHub(BaseHTTPRequestHandler):
    """A model hub that has nothing."""

    def do_HEAD(self) -> None:
        """Say that there is no such repository, as the hub does."""
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815  # as the server asks for it

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def test_where_no_failure_can_be_written_it_is_told_in_the_log(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure(tree, "hyperparameters", smoke="yes")
    (tree / "output").touch()
    with Supervisor().listening() as supervisor:
        assert launch(Container(tree), {"EXPORT_PYTHON": "/bin/sh"}, supervisor) == 1
    assert capfd.readouterr().err == (
        "launcher: JobError: the hyperparameter smoke is 'yes'; it is true or false\n"
        f"launcher: {tree / 'output' / 'failure'} cannot be written: File exists\n"
    )


def test_a_folder_for_results_that_cannot_be_made_ends_the_job_before_it_trains(tree: Path) -> None:
    (tree / "model").touch()
    assert failure(tree) == f"JobError: {tree / 'model'} cannot be made: File exists"


def test_a_job_that_is_to_stop_waits_for_no_host(tree: Path) -> None:
    configure(tree, "resourceconfig", current_host="localhost", hosts=["localhost", "algo-2.nowhere.invalid"])
    with Launcher(tree) as launcher:
        launcher.wait_for_line("waiting for algo-2.nowhere.invalid")
        launcher.stop()
        assert launcher.end() == 143
    assert launcher.failure is None
