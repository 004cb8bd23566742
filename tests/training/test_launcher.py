"""The training image's launcher, run over made `/opt/ml` trees: processes, hosts, signals and failures.

Most of a run's seconds are imports, so the runs are made two at a time, and the tests look at what they left.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest
import torch
from safetensors.torch import load_file

from moderato.artifact import load_manifest
from moderato.scorer import Scorer
from tests.training.launched import (
    EXPORT_PYTHON,
    LONGEST_SECONDS,
    ROOT,
    SECOND_PHASE,
    Launcher,
    checkpoint_of,
    evaluations,
    free_port,
    run_of,
    spoil,
    write_recipe,
    write_tree,
    write_version,
)
from training.checkpoints import is_whole
from training.config import Recipe, load_recipe
from training.dataset import adopt
from training.train import train

pytestmark = pytest.mark.skipif(
    not Path(EXPORT_PYTHON).is_file(), reason="`make export-environment` makes what exports"
)

HOSTS = ("127.0.0.1", "127.0.0.2")
TWO_PROCESSES = {"PROCESSES_PER_HOST": "2"}
LONG: dict[str, Any] = {"epochs": 12, "batch_size": 2}
STEPS = 288
"""Of 48 rows so often by one process: there is time to be stopped."""
SPOILT = "TypeError: string indices must be integers, not 'str'"
"""What a process says whose generators' states are a text."""


class Run(NamedTuple):
    """What the launchers of a job left: the tree of each host, their exit codes, and what they say why they failed."""

    trees: list[Path]
    codes: list[int]
    failures: list[str | None]


def run(trees: Sequence[Path], stopping: int | None = None, environment: Mapping[str, str] | None = None) -> Run:
    """Launch a job on all of its hosts; one of them may be stopped in the midst of the training."""
    port = {"MASTER_PORT": free_port()}
    launchers = [Launcher(tree, {**port, **(environment or {})}) for tree in trees]
    with launchers[0], launchers[-1]:
        if stopping is not None:
            launchers[stopping].wait_for_line("'eval_loss'")
            launchers[stopping].stop()
        codes = [launcher.end() for launcher in launchers]
    return Run(list(trees), codes, [launcher.failure for launcher in launchers])


def hosts(folder: Path, given: Mapping[str, object], version: Path) -> list[Path]:
    """The trees of two hosts of one job."""
    return [write_tree(folder / name, given, {"dataset": version}, HOSTS, number) for number, name in enumerate(HOSTS)]


