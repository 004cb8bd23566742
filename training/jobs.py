"""How a training job on SageMaker looks: what a command, a search and the pipeline have in common."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from moderato.artifact import Problem
from training.config import Recipe
from training.space import SPACE, SearchSpace

INSTANCE_TYPE = "ml.g5.xlarge"
"""One A10G with 24 GB, which knows bf16, in nearly every region; the recipes' encoders need a twentieth of it."""

EVALUATIONS_PER_EPOCH = 4
"""In a search, as on a laptop: SageMaker stops a trial early by the figures that it has told so far."""

LONGEST_HOURS = 28 * 24
"""SageMaker runs no job longer."""

LONGEST_WAIT_HOURS = (2**31 - 1) // 3600
"""AWS names no maximum for the waiting; its seconds are an integer of 32 bits."""

_FIGURES = {
    Problem.MULTI_LABEL: ("eval_mean_roc_auc",),
    Problem.BINARY: ("eval_mean_roc_auc",),
    Problem.SINGLE_LABEL: ("eval_macro_f1", "eval_accuracy"),
}
_LOSSES = ("loss", "learning_rate", "eval_loss", "eval_exact_loss")


class Refused(Exception):
    """What was asked cannot be done; the message is one sentence for the person who asked."""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """Where the job's machines stand: in a VPC of one's own, or cut off from every network."""

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    is_isolated: bool = False
    """No call leaves the container; SageMaker still fetches its data and brings its results away."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A training job. In a pipeline, a field of type Any may be one of the pipeline's variables."""

    image: Any
    """The training image in ECR."""
    role: str
    """ARN of the role that SageMaker works under."""
    output: Any
    """S3 prefix under which SageMaker makes a folder for each job."""
    channels: Mapping[str, Any]
    """S3 URIs of what the container finds under input/data, by the channel's name."""
    hyperparameters: Mapping[str, Any]
    """What the launcher in the image reads: recipe, smoke, model_version and knobs."""
    checkpoints: Any = None
    """S3 prefix that belongs to one run alone: what lies there is continued."""
    instance_type: Any = INSTANCE_TYPE
    instances: int = 1
    volume_gigabytes: int = 50
    spot: bool = False
    max_hours: float = 4
    max_wait_hours: float | None = None
    """For spot: hours until it must have ended, waiting included; twice `max_hours` where it is not said."""
    volume_key: str | None = None
    output_key: str | None = None
    is_traffic_encrypted: bool | None = None
    """Between the instances; where it is not said, as soon as there are several."""
    network: Network = Network()
    tracking_server: str | None = None
    """ARN of an MLflow tracking server."""
    tags: Mapping[str, str] = {}

    @property
    def max_seconds(self) -> int:
        """How long it may train."""
        return round(self.max_hours * 3600)

    @property
    def max_wait_seconds(self) -> int | None:
        """How long it may take with its waiting, if it is on spot."""
        if not self.spot:
            return None
        return round((2 * self.max_hours if self.max_wait_hours is None else self.max_wait_hours) * 3600)

    @property
    def encrypts_traffic(self) -> bool:
        """Whether the instances speak to each other in secret."""
        return self.instances > 1 if self.is_traffic_encrypted is None else self.is_traffic_encrypted

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        return {} if self.tracking_server is None else {"MLFLOW_TRACKING_URI": self.tracking_server}


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A hyperparameter tuning job: how a job's knobs are searched."""

    objective: str
    """The figure on validation that is to be as high as it can."""
    space: SearchSpace
    trials: int = 20
    parallel: int = 2
    parent: str | None = None
    """An earlier tuning job whose trials this one begins with."""


def metrics_of(problem: Problem) -> dict[str, str]:
    """What SageMaker reads off the log, by name: a pattern with one group.

    The Trainer prints a Python dict, in which newer versions put the numbers into quotes.
    """
    return {name: rf"'{name}': '?([0-9.eE+-]+)" for name in (*_FIGURES[problem], *_LOSSES)}


def objective_of(problem: Problem) -> str:
    """The figure that a search makes as high as it can: the one that chooses a recipe's best checkpoint."""
    return _FIGURES[problem][0]


def search_of(recipe: Recipe, trials: int, parallel: int, parent: str | None = None) -> Search:
    """The search of a recipe: the space that Optuna draws from on a laptop, with the recipe's own values in it."""
    own = {name: getattr(recipe.train, name) for name in SPACE.ranges}
    space = SPACE.holding(own)
    return Search(objective=objective_of(recipe.problem), space=space, trials=trials, parallel=parallel, parent=parent)


def static_knobs(recipe: Recipe, search: Search) -> dict[str, str]:
    """The recipe's own knobs that are not searched, as hyperparameters: what a trial was is told by its job alone."""
    knobs = {**msgspec.to_builtins(recipe.train), "evaluations_per_epoch": EVALUATIONS_PER_EPOCH}
    held = {name: value for name, value in knobs.items() if name not in search.space.ranges and value is not None}
    return {name: as_text(value) for name, value in held.items()}


def as_text(value: object) -> str:
    """A knob as a hyperparameter, which is always a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def name_run(recipe: str) -> str:
    """A new name for a run, its job, its results and its checkpoints: at most 32 characters, as SageMaker has it."""
    stem = re.sub(r"[^a-zA-Z0-9]+", "-", recipe).strip("-")[:23].rstrip("-")
    return f"{stem}-{secrets.token_hex(4)}"
