"""The search space of hyperparameters: one object that Optuna draws from here and SageMaker's tuner in the cloud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

Knob = float | int | str


class Trial(Protocol):
    """What we ask of an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw a whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Knob]) -> Any:
        """Draw one of a few."""
        ...


@dataclass(frozen=True)
class FloatRange:
    """Numbers from `low` to `high`, drawn evenly or evenly over their logarithms."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    options: tuple[Knob, ...]


Range = FloatRange | IntRange | Choice


@dataclass(frozen=True)
class SearchSpace:
    """Ranges by the name of the knob in a recipe's [train]."""

    ranges: Mapping[str, Range]

    def suggest(self, trial: Trial) -> dict[str, Knob]:
        """Draw a value for each knob: what to change in `TrainKnobs`."""
        return {name: _suggest(trial, name, values) for name, values in self.ranges.items()}

    def holding(self, knobs: Mapping[str, Knob]) -> "SearchSpace":
        """This space, widened where it must be to hold these values."""
        return SearchSpace({name: _widened(values, knobs[name]) for name, values in self.ranges.items()})

    def read(self, hyperparameters: Mapping[str, str]) -> dict[str, Knob]:
        """The knobs among a training job's hyperparameters, which SageMaker hands over as strings."""
        return {name: _read(self.ranges[name], value) for name, value in hyperparameters.items() if name in self.ranges}

    def sagemaker_ranges(self) -> dict[str, list[dict[str, Any]]]:
        """`ParameterRanges` of SageMaker's CreateHyperParameterTuningJob, whose values are all strings."""
        found: dict[str, list[dict[str, Any]]] = {
            "ContinuousParameterRanges": [],
            "IntegerParameterRanges": [],
            "CategoricalParameterRanges": [],
        }
        for name, values in self.ranges.items():
            kind, described = _sagemaker_range(values)
            found[kind].append({"Name": name, **described})
        return found


SPACE = SearchSpace(
    {
        "learning_rate": FloatRange(1e-5, 3e-4, log=True),
        # Powers of two: between them nothing is gained, and a batch that fits is easily named.
        "batch_size": Choice((16, 32, 64)),
        "max_tokens": Choice((64, 96, 128)),
        "weight_decay": FloatRange(0.0, 0.1),
        "class_weight_power": FloatRange(0.0, 1.0),
        "max_class_weight": FloatRange(1.0, 20.0, log=True),
    }
)
"""What is searched unless told otherwise: around the knobs that every recipe of ours began with."""


def _suggest(trial: Trial, name: str, values: Range) -> Knob:
    if isinstance(values, Choice):
        chosen: Knob = trial.suggest_categorical(name, list(values.options))
        return chosen
    if isinstance(values, IntRange):
        return trial.suggest_int(name, values.low, values.high, log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)


def _widened(values: Range, knob: Knob) -> Range:
    if isinstance(values, Choice):
        return values if knob in values.options else Choice((*values.options, knob))
    if isinstance(values, IntRange):
        return replace(values, low=min(values.low, int(knob)), high=max(values.high, int(knob)))
    return replace(values, low=min(values.low, float(knob)), high=max(values.high, float(knob)))


def _read(values: Range, value: str) -> Knob:
    if isinstance(values, Choice):
        return next(option for option in values.options if str(option) == value)
    return int(value) if isinstance(values, IntRange) else float(value)


def _sagemaker_range(values: Range) -> tuple[str, dict[str, Any]]:
    if isinstance(values, Choice):
        return "CategoricalParameterRanges", {"Values": [str(option) for option in values.options]}
    kind = "IntegerParameterRanges" if isinstance(values, IntRange) else "ContinuousParameterRanges"
    scaling = "Logarithmic" if values.log else "Linear"
    return kind, {"MinValue": str(values.low), "MaxValue": str(values.high), "ScalingType": scaling}
