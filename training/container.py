"""What SageMaker lays before a training container under `/opt/ml`, read and checked before anything costs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from training.config import Recipe, TrainKnobs, load_recipe

CODE = Path(__file__).parents[1]

DEFAULT_RECIPE = "starter-next"
CHANNELS = ("dataset", "champion", "sources", "encoder")
HYPERPARAMETERS = ("recipe", "smoke", "model_version")
"""Besides these, every knob of a recipe's [train] is one, by its name."""

THEIRS = ("sagemaker_", "_tuning")
"""How names begin of hyperparameters that SageMaker and its SDK add for themselves."""
THEIR_CHANNELS = ("code", "sm_drivers")
"""Channels that the SDK adds for scripts of its own, which an image with an entry point has no use for."""


class JobError(ValueError):
    """What was asked of the container cannot be done; the message names what is wrong and what would be right."""


@dataclass(frozen=True)
class Container:
    """The folders of one host, as SageMaker lays them out."""

    root: Path

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """What is kept in S3 while the job runs, and is there again when it is started again."""
        return self.root / "checkpoints"

    @property
    def data(self) -> Path:
        """What becomes output.tar.gz."""
        return self.root / "output" / "data"

    @property
    def failure(self) -> Path:
        """Why the job failed."""
        return self.root / "output" / "failure"

    def channel(self, name: str) -> Path:
        """Where the files of an input are."""
        return self.root / "input" / "data" / name

    def config(self, name: str) -> dict[str, Any]:
        """Return what a file of `input/config` says; one that is not there says nothing. Raises JobError."""
        path = self.root / "input" / "config" / f"{name}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise JobError(f"{path} is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise JobError(f"{path} is no JSON object")
        return found


@dataclass(frozen=True)
class Hosts:
    """The machines of a job, in the order that all of them know."""

    current: str = "localhost"
    names: tuple[str, ...] = ("localhost",)
    interface: str | None = None
    """The network interface by which they reach one another."""

    @property
    def number(self) -> int:
        """Which of them this one is, from 0."""
        return self.names.index(self.current)


@dataclass(frozen=True)
class Job:
    """What is to be trained, from what and where."""

    recipe: Recipe
    smoke: bool = False
    model_version: str | None = None
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """What is laid over the recipe's [train]."""
    channels: Mapping[str, Path] = field(default_factory=dict)
    hosts: Hosts = Hosts()


def needs_hub(recipe: Recipe, channels: Iterable[str]) -> bool:
    """Whether a job would ask a model hub: no package, folder, model or channel carries the encoder."""
    carried = recipe.encoder.package or recipe.encoder.path or recipe.encoder.model
    return not carried and not {"encoder", "champion"} & set(channels)


def read_job(container: Container) -> Job:
    """Read and check what is asked for. Raises JobError or RecipeError in one sentence."""
    given = {
        name: _text(name, value)
        for name, value in container.config("hyperparameters").items()
        if not name.startswith(THEIRS)
    }
    fields = TrainKnobs.__struct_fields__
    for name in given:
        if name not in (*HYPERPARAMETERS, *fields):
            raise JobError(
                f"unknown hyperparameter {name!r}: there are {', '.join(HYPERPARAMETERS)}, and the knobs of a "
                f"recipe's [train]: {', '.join(fields)}"
            )
    channels = _channels(container)
    if "dataset" not in channels and "sources" not in channels:
        raise JobError(
            "no channel 'dataset': give the folder of a dataset version, or the recipe's public files as 'sources'"
        )
    if "encoder" in channels and "champion" in channels:
        raise JobError("training goes on from a champion or begins with an encoder; give one of the two channels")
    return Job(
        recipe=load_recipe(_recipe_path(given.get("recipe", DEFAULT_RECIPE))),
        smoke=_switch("smoke", given.get("smoke", "false")),
        model_version=given.get("model_version"),
        knobs=_knobs({name: value for name, value in given.items() if name in fields}),
        channels=channels,
        hosts=_hosts(container.config("resourceconfig")),
    )


def _text(name: str, value: object) -> str:
    """A hyperparameter as it was meant: SageMaker hands over strings, and its SDK writes some of them as JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not (value.startswith('"') and value.endswith('"') and len(value) > 1):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        raise JobError(
            f"the hyperparameter {name} is {value!r}: what is in quotes is read as JSON, which this is not"
        ) from None


def _recipe_path(name: str) -> str | Path:
    """A recipe's name, or the path of a file: from here, or from the root of the code."""
    return CODE / name if name.endswith(".toml") and not Path(name).is_file() else name


def _switch(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise JobError(f"the hyperparameter {name} is {value!r}; it is true or false")
    return value.lower() == "true"


def _knobs(given: Mapping[str, str]) -> dict[str, Any]:
    """Numbers and switches from what SageMaker hands over as strings."""
    try:
        read = msgspec.convert(given, TrainKnobs, strict=False)
    except msgspec.ValidationError as error:
        expected, _, name = str(error).partition(" - at `$.")
        name = name.rstrip("`")
        raise JobError(f"the hyperparameter {name} is {given.get(name)!r}: {expected}") from None
    knobs = {name: getattr(read, name) for name in given}
    for name, value in knobs.items():
        if value is None:
            raise JobError(f"the hyperparameter {name} is {given[name]!r}; leave it out to take the recipe's")
    return knobs


def _channels(container: Container) -> dict[str, Path]:
    """The channels by name, each with something in it."""
    told = container.config("inputdataconfig")
    if not told:  # a tree made by hand
        told = {path.name: {} for path in sorted(container.channel("").glob("*"))}
    channels = {}
    for name, how in told.items():
        if name in THEIR_CHANNELS:
            continue
        if name not in CHANNELS:
            raise JobError(f"unknown channel {name!r}: there are {', '.join(CHANNELS)}")
        if isinstance(how, dict) and how.get("TrainingInputMode") == "Pipe":
            raise JobError(f"the channel {name!r} is a pipe; give it the input mode File or FastFile")
        folder = container.channel(name)
        if not folder.is_dir() or next(folder.iterdir(), None) is None:
            raise JobError(f"the channel {name!r} has no files; is its S3 prefix right, and does it end with a slash?")
        channels[name] = folder
    return channels


def _hosts(told: Mapping[str, Any]) -> Hosts:
    if not told:  # a tree made by hand
        return Hosts()
    try:
        hosts = msgspec.convert(
            {"current": told["current_host"], "names": told["hosts"], "interface": told.get("network_interface_name")},
            Hosts,
        )
    except (KeyError, msgspec.ValidationError):
        raise JobError("resourceconfig.json does not say current_host and hosts, as SageMaker writes it") from None
    if hosts.current not in hosts.names:
        raise JobError(f"resourceconfig.json: current_host {hosts.current!r} is none of its hosts")
    return hosts
