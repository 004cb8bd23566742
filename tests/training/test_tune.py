"""Tuning: the recipe's own knobs come first, a broken search goes on, and the test split is never read."""

import json
import tomllib
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState, create_trial

from tests.training.tiny import encoder, tiny_recipe, uneven_rows, write_dataset
from training.config import RecipeError, TrainKnobs
from training.space import Choice, FloatRange, SearchSpace
from training.tune import attempts_table, tune

SPACE = SearchSpace({"learning_rate": FloatRange(1e-4, 1e-2, log=True), "batch_size": Choice((8, 16))})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny encoder, and a dataset without a test split."""
    torch.set_num_threads(1)
    encoder(tmp_path / "encoder")
    data = write_dataset(tmp_path / "dataset", {"train": uneven_rows(32), "validation": uneven_rows(24, "validation")})
    (data / "test.jsonl").unlink()
    return tmp_path


def test_a_search_begins_with_the_recipes_own_knobs_and_goes_on_where_it_was_broken_off(folder: Path) -> None:
    recipe, data, output = tiny_recipe(folder / "encoder"), folder / "dataset", folder / "tune"
    own = {"learning_rate": 1e-3, "batch_size": 16}
    first = tune(recipe, data, output, 1, space=SPACE)
    assert [dict(attempt.knobs) for attempt in first.attempts] == [own]

    study = _study(output)
    broken = study.ask({"learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)})
    (output / f"trial-{broken.number}").mkdir()
    _add_four_better(study)
    found = tune(recipe, data, output, 6, space=SPACE)

    states = {attempt.number: attempt.state for attempt in found.attempts}
    assert states == {0: "complete", 1: "fail", 2: "complete", 3: "complete", 4: "complete", 5: "complete", 6: "pruned"}
    assert found.attempts[6].knobs["learning_rate"] == broken.params["learning_rate"]
    assert found.best.figure == 0.99
    assert tomllib.loads((output / "tune.toml").read_text()) == {"train": {"learning_rate": 2e-3, "batch_size": 8}}
    assert json.loads((output / "tune.json").read_text())["best"]["knobs"] == dict(found.best.knobs)
    assert list(output.glob("trial-*")) == []
    assert attempts_table(found).row_count == 7


def test_a_search_that_ran_out_of_time_says_so(folder: Path) -> None:
    with pytest.raises(RecipeError, match="no trial was finished"):
        tune(tiny_recipe(folder / "encoder"), folder / "dataset", folder / "tune", 0, space=SPACE)


def test_all_that_a_search_writes_are_knobs(folder: Path) -> None:
    found = tune(tiny_recipe(folder / "encoder"), folder / "dataset", folder / "tune", 1)
    TrainKnobs(**found.best.knobs)  # type: ignore[arg-type]  # of as many kinds as there are knobs


def _study(output: Path) -> optuna.Study:
    storage = f"sqlite:///{output / 'tune.db'}"
    return optuna.load_study(study_name=optuna.get_all_study_names(storage)[0], storage=storage)


def _add_four_better(study: optuna.Study) -> None:
    """Trials beside which whatever is trained next lags from its second evaluation on."""
    done = study.trials[0]
    knobs = {"learning_rate": 2e-3, "batch_size": 8}
    for _ in range(4):
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=knobs,
                distributions=done.distributions,
                value=0.99,
                intermediate_values={1: 1.5, 2: 1.5, 3: 1.5},
            )
        )
