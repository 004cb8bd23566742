"""The DAG for Airflow: it parses, and it runs our stages in their order with a container's folder for each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PYTHON = "{{ var.value.get('moderato_python', 'python') }}"
STAGES = Path(__file__).parent / "stages.py"
GROWN = {"name": "made", "version": "2", "digest": "2", "parent": {"name": "made", "version": "1", "digest": "1"}}
AS_IT_WAS = {**GROWN, "version": "1", "digest": "1"}
BETTER = {"promoted": True, "reason": ""}
WORSE = {"promoted": False, "reason": "ROC AUC of insult is 0.91, the champion's 0.94."}


@pytest.fixture
def dag() -> Any:
    """The DAG as Airflow finds it; a run leaves its parameters in it."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag()
    assert bag.import_errors == {}
    assert set(bag.dags) == {"moderato_retraining"}
    return bag.dags["moderato_retraining"]


@pytest.fixture(scope="module")
def _database() -> None:
    """Airflow's tables, in SQLite."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def site(tmp_path: Path, _database: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that workers share, with a batch of labels, a dataset and a champion, and our stand-in for Python."""
    for name, file in {"labels": "accepted.jsonl", "dataset": "dataset.json", "champion": "manifest.json"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    monkeypatch.setenv("AIRFLOW_VAR_MODERATO_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_VAR_MODERATO_PYTHON", f'"{sys.executable}" "{STAGES}"')
    return tmp_path


def run(dag: Any, site: Path, summary: Any, evaluation: Any, **conf: Any) -> dict[str, str]:
    """Run the DAG in this process, as `airflow dags test` does; return how each task ended.

    What fails is not tried again, since each try would wait for five minutes.
    """
    for task in dag.tasks:
        task.retries = 0
    (site / "says.json").write_text(json.dumps({"summary": summary, "evaluation": evaluation}))
    done = dag.test(run_conf=conf)
    assert done.state == "success"
    states = {instance.task_id: str(instance.state) for instance in done.get_task_instances()}
    if states["keep_champion"] == "success":
        reason = next(each for each in done.get_task_instances() if each.task_id == "keep_champion")
        assert reason.xcom_pull(task_ids="keep_champion") == evaluation["reason"]
    return states


def asked(site: Path, stage: str) -> dict[str, Any]:
    """What a stage was asked for, and which files it found."""
    (path,) = (site / "runs").glob(f"*/{stage}/asked.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_stages_follow_one_another_and_end_in_one_of_two_ways(dag: Any) -> None:
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert edges == {
        "prepare": ["is_something_new"],
        "is_something_new": ["train"],
        "train": ["evaluate"],
        "evaluate": ["gate"],
        "gate": ["keep_champion", "register"],
        "register": [],
        "keep_champion": [],
    }


def test_it_runs_weekly_one_at_a_time_and_tries_again(dag: Any) -> None:
    assert (dag.schedule, dag.catchup, dag.max_active_runs) == ("@weekly", False, 1)
    assert {task.retries for task in dag.tasks} == {2}
    assert "moderato_home" in dag.doc_md


def test_a_better_challenger_is_registered_with_its_evidence(dag: Any, site: Path) -> None:
    states = run(dag, site, GROWN, BETTER, hyperparameters={"smoke": "true"}, reason="labels")
    assert states == {
        **dict.fromkeys(["prepare", "is_something_new", "train", "evaluate", "gate", "register"], "success"),
        "keep_champion": "skipped",
    }
    assert asked(site, "prepare") == {
        "command": ["-m", "training.stages", "prepare"],
        "found": ["processing/input/dataset/dataset.json", "processing/input/labels/accepted.jsonl"],
    }
    assert asked(site, "train") == {
        "command": ["-m", "training.launcher"],
        "found": [
            "input/config/hyperparameters.json",
            "input/data/champion/manifest.json",
            "input/data/dataset/dataset.json",
        ],
    }
    assert asked(site, "evaluate") == {
        "command": ["-m", "training.stages", "evaluate"],
        "found": [
            "processing/input/challenger/manifest.json",
            "processing/input/champion/manifest.json",
            "processing/input/dataset/dataset.json",
        ],
    }
    (config,) = (site / "runs").glob("*/train/input/config/hyperparameters.json")
    assert json.loads(config.read_text()) == {"smoke": "true", "recipe": "starter-next"}
    (package,) = (site / "packages").iterdir()
    assert ":" not in package.name
    assert sorted(path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()) == [
        "comparison.json",
        "dataset/dataset.json",
        "evaluation.json",
        "model/manifest.json",
    ]


def test_a_worse_challenger_is_no_failure_and_the_reason_is_told(dag: Any, site: Path) -> None:
    states = run(dag, site, AS_IT_WAS, WORSE, reason="hand")
    assert states["keep_champion"] == "success"
    assert states["register"] == "skipped"
    assert not (site / "packages").exists()


def test_nothing_is_trained_where_no_label_is_new(dag: Any, site: Path) -> None:
    states = run(dag, site, AS_IT_WAS, BETTER)
    assert states["prepare"] == "success"
    assert {states[name] for name in ("train", "evaluate", "gate", "register", "keep_champion")} == {"skipped"}


@pytest.mark.parametrize(
    "conf",
    [
        {"hyperparameters": {"batch_size": 16}},
        {"hyperparameters": {"batch size": "16"}},
        {"reason": "because"},
        {"recipe": "starter; rm -rf /"},
        {"labels": 3},
    ],
)
def test_parameters_that_are_none_stop_a_run_before_its_first_task(conf: dict[str, Any], dag: Any, site: Path) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        run(dag, site, GROWN, BETTER, **conf)
    assert not (site / "runs").exists()


def test_a_stage_that_is_tried_again_reads_what_it_read_before(dag: Any, tmp_path: Path) -> None:
    script = dag.get_task("train").bash_command.replace(PYTHON, "true")
    for folder in ("run/prepare/processing/output/dataset", "champion"):
        (tmp_path / folder).mkdir(parents=True)
    environment = {
        "ML_ROOT": str(tmp_path / "root"),
        "RUN": str(tmp_path / "run"),
        "CHAMPION": str(tmp_path / "champion"),
        "HYPERPARAMETERS": "{}",
    }
    for content in ("before", "after"):
        (tmp_path / "champion" / "manifest.json").write_text(content)
        subprocess.run(["/bin/bash", "-c", script], env=environment, check=True)
    assert (tmp_path / "root" / "input" / "data" / "champion" / "manifest.json").read_text() == "before"


def test_a_stage_does_not_begin_without_its_inputs(dag: Any, tmp_path: Path) -> None:
    script = dag.get_task("prepare").bash_command.replace(PYTHON, "echo ran")
    environment = {"ML_ROOT": str(tmp_path / "root"), "LABELS": str(tmp_path / "none"), "DATASET": str(tmp_path)}
    done = subprocess.run(["/bin/bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
