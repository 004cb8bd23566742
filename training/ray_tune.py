"""Ray Tune: the trials of `training.tune`'s own search, several at a time, wherever the cluster has room."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import ray.tune
from optuna.trial import TrialState
from ray.tune.search import Searcher
from transformers import TrainerCallback, TrainingArguments

from training.config import Recipe, RecipeError
from training.ray_machines import Share, require_shared, share
from training.ray_train import NOTES, cause_of
from training.space import SPACE, SearchSpace
from training.train import train
from training.tune import Search, Tuned, begin, conclude, trial_recipe

FIGURE = "validation"


@dataclass(frozen=True)
class Work:
    """What every trial is told."""

    recipe: Recipe
    dataset_folder: Path
    output: Path


class StudySearch(Searcher):  # type: ignore[misc]  # Ray is not where the types are checked
    """Asks the study what to try, and tells it what was found: Ray only runs the trials.

    Ray's own OptunaSearch keeps no pruner, and takes a trial that was stopped for one that was finished.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(metric=FIGURE, mode="max")
        self.search = search
        self.trials: dict[str, optuna.Trial] = {}
        self.lagging: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Draw the knobs of the next trial."""
        trial = self.trials[trial_id] = self.search.study.ask()
        return {"number": trial.number, "knobs": self.search.space.suggest(trial)}

    def lags(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Note a validation figure, and say whether the trial lags behind the others: the rule of `training.tune`."""
        trial = self.trials[trial_id]
        if not result["done"]:
            trial.report(result[FIGURE], result["training_iteration"])
            if trial.should_prune():
                self.lagging.add(trial_id)
        return trial_id in self.lagging

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended."""
        trial = self.trials.pop(trial_id)
        if error or not result:
            self.search.study.tell(trial, state=TrialState.FAIL)
        elif trial_id in self.lagging:
            self.search.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.search.study.tell(trial, result[FIGURE])

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's own file remembers every trial."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""


class _Lagging(ray.tune.Stopper):  # type: ignore[misc]  # Ray is not where the types are checked
    """Ends trials that lag behind."""

    def __init__(self, search: StudySearch) -> None:
        self.search = search

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return self.search.lags(trial_id, result)

    def stop_all(self) -> bool:
        return False


class _Report(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Tells Ray each validation figure: the best so far where training may stop early, and else the last."""

    def __init__(self, keeps_best: bool) -> None:
        self.keeps_best = keeps_best
        self.best = float("-inf")

    def on_evaluate(self, args: TrainingArguments, *_: Any, metrics: Mapping[str, float], **__: Any) -> None:
        figure = metrics[f"eval_{args.metric_for_best_model}"]
        self.best = max(self.best, figure)
        ray.tune.report({FIGURE: self.best if self.keeps_best else figure})


def tune(
    recipe: Recipe,
    dataset_folder: Path,
    output: Path,
    trials: int,
    workers: int,
    failures: int,
    space: SearchSpace = SPACE,
) -> Tuned:
    """Do what `training.tune.tune` does with the same study and the same files, `workers` trials at a time.

    A search that was begun on a laptop goes on here, and the other way round. A trial whose worker was lost starts
    again, `failures` times at most; one that fails for good is a warning. Needs a cluster. Raises RecipeError when it
    is too small, a machine does not see the folders, or no trial has ended.
    """
    each = share(workers)
    search = begin(recipe, dataset_folder, output, trials, space)
    for folder in (dataset_folder, output):
        require_shared(folder)
    if search.missing > 0:
        _run(Work(recipe, dataset_folder, output), search, each, workers, failures)
    return conclude(search, recipe, output)


def tell_failures(study: optuna.Study, causes: Sequence[str]) -> None:
    """Warn of trials that failed for good. Raises RecipeError where the study has no other to choose from."""
    if causes and not study.get_trials(states=(TrialState.COMPLETE,)):
        raise RecipeError(f"no trial was finished: {causes[0]}")
    for cause in causes:
        print(f"warning: a trial failed: {cause}", flush=True)


def _run(work: Work, search: Search, each: Share, workers: int, failures: int) -> None:
    asked = StudySearch(search)
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(ray.tune.with_parameters(_attempt, work=work), {"cpu": each.cores, "gpu": each.gpus}),
        tune_config=ray.tune.TuneConfig(
            search_alg=asked, num_samples=search.missing, max_concurrent_trials=workers, metric=FIGURE, mode="max"
        ),
        run_config=ray.tune.RunConfig(
            name=NOTES,
            storage_path=str(work.output),
            stop=_Lagging(asked),
            failure_config=ray.tune.FailureConfig(max_failures=failures),
            verbose=0,
        ),
    )
    try:
        found = tuner.fit()
    finally:
        for folder in (work.output / NOTES, *work.output.glob("trial-*")):
            shutil.rmtree(folder, ignore_errors=True)
    tell_failures(search.study, [cause_of(error) for error in found.errors])


def _attempt(drawn: Mapping[str, Any], work: Work) -> None:
    recipe = trial_recipe(work.recipe, drawn["knobs"])
    folder = work.output / f"trial-{drawn['number']}"
    train(recipe, work.dataset_folder, folder, [_Report(recipe.train.patience > 0)])
