"""MLflow: each training is a run with its parameters, losses, figures, dataset and files."""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from training import dataset
from training.config import Recipe, knobs

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORD = "tracking.json"
"""The file in a run's folder that names its MLflow run, so that what comes later belongs to the same one."""

MAX_PARAMETERS = 100
"""MLflow takes so many at a time."""

TOLD_ELSEWHERE = ("description", "limits", "sources", "file", "levels")
"""Keys of a recipe that are prose or long lists: the recipe's file is among the artifacts."""

logger = logging.getLogger(__name__)


class Unreachable(Exception):
    """The tracking store cannot be used: training goes on without it."""


@contextmanager
def tracked(recipe: Recipe, folder: Path, uri: str | None = None) -> Iterator[list[TrainerCallback]]:
    """Track the training in `folder`: hand the callbacks to `train`.

    `uri` is an MLflow tracking server's (on SageMaker, its ARN) or a SQLite file's (sqlite:///...); by default
    `mlflow.db` beside the run folders. A run that was killed goes on as the same MLflow run. Where MLflow is missing
    or its store cannot be reached, that is one warning, and training goes on. Only the first of several processes
    tracks.
    """
    tracker = _Tracker(recipe, folder, uri)
    status = "FAILED"
    try:
        yield [tracker]
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.end(status)


def record(folder: Path, figures: Mapping[str, float], files: Sequence[Path], uri: str | None = None) -> None:
    """Add the final figures, and files or folders, to the MLflow run of the training in `folder`, if there is one.

    `uri` is what `tracked` was given: a password in it is written down nowhere.
    """
    if not (folder / RECORD).is_file():
        return
    noted = json.loads((folder / RECORD).read_text())

    def add() -> None:
        client = _client(uri or noted["uri"])
        _log(client, noted["run"], figures, step=0)
        for path in files:
            (client.log_artifacts if path.is_dir() else client.log_artifact)(noted["run"], str(path))

    try:
        _reach(add)
    except Unreachable as problem:
        _warn(problem)


