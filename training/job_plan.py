"""From what a person asked for to a job that has been looked at from all sides, and its start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from training import sagemaker_sdk
from training.account import Account, answers, check_region, open_account, stack_outputs
from training.config import Recipe, load_recipe
from training.earlier_jobs import check_parent, check_resumed, check_run_name
from training.job_options import pairs
from training.job_rules import check_job, knobs_of
from training.jobs import (
    INSTANCE_TYPE,
    Job,
    Network,
    Refused,
    Search,
    metrics_of,
    name_run,
    search_of,
    static_knobs,
)
from training.locations import Location, check_readable, parse
from training.preflight import check, check_image_name, check_instance_type
from training.prices import Price, ask_price

_ANY_STACK = {"TrainingRoleArn": "arn:aws:iam::000000000000:role/STACK", "BucketName": "STACK"}
"""What a stack gives, as far as it matters before it is asked. No bucket is in capitals: none is taken for it."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `train` and `tune`, by the names that they have there."""

    recipe: str
    image: str
    role: str | None = None
    output: str | None = None
    stack: str | None = None
    dataset: str | None = None
    champion: str | None = None
    sources: str | None = None
    encoder: str | None = None
    smoke: bool = False
    version: str | None = None
    knob: Sequence[str] | None = None
    trials: int | None = None
    """How many trainings a search has; None is no search."""
    parallel: int = 1
    parent: str | None = None
    instance_type: str = INSTANCE_TYPE
    instances: int = 1
    volume_gigabytes: int = 50
    spot: bool = False
    max_hours: float = 4
    max_wait_hours: float | None = None
    volume_key: str | None = None
    output_key: str | None = None
    encrypt_traffic: bool | None = None
    subnet: Sequence[str] | None = None
    security_group: Sequence[str] | None = None
    isolated: bool = False
    tracking_server: str | None = None
    tag: Sequence[str] | None = None
    resume: str | None = None


@dataclass(frozen=True)
class Launch:
    """A job that can be started, and what is to be known before."""

    account: Account
    recipe: Recipe
    run: str
    job: Job
    search: Search | None
    price: Price
    unchecked: list[str]
    """What could not be looked at, for want of a permission."""

    @property
    def summary(self) -> str:
        """What is about to begin, in half a sentence."""
        kind = "train" if self.search is None else f"search {', '.join(self.search.space.ranges)} of"
        spot = " on spot" if self.job.spot else ""
        recipe = self.job.hyperparameters["recipe"]
        return f"{kind} {recipe} with {', '.join(self.job.channels)}{spot}, to {self.job.output}"

    def request(self) -> dict[str, Any]:
        """What would be sent to SageMaker."""
        return sagemaker_sdk.request_of(self.account.session, lambda: _send(self))


def plan(session: Any, asked: Asked) -> Launch:
    """Make the job that was asked for, and look at it from all sides. Raises Refused; nothing is started or paid.

    What can be told without AWS is told first, before anybody has to be signed in.
    """
    sagemaker_sdk.require()
    recipe = _recipe(asked.recipe)
    run = check_run_name(asked.resume) if asked.resume else name_run(asked.recipe)
    knobs = knobs_of(pairs(asked.knob, "--knob"))
    search = _search(recipe, asked, knobs)

    def job_of(outputs: Mapping[str, str]) -> Job:
        job = _job(asked, run, _hyperparameters(recipe, asked, knobs, search), search, outputs)
        check_job(job, recipe, search)
        return job

    _check_here(session, job_of(_ANY_STACK if asked.stack else {}))
    account = open_account(session)
    job = job_of(stack_outputs(account, asked.stack) if asked.stack else {})
    unchecked = check(account, job)
    if asked.resume is not None:
        check_resumed(account, run, job)
    if search is not None and search.parent is not None:
        check_parent(account, search.parent, job, search)
    return Launch(account, recipe, run, job, search, ask_price(account, job.instance_type), unchecked)


def start(launch: Launch) -> str:
    """Start the job and return the name that SageMaker knows it by. Raises Refused with what AWS says against it."""
    with answers("SageMaker did not start it"):
        return _send(launch)


