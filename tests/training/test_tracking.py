"""Tracking: a training is an MLflow run, and one without a store is trained all the same."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import TrainerCallback

from tests.training.tiny import encoder, tiny_recipe, uneven_rows, write_dataset
from training.config import Recipe
from training.profiling import profiler
from training.tracking import _without_password, record, tracked
from training.train import train

# MLflow's own tables use a loader that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with a dataset, and the tiny encoder beside it."""
    torch.set_num_threads(1)
    encoder(tmp_path / "encoder")
    write_dataset(
        tmp_path / "made" / "dataset", {"train": uneven_rows(32), "validation": uneven_rows(24, "validation")}
    )
    return tmp_path / "made"


class Interrupt(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Ctrl-C after the first step."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Press it."""
        raise KeyboardInterrupt


def fit(recipe: Recipe, folder: Path, uri: str | None = None, more: Sequence[TrainerCallback] = ()) -> Path:
    """Train as the command does."""
    with tracked(recipe, folder, uri) as callbacks:
        return train(recipe, folder / "dataset", folder, [*callbacks, *more])


def test_a_training_is_a_run_with_its_knobs_figures_dataset_and_files(folder: Path) -> None:
    from mlflow import MlflowClient

    recipe = tiny_recipe(folder.parent / "encoder", batch_size=4, epochs=2, evaluations_per_epoch=2)
    (folder / "metrics.json").write_text("{}")
    fit(recipe, folder)
    record(folder, {"test/insult/roc_auc": 0.75}, [folder / "metrics.json"])

    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("made")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("made", "FINISHED")
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.params["categories"] == "insult, news"
    assert (
        run.data.tags["dataset.digest"]
        == run.inputs.dataset_inputs[0].dataset.digest + run.data.tags["dataset.digest"][36:]
    )
    history = client.get_metric_history(run.info.run_id, "eval_loss")
    assert [point.step for point in history] == [4, 8, 12, 16]
    assert run.data.metrics["test/insult/roc_auc"] == 0.75
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["metrics.json"]
    assert (folder.parent / "mlflow-artifacts").is_dir()


def test_a_run_that_was_broken_off_goes_on_as_the_same_run(folder: Path) -> None:
    from mlflow import MlflowClient

    recipe = tiny_recipe(folder.parent / "encoder")
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, folder, more=[Interrupt()])
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    experiments = [client.get_experiment_by_name("made").experiment_id]
    assert client.search_runs(experiments)[0].info.status == "KILLED"
    fit(recipe, folder)
    (run,) = client.search_runs(experiments)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:////dev/null/mlflow.db", "cannot be reached"),
        ("file:///tmp/mlruns", "use sqlite:///PATH or a server"),
        ("http://127.0.0.1:9", "cannot be reached"),
        # The training image has the plugin that knows these.
        ("arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/m", "cannot be reached (Unsupported"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_warning(
    folder: Path, uri: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="training.tracking"):
        assert (fit(tiny_recipe(folder.parent / "encoder"), folder, uri) / "model.safetensors").is_file()
    warnings = [entry.getMessage() for entry in caplog.records if entry.name == "training.tracking"]
    assert len(warnings) == 1
    assert reason in warnings[0]


def test_a_password_in_the_address_of_a_store_is_not_written_down() -> None:
    assert _without_password("postgresql://me:secret@host:5432/runs") == "postgresql://host:5432/runs"
    assert _without_password("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"


def test_what_was_never_tracked_is_not_recorded(folder: Path) -> None:
    record(folder, {"roc_auc": 1.0}, [])
    assert not (folder.parent / "mlflow.db").exists()


def test_a_profile_is_a_trace_and_a_table(folder: Path) -> None:
    recipe = tiny_recipe(folder.parent / "encoder", batch_size=4)
    train(recipe, folder / "dataset", folder, [profiler(folder / "profile")])
    trace = msgspec.json.decode((folder / "profile" / "phase-1-0.trace.json").read_bytes())
    assert any(event.get("name") == "aten::addmm" for event in trace["traceEvents"])
    assert "aten::addmm" in (folder / "profile" / "phase-1-0.txt").read_text()
