"""The search space: one object, drawn from here and by SageMaker's tuner."""

from collections.abc import Sequence
from typing import Any

from training.config import TrainKnobs
from training.space import SPACE, Choice, FloatRange, IntRange, SearchSpace

SMALL = SearchSpace(
    {
        "learning_rate": FloatRange(1e-5, 1e-3, log=True),
        "epochs": IntRange(1, 4),
        "batch_size": Choice((16, 32)),
        "weight_decay": FloatRange(0.0, 0.1),
    }
)


class Lowest:
    """A trial that always draws the lowest value, or the first."""

    def suggest_float(self, _: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""
        assert low < high
        assert not log or low > 0
        return low

    def suggest_int(self, _: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""
        assert low < high
        assert not log or low > 0
        return low

    def suggest_categorical(self, _: str, choices: Sequence[Any]) -> Any:
        """One of a few."""
        return choices[0]


def test_a_trial_draws_each_knob_from_its_range() -> None:
    drawn = SMALL.suggest(Lowest())
    assert drawn == {"learning_rate": 1e-5, "epochs": 1, "batch_size": 16, "weight_decay": 0.0}


def test_sagemaker_gets_the_same_ranges_as_strings() -> None:
    assert SMALL.sagemaker_ranges() == {
        "ContinuousParameterRanges": [
            {"Name": "learning_rate", "MinValue": "1e-05", "MaxValue": "0.001", "ScalingType": "Logarithmic"},
            {"Name": "weight_decay", "MinValue": "0.0", "MaxValue": "0.1", "ScalingType": "Linear"},
        ],
        "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "4", "ScalingType": "Linear"}],
        "CategoricalParameterRanges": [{"Name": "batch_size", "Values": ["16", "32"]}],
    }


def test_what_a_job_was_given_as_strings_is_read_back_and_foreign_names_are_left() -> None:
    given = {"learning_rate": "3e-05", "epochs": "2", "batch_size": "32", "recipe": "starter"}
    assert SMALL.read(given) == {"learning_rate": 3e-05, "epochs": 2, "batch_size": 32}


def test_a_space_is_widened_to_hold_a_recipes_own_knobs() -> None:
    own = {"learning_rate": 2e-3, "epochs": 2, "batch_size": 24, "weight_decay": 0.01}
    assert SMALL.holding(own).ranges == {
        "learning_rate": FloatRange(1e-5, 2e-3, log=True),
        "epochs": IntRange(1, 4),
        "batch_size": Choice((16, 32, 24)),
        "weight_decay": FloatRange(0.0, 0.1),
    }


def test_all_that_is_searched_are_knobs_of_a_recipe() -> None:
    assert set(SPACE.ranges) <= set(TrainKnobs.__struct_fields__)
    TrainKnobs(**SPACE.suggest(Lowest()))  # type: ignore[arg-type]  # of as many kinds as there are knobs
