"""`python -m training.launcher`: process 1 of the training image, from files in /opt/ml to a model in /opt/ml/model.

What it starts is what a laptop starts: `python -m training dataset`, `fit` and `finish`, with the run's folder in
`checkpoints/`, so that a job which is started again goes on where it was. It imports no torch.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from moderato.artifact import MANIFEST, REQUIRED_FILES
from training.commands import Commands
from training.config import RecipeError
from training.container import CODE, Container, Job, JobError, needs_hub, read_job
from training.failure import OUTCOMES, cause_of, has_failed, was_stopped, write_failure
from training.folders import emptied
from training.machine import check_hub, connect, cores, count_processes
from training.model_archive import UnusableModel, find_model
from training.processes import Supervisor

ROOT = "/opt/ml"
STOPPED = 128 + signal.SIGTERM

TORCHRUN = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "MASTER_ADDR")
"""Who finds these in the environment believes that torchrun started it."""


class StageFailed(Exception):
    """A stage failed; the message is the cause, as "Type: message"."""


class StageStopped(Exception):
    """A stage was asked to stop, and did."""


def launch(container: Container, environment: Mapping[str, str], supervisor: Supervisor) -> int:
    """Do this host's part of the job; return the exit code: 0 complete, 143 stopped, 1 failed with `output/failure`."""
    with suppress(OSError):  # what cannot be removed cannot be written either, and that is told
        container.failure.unlink()
    try:
        with TemporaryDirectory() as space:
            _run(container, environment, supervisor, Path(space))
    except StageStopped:
        print("stopped: what is in checkpoints/ is whole, and the next start goes on from there", flush=True)
        return STOPPED
    except StageFailed as failed:
        return _fail(container, str(failed))
    except (JobError, RecipeError, UnusableModel) as error:
        return _fail(container, _told(error))
    except Exception as error:
        _fail(container, _told(error))
        raise
    return 0


def main() -> None:
    """Run with the container's folders at ML_ROOT, and as process 1 must: stop when asked, and reap every child."""
    root = os.environ.get("ML_ROOT") or os.environ.get("SAGEMAKER_BASE_DIR") or ROOT
    with Supervisor(reaps=True).listening() as supervisor:
        code = launch(Container(Path(root)), os.environ, supervisor)
    sys.exit(code)


def _fail(container: Container, cause: str) -> int:
    print(f"launcher: {cause}", file=sys.stderr, flush=True)
    try:
        write_failure(container.failure, cause)
    except OSError as error:
        print(f"launcher: {container.failure} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
    return 1


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _run(container: Container, environment: Mapping[str, str], supervisor: Supervisor, space: Path) -> None:
    job = read_job(container)
    _check(job, environment)
    _check_folders(container, job)
    commands = _commands(container, job, environment, space)
    network = connect(job.hosts, environment, lambda: supervisor.is_stopping)
    shown = _environment(environment, job, commands.processes) | network | {OUTCOMES: str(space)}
    _say(job, commands)
    for command in (commands.dataset(), commands.fit()):
        _stage(supervisor, command, shown)
    if job.hosts.number == 0:
        _stage(supervisor, commands.finish(), shown)
        _hand_over(commands.folder, container)


def _check(job: Job, environment: Mapping[str, str]) -> None:
    """Raise JobError for what would end the job after hours: no stage has begun yet."""
    if "TORCHELASTIC_RUN_ID" in environment:
        raise JobError("torchrun started this launcher, which starts torchrun itself: one launcher a host is enough")
    # On every host: one that went on would wait for the others, at its price.
    if not Path(environment.get("EXPORT_PYTHON", "")).is_file():
        raise JobError("EXPORT_PYTHON is not the path of a Python; it is that of requirements/export.txt's environment")
    templates, sources = job.recipe.measure.identity_templates, job.channels.get("sources")
    if templates and sources and "dataset" not in job.channels and not (sources / templates).is_file():
        raise JobError(f"{job.recipe.file} measures on {templates}: put it into the channel 'sources', where it is not")
    if needs_hub(job.recipe, job.channels):
        check_hub(job.recipe)


def _check_folders(container: Container, job: Job) -> None:
    """Make the folders that a job leaves its results in. Raises JobError for one that cannot be written to."""
    results = (container.model, container.data) if job.hosts.number == 0 else (container.model,)
    for folder in (container.checkpoints, *results):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(f"{folder} cannot be made: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise JobError(f"{folder} cannot be written to by the user {os.getuid()}, who runs this")


def _commands(container: Container, job: Job, environment: Mapping[str, str], space: Path) -> Commands:
    champion = job.channels.get("champion")
    # Hosts share no disk, but one folder in S3: each has a place of its own in it.
    output = container.checkpoints if job.hosts.number == 0 else container.checkpoints / job.hosts.current
    output.mkdir(parents=True, exist_ok=True)
    return Commands(
        job=job,
        output=output,
        processes=count_processes(environment),
        parent=champion and find_model(champion, space / "champion"),
        knobs=_write_knobs(job.knobs, space / "knobs.toml") if job.knobs else None,
        port=int(environment.get("MASTER_PORT", Commands.port)),
    )


def _write_knobs(knobs: Mapping[str, object], path: Path) -> Path:
    # TOML writes numbers and switches as JSON does.
    path.write_text("".join(["[train]\n", *(f"{name} = {json.dumps(value)}\n" for name, value in knobs.items())]))
    return path


def _environment(environment: Mapping[str, str], job: Job, processes: int) -> dict[str, str]:
    """What the stages see of the environment: our code and nobody else's, and how hosts and cores are shared."""
    kept = {name: value for name, value in environment.items() if name not in (*TORCHRUN, "DATA_DIR")}
    threads = {"OMP_NUM_THREADS": str(max(1, cores() // processes))} if processes > 1 else {}
    return {
        **threads,
        **({} if needs_hub(job.recipe, job.channels) else {"HF_HUB_OFFLINE": "1"}),
        **kept,
        # SageMaker's toolkit adds its own packages to the path, and begins in a folder with other people's scripts.
        "PYTHONPATH": f"{CODE / 'functions'}{os.pathsep}{CODE}",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _say(job: Job, commands: Commands) -> None:
    hosts = job.hosts
    place = f"host {hosts.number + 1} of {len(hosts.names)}, {commands.processes} of its processes"
    print(f"{job.recipe.name} by {job.recipe.file}: {place}, run in {commands.folder}", flush=True)


def _stage(supervisor: Supervisor, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a stage. Raises StageStopped, or StageFailed with the cause."""
    outcomes = Path(environment[OUTCOMES])
    ended = supervisor.run(command, environment, keeps_lines=True)
    if ended.code == 0 and not supervisor.is_stopping:
        return
    if was_stopped(outcomes) or (supervisor.is_stopping and not has_failed(outcomes)):
        raise StageStopped
    raise StageFailed(cause_of(outcomes, ended.code, ended.lines))


def _hand_over(run: Path, container: Container) -> None:
    """Copy the model's files flat, the manifest last, and what was measured."""
    directory = emptied(container.model)
    for name in (*REQUIRED_FILES, MANIFEST):
        shutil.copyfile(run / "model" / name, directory / name)
    shutil.copyfile(run / "metrics.json", container.data / "metrics.json")
    shutil.copytree(run / "report", container.data / "report", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
