"""Ray: workers train what one process trains, a lost one is replaced, and a search is the laptop's own."""

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import torch
from optuna.trial import TrialState, create_trial

from moderato.scorer import Scorer
from tests.made_datasets import write_dataset
from tests.recipes import write_recipe
from tests.training.launched import Launcher, free_port
from tests.training.made_sources import remark
from tests.training.tiny import CATEGORIES, encoder, uneven_rows
from training import dataset
from training.checkpoints import is_whole
from training.config import RecipeError, load_knobs, load_recipe
from training.ray_machines import Share, split
from training.train import train
from training.tune import begin, tune

ROOT = Path(__file__).parents[2]
KNOBS = """
[train]
epochs = 2
batch_size = {batch_size}
max_tokens = 16
learning_rate = 1e-3
bf16 = false
checkpoint_steps = 1
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where Ray's sessions and whatever else a command leaves would be; pytest's folders are too deep for sockets."""
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder, and a dataset version of sixteen rows to train on: a step of one process, or of two."""
    torch.set_num_threads(1)
    made = tmp_path_factory.mktemp("ray")
    encoder(made / "encoder")
    rows = [*uneven_rows(16), *uneven_rows(24, "validation"), *uneven_rows(24, "test")]
    write_dataset(made / "version", [asdict(row) for row in rows], categories=list(CATEGORIES))
    return made


def recipe(folder: Path, batch_size: int) -> Path:
    """Write a recipe on the tiny encoder; its sources name what `messages` writes."""
    (folder / str(batch_size)).mkdir(exist_ok=True)
    path = write_recipe(
        folder / str(batch_size),
        categories='categories = ["insult", "news"]',
        package=f'path = "{folder / "encoder"}"',
        labels__rude='labels.insult = { column = "rude" }',
        labels__loud='labels.news = { column = "loud" }',
    )
    path.write_text(path.read_text() + KNOBS.format(batch_size=batch_size))
    return path


def messages(folder: Path) -> Path:
    """Write the file that the recipe's source names."""
    draw = random.Random(5)
    with (folder / "comments.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "rude", "loud"])
        writer.writerows([remark(number, number % 2 == 0, draw), number % 2, number % 3 // 2] for number in range(80))
    return folder


def python(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a module as a person would, on a cluster of this machine's own."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "HOME": str(home), "TMPDIR": str(home)}
    for name in ("DATA_DIR", "RAY_ADDRESS"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def given(folder: Path, tmp_path: Path) -> list[object]:
    """A recipe and the options of a run."""
    return [recipe(folder, 16), "--dataset", folder / "version", "--output", tmp_path / "build"]


def figures(run: Path) -> list[tuple[float, float]]:
    """The exact loss and the mean area on validation after each epoch."""
    history = json.loads((run / "phase-1" / "history.json").read_text())
    return [(each["eval_exact_loss"], each["eval_mean_roc_auc"]) for each in history if "eval_loss" in each]


def assert_nothing_is_left(home: Path) -> None:
    """No session's folder, no token, no process."""
    assert [path.name for path in home.iterdir() if path.name.startswith((".ray", "ray"))] == []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if f"{home}/" in command] == []


def test_two_workers_of_which_one_is_lost_train_what_one_process_trains(folder: Path, home: Path) -> None:
    one, two = recipe(folder, 16), recipe(folder, 8)
    train(load_recipe(str(one)), folder / "version", folder / "one")
    done = python(home, "tests.training.broken_ray", two, folder / "version", folder / "build")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert (folder / "build" / "killed").exists()
    (run,) = (folder / "build").glob("own-*")
    expected = figures(folder / "one")
    assert len(expected) == 2
    assert figures(run) == [pytest.approx(pair, abs=5e-5) for pair in expected]
    # Both began once, and went on once: what came before the loss is not trained again.
    assert [(folder / "build" / f"began-{process}").read_text() for process in (0, 1)] == ["0 1 ", "0 1 "]
    assert [path.parent for path in (folder / "build").rglob("manifest.json")] == [run / "model"]
    assert list(Scorer.load(run / "model").score("you are a fool").scores) == list(CATEGORIES)
    assert not (run / "ray").exists()
    assert_nothing_is_left(home)


def test_two_workers_that_are_asked_to_stop_save_and_go_on_from_there(folder: Path, home: Path) -> None:
    path, output = recipe(folder, 8), folder / "stopped"
    # Nothing is saved unless somebody asks, and it does not end by itself meanwhile.
    knobs = {"epochs = 2": "epochs = 1000", "checkpoint_steps = 1": "checkpoint_steps = 10000"}
    own = path.with_name("stopped.toml")
    own.write_text(reduce(lambda text, pair: text.replace(*pair), knobs.items(), path.read_text()))

    logs = [stopped_after_an_evaluation(own, folder / "version", output, home) for _ in range(2)]

    # With how long each evaluation took: none was done again.
    assert logs[1][: len(logs[0])] == logs[0]
    assert len(logs[1]) > len(logs[0]) > 0


def stopped_after_an_evaluation(recipe: Path, version: Path, output: Path, home: Path) -> list[dict[str, Any]]:
    """Train in two workers until they have evaluated, and ask them to stop; return the log of their one checkpoint."""
    command = ["train", str(recipe), "--dataset", str(version), "--output", str(output), "--workers", "2"]
    with Launcher(output, {"HOME": str(home), "TMPDIR": str(home)}, command, module="training.on_ray") as launched:
        launched.wait_for_line("'eval_loss'")
        launched.stop()
        assert launched.end() == 143, "".join(launched.output)[-4000:]
    (run,) = (path.parent for path in output.glob("*/run.json"))
    saved = max((run / "phase-1" / "checkpoints").iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    assert is_whole(saved)
    assert sorted(path.name for path in run.iterdir()) == ["dataset", "phase-1", "run.json"]
    assert_nothing_is_left(home)
    log: list[dict[str, Any]] = json.loads((saved / "trainer_state.json").read_text())["log_history"]
    return log


@pytest.mark.parametrize(
    ("machines", "workers", "expected"),
    [
        ([{"CPU": 2}], 1, Share(2, 0)),
        ([{"CPU": 4}, {"CPU": 4}], 3, Share(2, 0)),
        ([{"CPU": 16}, {"CPU": 4}], 2, Share(8, 0)),
        ([{"CPU": 8, "GPU": 4}], 4, Share(2, 1)),
        # The one without a GPU takes no part.
        ([{"CPU": 64}, {"CPU": 8, "GPU": 2}], 2, Share(4, 1)),
    ],
)
def test_workers_share_what_there_is(machines: list[dict[str, float]], workers: int, expected: Share) -> None:
    assert split(machines, workers) == expected


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        (
            [{"CPU": 64, "GPU": 1}, {"CPU": 1, "GPU": 1}],
            "3 workers need a GPU and a core each, and the cluster has room for 2; give --workers 2",
        ),
        ([{"CPU": 1}, {"CPU": 1}], "3 workers need a core each, and the cluster has room for 2; give --workers 2"),
        # Cores where there is no GPU, and GPUs where there is no core, are of no use.
        (
            [{"CPU": 64}, {"CPU": 1, "GPU": 2}, {"GPU": 4}],
            "3 workers need a GPU and a core each, and the cluster has room for 1; give --workers 1",
        ),
        (
            [{"GPU": 2}],
            "a worker needs a GPU and a core of one machine, and the cluster has no machine with that to give",
        ),
        ([{}], "a worker needs a core of one machine, and the cluster has no machine with that to give"),
    ],
)
def test_too_many_workers_are_told_how_many_there_may_be(machines: list[dict[str, float]], told: str) -> None:
    with pytest.raises(RecipeError, match=f"^{told}$"):
        split(machines, 3)


def test_where_sockets_do_not_fit_nothing_begins(folder: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    done = python(deep, "training.on_ray", "train", *given(folder, tmp_path))
    assert done.returncode == 1
    mend = "set TMPDIR to a folder whose path has at most 27 characters"
    assert done.stderr == f"training: Ray's sockets do not fit under {deep}; {mend}\n"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1: [Errno 111] Connection refused"),
        (
            "ray://head:10001",
            "--address is 'ray://head:10001'; it is HOST:PORT of a cluster that this machine is part of",
        ),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_one_sentence(address: str, told: str, folder: Path, tmp_path: Path) -> None:
    done = python(tmp_path, "training.on_ray", "train", *given(folder, tmp_path), "--address", address)
    assert done.returncode == 1
    assert done.stderr.startswith(f"training: {told}")
    assert done.stderr.count("\n") == 1


JOIN = """
import sys
from pathlib import Path
from training.config import RecipeError
from training.ray_cluster import cluster
from training.ray_machines import require_shared

for path in sys.argv[2:]:
    Path(path).unlink()
try:
    with cluster(sys.argv[1], 1):
        require_shared(Path("/"))
except RecipeError as error:
    sys.exit(f"training: {error}")
"""
"""Joins a cluster; before that, it removes this code from its place where that is to be missing on a machine."""


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a cluster that exists: it demands a token, and was started where nothing is known of us."""
    port = free_port()
    options = ["--head", "--block", "--port", port, "--node-ip-address", "127.0.0.1", "--num-cpus", "1"]
    options += ["--include-dashboard", "false", "--object-store-memory", "100000000", "--temp-dir"]
    command = [sys.executable, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())", "start"]
    with tempfile.TemporaryDirectory(prefix="m", ignore_cleanup_errors=True) as own:
        place = {**os.environ, "HOME": own, "TMPDIR": own, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
        place.pop("PYTHONPATH", None)
        command = [*command, *options, f"{own}/session"]
        with subprocess.Popen(command, env=place, cwd=own, stdout=subprocess.PIPE, text=True) as started:
            assert started.stdout is not None
            try:
                assert any("To terminate the Ray runtime" in line for line in started.stdout)
                yield f"127.0.0.1:{port}"
            finally:
                started.terminate()
                for _ in started.stdout:
                    pass


def joined(home: Path, head: str, code: Path, token: str, *removed: Path) -> subprocess.CompletedProcess[str]:
    """Join with the code that is at this path."""
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": f"{code / 'functions'}:{code}"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    command = [sys.executable, "-c", JOIN, head, *map(str, removed)]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=False)


def test_a_cluster_that_exists_finds_this_code_where_it_is_here(home: Path, head: str, tmp_path: Path) -> None:
    done = joined(home, head, ROOT, "a" * 64)
    assert done.returncode == 0, done.stderr

    code = tmp_path / "code"
    code.symlink_to(ROOT)
    done = joined(home, head, code, "a" * 64, code)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("training: ")
    assert f"every machine of the cluster needs it and its environment under the same path as here, {code}/" in told
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("token", ["b" * 64, ""])
def test_a_cluster_that_demands_another_token_is_one_sentence(home: Path, head: str, token: str) -> None:
    done = joined(home, head, ROOT, token)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"training: no Ray cluster can be used at {head}: Failed to connect")
    assert (
        "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the one that its machines have or RAY_AUTH_TOKEN_PATH" in told
    )
    assert "Traceback" not in done.stderr


def test_a_search_on_ray_goes_on_with_the_laptops_and_stops_what_lags(folder: Path, home: Path) -> None:
    path = recipe(folder, 32)
    made, data, output = load_recipe(str(path)), messages(folder), folder / "build" / "own-tuning"
    dataset.build(made, data, output / "dataset")
    _add_three_that_began_well(begin(made, output / "dataset", output, 1).study)

    done = python(
        home, "training.on_ray", "tune", path, "--data", data, "--output", folder / "build", "--trials", 5,
        "--workers", 1,
    )  # fmt: skip

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = tune(made, output / "dataset", output, 5)
    assert [attempt.state for attempt in found.attempts] == ["complete", "complete", "complete", "complete", "pruned"]
    assert found.best.number == 0
    assert tomllib.loads((output / "tune.toml").read_text()) == {
        "train": {
            "learning_rate": 0.001,
            "batch_size": 32,
            "max_tokens": 16,
            "weight_decay": 0.01,
            "class_weight_power": 0.5,
            "max_class_weight": 5.0,
        }
    }
    assert load_knobs(output / "tune.toml", made).train == made.train
    assert "the best knobs: " in done.stdout
    assert not [*output.glob("trial-*"), *output.glob("ray*")]
    assert_nothing_is_left(home)


def test_trials_that_fail_are_a_warning_once_one_was_finished(capsys: pytest.CaptureFixture[str]) -> None:
    from training.ray_tune import tell_failures  # imported where Ray is not started: its settings are made before that

    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.FAIL))
    with pytest.raises(RecipeError, match=r"^no trial was finished: OSError: gone$"):
        tell_failures(study, ["OSError: gone"])
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.5))
    tell_failures(study, ["OSError: gone"])
    assert capsys.readouterr().out == "warning: a trial failed: OSError: gone\n"


def _add_three_that_began_well(study: optuna.Study) -> None:
    """Trials beside which the fifth lags from its second evaluation on, though they ended worse than the first."""
    knobs: dict[str, Any] = {"learning_rate": 2e-4}
    for _ in range(3):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=knobs,
                distributions={"learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)},
                value=0.01,
                intermediate_values={1: 1.5, 2: 1.5, 3: 1.5},
            )
        )
