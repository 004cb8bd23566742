"""New labels make a challenger, and a better one waits for approval.

Every week, and whenever somebody triggers it: the dataset grows by what is new, a challenger is trained on it, and both
models are measured on the same texts. A better challenger is laid down with its evidence for a person to promote; a
worse one is no failure, and the task `keep_champion` says why the champion stays.

Each stage is the command that runs in SageMaker's jobs, with a container's folder of its own (`ML_ROOT`), so that a
stage which is tried again goes on where it was. Airflow itself needs nothing of Moderato. Two variables say where and
how:

- `moderato_home`, by default `/srv/moderato`: a folder that every worker sees. `labels/`, `dataset/` and `champion/` in
  it are read, `runs/` and `packages/` are written.
- `moderato_python`, by default `python`: what runs Python in the training environment. `/opt/moderato/bin/python` is
  one, and so is `docker run --rm --gpus all --volume "$ML_ROOT":/opt/ml --entrypoint python IMAGE`.

`docs/schedulers.md` has the details.
"""

import json
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, task

HOME = "{{ var.value.get('moderato_home', '/srv/moderato') }}"
PYTHON = "{{ var.value.get('moderato_python', 'python') }}"

RUN = HOME + "/runs/{{ run_id | replace(':', '') | replace('+', '') }}"
"""A run's folder. Docker splits the name of a volume at colons."""

TAKE = """
set -euo pipefail
take() { [ -d "$2" ] || { rm -rf "$2.part"; mkdir -p "$2.part"; cp -R "$1"/. "$2.part"; mv "$2.part" "$2"; }; }
"""
"""Inputs are copied once: what a stage reads does not change while it runs, nor when it is tried again."""

PREPARE = (
    TAKE
    + f"""
take "$LABELS" "$ML_ROOT/processing/input/labels"
take "$DATASET" "$ML_ROOT/processing/input/dataset"
exec {PYTHON} -m training.stages prepare
"""
)

TRAIN = (
    TAKE
    + f"""
take "$RUN/prepare/processing/output/dataset" "$ML_ROOT/input/data/dataset"
take "$CHAMPION" "$ML_ROOT/input/data/champion"
mkdir -p "$ML_ROOT/input/config"
printf '%s' "$HYPERPARAMETERS" > "$ML_ROOT/input/config/hyperparameters.json"
exec {PYTHON} -m training.launcher
"""
)

EVALUATE = (
    TAKE
    + f"""
take "$RUN/train/input/data/champion" "$ML_ROOT/processing/input/champion"
take "$RUN/train/model" "$ML_ROOT/processing/input/challenger"
take "$RUN/prepare/processing/output/dataset" "$ML_ROOT/processing/input/dataset"
exec {PYTHON} -m training.stages evaluate
"""
)

PARAMS = {
    "labels": Param(
        None,
        type=["null", "string"],
        description="Folder with accepted.jsonl, erased.json or both; moderato_home/labels unless it is given.",
    ),
    "dataset": Param(
        None, type=["null", "string"], description="The dataset version to grow; moderato_home/dataset else."
    ),
    "champion": Param(
        None, type=["null", "string"], description="The champion's model directory; moderato_home/champion else."
    ),
    "recipe": Param("starter-next", type="string", pattern=r"^[A-Za-z0-9._/-]+$", description="What is trained."),
    "hyperparameters": Param(
        {},
        type="object",
        propertyNames={"pattern": "^[a-z_]+$"},
        additionalProperties={"type": "string"},
        description='Knobs of the recipe\'s [train] by name, and "smoke" and "model_version"; every value is text.',
    ),
    "reason": Param(
        "weekly",
        enum=["weekly", "labels", "drift", "hand"],
        description="Why; by hand it trains even where no label is new.",
    ),
}

logger = logging.getLogger(__name__)


def given(name: str) -> str:
    """Return the template of a folder: the parameter, or the folder of its name in moderato_home."""
    return f"{{{{ params.{name} or var.value.get('moderato_home', '/srv/moderato') ~ '/{name}' }}}}"


def stage(name: str, script: str, **environment: str) -> BashOperator:
    """Return the task of a stage, which has a container's folder of its own in the run's."""
    return BashOperator(
        task_id=name,
        bash_command=script,
        env={"RUN": RUN, "ML_ROOT": f"{RUN}/{name}", **environment},
        append_env=True,
    )


def is_something_new(run: str, reason: str) -> bool:
    """Go on where the dataset grew, or a person wants to train anyway."""
    summary = json.loads((Path(run) / "prepare/processing/output/summary/summary.json").read_text())
    is_new: bool = summary["digest"] != summary["parent"]["digest"]
    logger.info("%s %s %s", summary["name"], summary["version"], "has grown" if is_new else "is as it was")
    return is_new or reason == "hand"


def gate(run: str) -> str:
    """Register a challenger that is better by the gate of `moderato promote`, or keep the champion."""
    found = json.loads((Path(run) / "evaluate/processing/output/evaluation/evaluation.json").read_text())
    logger.info("the challenger is %s", "better" if found["promoted"] else f"not better: {found['reason']}")
    return "register" if found["promoted"] else "keep_champion"


def register(run: str, home: str) -> str:
    """Lay the challenger down with its evidence, and return where: a person promotes it, or does not."""
    folder = Path(run)
    package = Path(home) / "packages" / folder.name
    part = package.with_name(f"{package.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(folder / "evaluate/processing/output/evaluation", part)
    shutil.copytree(folder / "train/model", part / "model")
    shutil.copytree(folder / "prepare/processing/output/dataset", part / "dataset")
    shutil.rmtree(package, ignore_errors=True)
    part.rename(package)
    logger.info("a better challenger waits for approval: %s", package)
    return str(package)


def keep_champion(run: str) -> str:
    """Return why the champion stays."""
    found = json.loads((Path(run) / "evaluate/processing/output/evaluation/evaluation.json").read_text())
    reason: str = found["reason"]
    logger.info("the champion stays: %s", reason)
    return reason


with DAG(
    "moderato_retraining",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # The next one would grow the same dataset by the same labels.
    max_active_runs=1,
    params=PARAMS,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["moderato"],
) as dag:
    prepare = stage("prepare", PREPARE, LABELS=given("labels"), DATASET=given("dataset"))
    train = stage(
        "train",
        TRAIN,
        CHAMPION=given("champion"),
        HYPERPARAMETERS="{{ dict(params.hyperparameters, recipe=params.recipe) | tojson }}",
    )
    evaluate = stage("evaluate", EVALUATE)
    is_worth_it = task.short_circuit(is_something_new)(RUN, "{{ params.reason }}")
    verdict = task.branch(gate)(RUN)
    prepare >> is_worth_it >> train >> evaluate >> verdict >> [task(register)(RUN, HOME), task(keep_champion)(RUN)]