def _send(launch: Launch) -> str:
    metrics, job = metrics_of(launch.recipe.problem), launch.job
    session = sagemaker_sdk.open_session(launch.account.session, parse(job.output, "--output").bucket)
    if launch.search is None:
        trainer = sagemaker_sdk.trainer(job, metrics, session, launch.run)
        trainer.train(wait=False, logs=False)
        return str(trainer._latest_training_job.training_job_name)  # noqa: SLF001  # the way that the SDK's manual shows
    tuner = sagemaker_sdk.tuner(job, metrics, launch.search, session, launch.run)
    tuner.tune(job_name=launch.run, wait=False)
    return launch.run


def _check_here(session: Any, job: Job) -> None:
    """Raise Refused at what of a job's names can be told to be wrong without asking AWS."""
    check_instance_type(job.instance_type)
    check_image_name(job.image, check_region(session) if session.region_name else None)


def _job(
    asked: Asked, run: str, hyperparameters: Mapping[str, str], search: Search | None, outputs: Mapping[str, str]
) -> Job:
    place = _output(asked, outputs).under(run)
    return Job(
        image=asked.image,
        role=_role(asked, outputs),
        output=place.uri,
        channels=_channels(asked, outputs),
        hyperparameters=hyperparameters,
        # The trials of a search would share the prefix, and each go on where another was.
        checkpoints=None if search is not None else place.under("checkpoints").uri,
        instance_type=asked.instance_type,
        instances=asked.instances,
        volume_gigabytes=asked.volume_gigabytes,
        spot=asked.spot,
        max_hours=asked.max_hours,
        max_wait_hours=asked.max_wait_hours,
        volume_key=asked.volume_key,
        output_key=asked.output_key,
        is_traffic_encrypted=asked.encrypt_traffic,
        network=Network(
            subnets=tuple(asked.subnet or ()),
            security_groups=tuple(asked.security_group or ()),
            is_isolated=asked.isolated,
        ),
        tracking_server=asked.tracking_server,
        tags={"project": "moderato", "moderato:run": run, "moderato:recipe": asked.recipe, **pairs(asked.tag, "--tag")},
    )


def _recipe(name: str) -> Recipe:
    if name.endswith(".toml"):
        raise Refused(f"recipe {name!r} is a file here, which the image has not: put it into training/recipes first")
    return load_recipe(name)


def _role(asked: Asked, outputs: Mapping[str, str]) -> str:
    role = asked.role or outputs.get("TrainingRoleArn")
    if role is None and asked.stack:
        raise Refused(f"stack {asked.stack} has no training role: deploy it with Retraining=true, or give --role")
    if not role:
        raise Refused("no role: give the ARN of the one that the job works under by --role, or a --stack that has one")
    return role


def _output(asked: Asked, outputs: Mapping[str, str]) -> Location:
    if asked.output:
        return parse(asked.output, "--output").folder
    if "BucketName" in outputs:
        return Location(outputs["BucketName"], "training/")
    raise Refused("where do results go? Give --output s3://BUCKET/PREFIX, or the --stack whose bucket it is")


def _channels(asked: Asked, outputs: Mapping[str, str]) -> dict[str, str]:
    if asked.dataset is None and asked.sources is None:
        raise Refused("what is it trained on? Give --dataset (a version in S3), or --sources (the recipe's own files)")
    given = {name: getattr(asked, name) for name in ("dataset", "champion", "sources", "encoder")}
    places = {name: parse(uri, f"--{name}").channel for name, uri in given.items() if uri}
    if asked.role is None and "BucketName" in outputs:
        for name, place in places.items():
            check_readable(place, f"--{name}", outputs["BucketName"])
    return {name: place.uri for name, place in places.items()}


def _hyperparameters(recipe: Recipe, asked: Asked, knobs: Mapping[str, str], search: Search | None) -> dict[str, str]:
    own = {} if search is None else static_knobs(recipe, search)
    said = {"smoke": "true" if asked.smoke else None, "model_version": asked.version}
    return {"recipe": asked.recipe, **{name: value for name, value in said.items() if value}, **own, **knobs}


def _search(recipe: Recipe, asked: Asked, held: Mapping[str, str]) -> Search | None:
    """The search, without the knobs that are held."""
    if asked.trials is None:
        return None
    found = search_of(recipe, asked.trials, asked.parallel, asked.parent)
    ranges = {name: values for name, values in found.space.ranges.items() if name not in held}
    if not ranges:
        raise Refused(f"nothing is left to search: of {', '.join(found.space.ranges)} leave at least one to the search")
    return msgspec.structs.replace(found, space=type(found.space)(ranges))