class _Tracker(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    def __init__(self, recipe: Recipe, folder: Path, uri: str | None) -> None:
        self.recipe = recipe
        self.folder = folder
        self.uri = uri or f"sqlite:///{(folder.parent / 'mlflow.db').resolve()}"
        self.run = ""
        self.client: MlflowClient | None = None
        self.is_lost = False

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:
        """Open the run, or the one that a kill broke off; later phases find it open."""
        if state.is_world_process_zero and self.client is None and not self.is_lost:
            self._try(self._open)

    def on_log(self, args: TrainingArguments, state: TrainerState, *_: Any, logs: Mapping[str, Any], **__: Any) -> None:
        """Losses, rates and validation figures, by step; those of a second phase have its name before theirs."""
        phase = Path(args.output_dir).parent.name
        prefix = "" if phase == "phase-1" else f"{phase}/"
        figures = {f"{prefix}{name}": value for name, value in logs.items()} | _system_figures()
        if (client := self.client) is not None:
            self._try(lambda: _log(client, self.run, figures, state.global_step))

    def end(self, status: str) -> None:
        """Close the run."""
        if (client := self.client) is not None:
            self._try(lambda: client.set_terminated(self.run, status))

    def _try(self, action: Callable[[], object]) -> None:
        """Do something to the store; after the first failure nothing more is tried."""
        try:
            _reach(action)
        except Unreachable as problem:
            self.client, self.is_lost = None, True
            _warn(problem)

    def _open(self) -> None:
        client = _client(self.uri)
        self.run = _known_run(client, self.folder, self.uri) or self._new_run(client)
        (self.folder / RECORD).write_text(json.dumps({"uri": _without_password(self.uri), "run": self.run}) + "\n")
        self.client = client

    def _new_run(self, client: "MlflowClient") -> str:
        from mlflow.entities import Param

        described = dataset.describe(self.folder / "dataset")
        tags = {f"dataset.{name}": str(described[name]) for name in ("name", "version", "digest")}
        experiment = _experiment(client, self.recipe.name, self.uri)
        run: str = client.create_run(experiment, tags=tags, run_name=self.folder.name).info.run_id
        parameters = [Param(name, str(value)[:500]) for name, value in parameters_of(self.recipe).items()]
        for start in range(0, len(parameters), MAX_PARAMETERS):
            client.log_batch(run, params=parameters[start : start + MAX_PARAMETERS])
        client.log_inputs(run, [_dataset_input(described)])
        if Path(self.recipe.file).is_file():
            client.log_artifact(run, self.recipe.file)
        return run


def parameters_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's knobs under dotted names, such as `train.learning_rate`."""
    found = {name: value for name, value in knobs(recipe).items() if name not in TOLD_ELSEWHERE}
    return dict(_flat(found)) | {"sources": ", ".join(source.name for source in recipe.sources)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _without_password(uri: str) -> str:
    """A store's address as a file may hold it."""
    return re.sub(r"://[^/@]*@", "://", uri)


def _client(uri: str) -> "MlflowClient":
    # One on SageMaker is named by its ARN.
    if uri.startswith("file:") or not ("://" in uri or uri.startswith("arn:")):
        raise Unreachable(f"{uri!r} is a folder, which MLflow no longer keeps runs in; use sqlite:///PATH or a server")
    # Read by MLflow when it is imported: it reports to its maker unless told not to, and waits minutes for a server.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    # A new store tells each of its migrations.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _experiment(client: "MlflowClient", name: str, uri: str) -> str:
    """The recipe's experiment; in a file of ours, its files lie in `mlflow-artifacts` beside it."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        found: str = known.experiment_id
        return found
    beside = Path(uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts" / name
    # MLflow's page shows an experiment of unknown kind as one of chats.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    made: str = client.create_experiment(name, str(beside) if uri.startswith("sqlite:") else None, kind)
    return made


def _known_run(client: "MlflowClient", folder: Path, uri: str) -> str | None:
    """The MLflow run that this training began, set to running again."""
    if not (folder / RECORD).is_file():
        return None
    noted: dict[str, str] = json.loads((folder / RECORD).read_text())
    if noted["uri"] != _without_password(uri):
        return None
    client.set_terminated(noted["run"], "RUNNING")
    return noted["run"]


def _dataset_input(described: Mapping[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made = Dataset(
        name=str(described["name"]),
        digest=str(described["digest"])[:36],
        source_type="local",
        source=json.dumps({"uri": "dataset"}),
        profile=json.dumps({"rows": described.get("rows", {})}),
    )
    return DatasetInput(made, [InputTag("mlflow.data.context", "training")])


def _log(client: "MlflowClient", run: str, figures: Mapping[str, Any], step: int) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = {name: float(value) for name, value in figures.items() if isinstance(value, (int, float))}
    client.log_batch(run, [Metric(name, value, now, step) for name, value in numbers.items() if not math.isnan(value)])


def _system_figures() -> dict[str, float]:
    """The machine as it is now, under the names that MLflow's own page shows as system metrics."""
    try:
        import psutil
    except ImportError:
        return {}
    memory = psutil.virtual_memory()
    found = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
    }
    return found | _gpu_figures()


def _gpu_figures() -> dict[str, float]:
    import torch

    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {"system/gpu_0_memory_usage_megabytes": (total - free) / 1e6}


def _reach(action: Callable[[], object]) -> None:
    """Do it, or raise Unreachable with the kind of the error: its message may name hosts and passwords."""
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise Unreachable(f"{error.name} is not installed") from None
    try:
        action()
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise Unreachable(f"its store cannot be reached ({type(error).__name__})") from None


def _warn(problem: Unreachable) -> None:
    logger.warning("MLflow is left out: %s", problem)