def train_in_two_processes(made: Path, folder: Path) -> Run:
    """Two processes of a host, which is stopped while it exports.

    It is launched as SageMaker's toolkit would: other people's modules are on the path and in the working folder, and
    what torchrun says to its processes is left in the environment.
    """
    code = folder / "code"
    code.mkdir()
    for name in ("torch", "transformers"):
        (code / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    given = {"recipe": f'"{made / "tiny.toml"}"', "batch_size": 8, "sagemaker_program": '"train.py"'}
    tree = write_tree(folder / "ml", given, {"dataset": made / "short"})
    toolkit = {
        "ML_ROOT": "",
        "SAGEMAKER_BASE_DIR": str(tree),
        "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}:{code}",
        "SM_HP_BATCH_SIZE": "8",
        "SM_MODEL_DIR": "/nowhere",
        "RANK": "3",
        "LOCAL_RANK": "3",
        "WORLD_SIZE": "7",
    }
    arguments = ("--batch_size", "8", "--recipe", str(made / "tiny.toml"))
    with Launcher(tree, TWO_PROCESSES | toolkit, arguments, cwd=code) as launcher:
        launcher.wait_for_line("export ")
        launcher.stop()
        return Run([tree], [launcher.end()], [launcher.failure])


def train_on_two_hosts(_: Path, folder: Path) -> Run:
    """Two hosts with a process each, in two phases."""
    recipe, version = write_recipe(folder, more=SECOND_PHASE), write_version(folder / "version", 16)
    return run(hosts(folder, {"recipe": recipe, "batch_size": 8}, version))


def stop_on_two_hosts(made: Path, folder: Path) -> tuple[Run, Run]:
    """Two hosts, of which the second one alone is asked to stop; then both again, with that one's state spoilt."""
    stopped = run(hosts(folder / "stopped", {"recipe": made / "tiny.toml", **LONG}, made / "long"), stopping=1)
    trees = [copied(tree, folder / "spoilt" / tree.name) for tree in stopped.trees]
    spoil(run_of(trees[1]), rank=1)
    return stopped, run(trees)


def stop_on_a_laptop(made: Path, folder: Path) -> tuple[Path, int, list[psutil.Process], Run]:
    """A laptop's run with two processes that is asked to stop; then the launcher over it, with a state spoilt."""
    output = folder / "build"
    output.mkdir()
    (folder / "knobs.toml").write_text("[train]\nepochs = 12\nbatch_size = 2\n")
    options = {"--dataset": made / "long", "--output": output, "--knobs": folder / "knobs.toml", "--processes": 2}
    arguments = ["run", str(made / "tiny.toml"), *(str(word) for pair in options.items() for word in pair)]
    with Launcher(output, arguments=arguments, module="training") as laptop:
        laptop.wait_for_line("'eval_loss'")
        started = psutil.Process(laptop.process.pid).children(recursive=True)
        laptop.stop()
        code = laptop.end()
    tree = write_tree(folder / "ml", {"recipe": made / "tiny.toml", **LONG}, {"dataset": made / "long"})
    copied(output, tree / "checkpoints")
    spoil(run_of(tree), rank=0)
    return output, code, started, run([tree], environment=TWO_PROCESSES)


def kill_a_process(made: Path, folder: Path) -> Run:
    """Two processes of a host, of which the second one is killed."""
    tree = write_tree(folder, {"recipe": made / "tiny.toml", **LONG}, {"dataset": made / "long"})
    with Launcher(tree, TWO_PROCESSES) as launcher:
        launcher.wait_for_line("'eval_loss'")
        started = psutil.Process(launcher.process.pid).children(recursive=True)
        (second,) = (process for process in started if process.environ().get("RANK") == "1")
        second.kill()
        return Run([tree], [launcher.end()], [launcher.failure])


def stop_and_go_on(made: Path, folder: Path) -> tuple[Run, Run]:
    """One process that is asked to stop, and the next start, to the end; each with a tree of its own."""
    given = {"recipe": made / "dropout" / "tiny.toml", **LONG}
    stopped = run([write_tree(folder / "stopped", given, {"dataset": made / "long"})], stopping=0)
    return stopped, run([copied(stopped.trees[0], folder / "ended")])


SCENARIOS = (
    stop_and_go_on, train_on_two_hosts, stop_on_two_hosts, stop_on_a_laptop, train_in_two_processes, kill_a_process
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes, of which the second one draws by chance, and dataset versions of one step and of many an epoch."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made")
    (folder / "dropout").mkdir()
    write_recipe(folder)
    write_recipe(folder / "dropout", dropout=0.1)
    write_version(folder / "short", 16)
    write_version(folder / "long", 48)
    return folder


@pytest.fixture(scope="module")
def begun(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Any]]]:
    """Every scenario by its name, under way."""
    with ThreadPoolExecutor(2) as pool:
        yield {each.__name__: pool.submit(each, made, tmp_path_factory.mktemp(each.__name__)) for each in SCENARIOS}


@pytest.fixture(scope="module")
def two_processes(begun: Mapping[str, Future[Any]]) -> Run:
    """What two processes left, stopped in the export."""
    found: Run = begun["train_in_two_processes"].result()
    return found


@pytest.fixture(scope="module")
def two_hosts(begun: Mapping[str, Future[Any]]) -> Run:
    """What two hosts left at their end."""
    found: Run = begun["train_on_two_hosts"].result()
    return found


@pytest.fixture(scope="module")
def alone(made: Path) -> list[dict[str, Any]]:
    """What one process finds that nobody launched."""
    return unbroken(load_recipe(made / "tiny.toml"), made / "short", made / "alone")


def unbroken(recipe: Recipe, version: Path, folder: Path) -> list[dict[str, Any]]:
    """Train here, in one go; return every evaluation."""
    adopt(recipe, version, folder / "dataset")
    train(recipe, folder / "dataset", folder)
    return evaluations(folder)


def copied(tree: Path, folder: Path) -> Path:
    """A copy of a tree."""
    return Path(shutil.copytree(tree, folder, symlinks=True))


def test_two_processes_learn_what_one_does(two_processes: Run, alone: Sequence[Mapping[str, float]]) -> None:
    assert_same(evaluations(run_of(two_processes.trees[0])), alone)


