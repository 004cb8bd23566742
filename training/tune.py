"""Search for better knobs: Optuna over the search space, by the figure on validation, never on the test split."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from transformers import TrainerCallback, TrainingArguments

from training import dataset
from training.config import Recipe, RecipeError
from training.space import SPACE, Knob, SearchSpace
from training.train import train

EVALUATIONS_PER_EPOCH = 4
"""How often a trial may be found to lag: a median of two evaluations would prune by noise or too late."""

DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Attempt:
    """One trial: its knobs, how it ended, and the validation figure that it ended with."""

    number: int
    state: str
    figure: float | None
    knobs: Mapping[str, Knob]


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    best: Attempt
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Search:
    """A search under way: what remembers its trials, what they draw from, and how many are still to be done."""

    study: optuna.Study
    space: SearchSpace
    missing: int


class _Report(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Tells a trial each validation figure, and ends it where it lags behind the others."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.figures: list[float] = []

    def on_evaluate(self, args: TrainingArguments, *_: Any, metrics: Mapping[str, float], **__: Any) -> None:
        self.figures.append(metrics[f"eval_{args.metric_for_best_model}"])
        # By the evaluation's number: steps mean other shares of an epoch with another batch size.
        self.trial.report(self.figures[-1], len(self.figures))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def tune(
    recipe: Recipe,
    dataset_folder: Path,
    output: Path,
    trials: int,
    timeout_seconds: float | None = None,
    space: SearchSpace = SPACE,
) -> Tuned:
    """Train until `trials` trials are done, and return the best; a search that was killed goes on where it was.

    The first trial has the recipe's own knobs. `output` gets `tune.db` (the study), `tune.json` and `tune.toml`, whose
    lines belong under the recipe's [train]. A trial trains the first phase only. Its model is not kept.
    Raises RecipeError when time was up before the first trial had ended.
    """
    search = begin(recipe, dataset_folder, output, trials, space)
    if search.missing > 0:
        search.study.optimize(
            lambda trial: _attempt(recipe, dataset_folder, output, search.space, trial),
            n_trials=search.missing,
            timeout=timeout_seconds,
        )
    return conclude(search, recipe, output)


def begin(recipe: Recipe, dataset_folder: Path, output: Path, trials: int, space: SearchSpace = SPACE) -> Search:
    """Begin a search in the folder `output`, or go on with the one that it holds."""
    output.mkdir(parents=True, exist_ok=True)
    own = {name: getattr(recipe.train, name) for name in space.ranges}
    space = space.holding(own)
    study = _study(recipe, dataset_folder, output, space)
    _tidy(study, output)
    if not study.trials:
        study.enqueue_trial(own)
    return Search(study, space, trials - sum(trial.state in DONE for trial in study.trials))


def conclude(search: Search, recipe: Recipe, output: Path) -> Tuned:
    """Write the best knobs that a search has found so far. Raises RecipeError when no trial has ended."""
    return _write(_tuned(search.study, recipe), output)


def trial_recipe(recipe: Recipe, changes: Mapping[str, Knob]) -> Recipe:
    """The recipe with these knobs, one phase, and evaluations that a pruner can go by."""
    often = max(recipe.train.evaluations_per_epoch, EVALUATIONS_PER_EPOCH)
    # A trial is not resumed, so it needs no checkpoints.
    own = {"evaluations_per_epoch": often, "checkpoint_steps": 1_000_000}
    return msgspec.structs.replace(recipe, train=msgspec.structs.replace(recipe.train, **own, **changes), blend=None)


def attempts_table(tuned: Tuned) -> Table:
    """The trials, the best first."""
    names = list(tuned.best.knobs)
    table = Table("trial", "validation", "state", *(name.replace("_", " ") for name in names))
    for each in sorted(tuned.attempts, key=lambda attempt: (attempt.state != "complete", -(attempt.figure or 0.0))):
        figure = "" if each.figure is None else f"{each.figure:.4f}"
        table.add_row(
            str(each.number),
            figure,
            each.state,
            *(_shown(each.knobs[name]) if name in each.knobs else "" for name in names),
        )
    return table


def _study(recipe: Recipe, dataset_folder: Path, output: Path, space: SearchSpace) -> optuna.Study:
    """The study of this recipe, dataset and space: figures of another would not compare."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shape = json.dumps([repr(space), repr(recipe.train), repr(recipe.augmentation), recipe.encoder.name])
    version = dataset.describe(dataset_folder)["digest"][:12]
    name = f"{recipe.name}-{version}-{hashlib.sha256(shape.encode()).hexdigest()[:8]}"
    study = optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{output / 'tune.db'}",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        load_if_exists=True,
    )
    # A sampler that starts again with the same seed would draw the same trials again.
    study.sampler = optuna.samplers.TPESampler(seed=recipe.train.seed + len(study.trials))
    return study


def _tidy(study: optuna.Study, output: Path) -> None:
    """Mark the trials that a kill left running as failed, queue them again, and remove what they had written."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
        shutil.rmtree(output / f"trial-{trial.number}", ignore_errors=True)


def _attempt(recipe: Recipe, dataset_folder: Path, output: Path, space: SearchSpace, trial: optuna.Trial) -> float:
    report = _Report(trial)
    folder = output / f"trial-{trial.number}"
    try:
        train(trial_recipe(recipe, space.suggest(trial)), dataset_folder, folder, [report])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return max(report.figures) if recipe.train.patience else report.figures[-1]


def _tuned(study: optuna.Study, recipe: Recipe) -> Tuned:
    found = [trial for trial in study.trials if trial.state in (*DONE, TrialState.FAIL) and trial.params]
    complete = [trial for trial in found if trial.state is TrialState.COMPLETE]
    if not complete:
        raise RecipeError(f"{recipe.file}: no trial was finished in time; give more time")
    best = max(complete, key=lambda trial: trial.value or 0.0)
    return Tuned(_frozen(best), tuple(_frozen(trial) for trial in found))


def _frozen(trial: FrozenTrial) -> Attempt:
    reported = list(trial.intermediate_values.values())
    figure = trial.value if trial.value is not None else (reported[-1] if reported else None)
    return Attempt(trial.number, trial.state.name.lower(), figure, trial.params)


def _write(tuned: Tuned, output: Path) -> Tuned:
    lines = [f"# validation figure {tuned.best.figure:.4f}, the best of {len(tuned.attempts)} trials", "[train]"]
    lines += [f"{name} = {_shown(value)}" for name, value in tuned.best.knobs.items()]
    (output / "tune.toml").write_text("\n".join(lines) + "\n")
    (output / "tune.json").write_text(json.dumps(msgspec.to_builtins(tuned), indent=1) + "\n")
    return tuned


def _shown(value: Knob) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