def test_who_is_stopped_after_the_training_just_ends(two_processes: Run) -> None:
    assert (two_processes.codes, two_processes.failures) == ([143], [None])
    assert list((two_processes.trees[0] / "model").iterdir()) == []


def test_two_hosts_learn_what_one_process_does(two_hosts: Run, alone: Sequence[Mapping[str, float]]) -> None:
    assert (two_hosts.codes, two_hosts.failures) == ([0, 0], [None, None])
    for tree in two_hosts.trees:
        assert_same(evaluations(run_of(tree)), alone)


def test_the_first_host_alone_writes_the_model(two_hosts: Run) -> None:
    first, second = two_hosts.trees
    scorer = Scorer.load(first / "model")
    scorer.check_golden(first / "model" / "golden.jsonl")
    assert (scorer.manifest.name, scorer.manifest.version) == ("tiny", "1.0.0")
    assert sorted(path.name for path in (first / "output" / "data").iterdir()) == ["metrics.json", "report"]
    assert list((second / "model").iterdir()) == []
    assert not (second / "output").exists()


def test_each_host_keeps_a_whole_copy_of_the_run(two_hosts: Run) -> None:
    for name in ("phase-1/encoder", "phase-2/encoder", "encoder"):
        first, second = (load_file(run_of(tree) / name / "model.safetensors") for tree in two_hosts.trees)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_one_host_that_is_stopped_stops_both_at_the_same_step(begun: Mapping[str, Future[Any]]) -> None:
    stopped, _ = begun["stop_on_two_hosts"].result()
    assert (stopped.codes, stopped.failures) == ([143, 143], [None, None])
    first, second = (checkpoint_of(run_of(tree)) for tree in stopped.trees)
    assert first.name == second.name
    assert is_whole(first)
    assert is_whole(second)


def test_an_exception_on_another_host_is_the_failure_of_both(begun: Mapping[str, Future[Any]]) -> None:
    _, failed = begun["stop_on_two_hosts"].result()
    assert (failed.codes, failed.failures) == ([1, 1], [SPOILT, SPOILT])


def test_a_run_on_a_laptop_is_stopped_with_all_its_processes(begun: Mapping[str, Future[Any]]) -> None:
    output, code, started, _ = begun["stop_on_a_laptop"].result()
    assert code == 143
    assert len(started) == 3  # torchrun and its two
    assert psutil.wait_procs(started, timeout=LONGEST_SECONDS)[1] == []
    (left,) = output.glob("tiny-*")
    assert is_whole(checkpoint_of(left))


def test_an_exception_of_the_first_process_is_the_failure(begun: Mapping[str, Future[Any]]) -> None:
    *_, failed = begun["stop_on_a_laptop"].result()
    assert (failed.codes, failed.failures) == ([1], [SPOILT])


def test_a_process_that_is_killed_is_the_failure(begun: Mapping[str, Future[Any]]) -> None:
    (code,), (failure,) = begun["kill_a_process"].result()[1:]
    assert code == 1
    assert failure.startswith("ProcessKilled: the training process of rank 1 was ended by SIGKILL; a machine with more")


def test_what_was_stopped_goes_on_and_ends_as_an_unbroken_run(
    begun: Mapping[str, Future[Any]], made: Path, tmp_path: Path
) -> None:
    stopped, ended = begun["stop_and_go_on"].result()
    assert (stopped.codes, stopped.failures) == ([143], [None])
    checkpoint = checkpoint_of(run_of(stopped.trees[0]))
    assert is_whole(checkpoint)
    assert int(checkpoint.name.rsplit("-", 1)[1]) < STEPS

    assert (ended.codes, ended.failures) == ([0], [None])
    assert load_manifest(ended.trees[0] / "model").version == "1.0.0"
    recipe = load_recipe(made / "dropout" / "tiny.toml")
    recipe = msgspec.structs.replace(recipe, train=msgspec.structs.replace(recipe.train, **LONG))
    assert evaluations(run_of(ended.trees[0])) == unbroken(recipe, made / "long", tmp_path)


def assert_same(found: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]) -> None:
    """The same steps, with losses that agree to 4 decimals."""
    assert [each["step"] for each in found] == [each["step"] for each in expected] == [1, 2, 3]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["eval_exact_loss"] == pytest.approx(theirs["eval_exact_loss"], abs=5e-5)
        assert ours["eval_mean_roc_auc"] == pytest.approx(theirs["eval_mean_roc_auc"], abs=5e-5)
