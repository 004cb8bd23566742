"""`python -m training.launch COMMAND`: training jobs on SageMaker, from the question of their cost to their logs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from training import job_options as options
from training.account import Account, Sessions, open_account, sessions, stack_outputs
from training.config import RecipeError
from training.job_logs import show
from training.job_plan import Asked, Launch, plan, start
from training.job_status import (
    describe,
    describe_search,
    end_sentence,
    follow,
    follow_search,
    page,
    recent,
    search_line,
)
from training.jobs import INSTANCE_TYPE, Refused
from training.preflight import check_bucket
from training.prices import bound
from training.uploads import upload_dataset, upload_model

app = typer.Typer(help="Train on SageMaker.", no_args_is_help=True, pretty_exceptions_enable=False)
upload = typer.Typer(help="Bring a dataset version or a model to S3.", no_args_is_help=True)
app.add_typer(upload, name="upload")

LOOK_SECONDS = 15.0

JobName = Annotated[str, typer.Argument(metavar="JOB", help="The name that SageMaker knows it by.")]
Folder = Annotated[Path, typer.Argument(help="The folder on this machine.")]
Bucket = Annotated[str | None, typer.Option(help="The bucket; by default the stack's.")]


@app.command()
def train(
    context: typer.Context,
    recipe: options.RecipeName,
    image: options.Image,
    role: options.Role = None,
    output: options.Output = None,
    stack: options.Stack = None,
    dataset: options.Dataset = None,
    champion: options.Champion = None,
    sources: options.Sources = None,
    encoder: options.Encoder = None,
    smoke: options.Smoke = False,
    version: options.ModelVersion = None,
    knob: options.Knobs = None,
    instance_type: options.InstanceType = INSTANCE_TYPE,
    instances: options.Instances = 1,
    volume_gigabytes: options.Volume = 50,
    spot: options.Spot = False,
    max_hours: options.MaxHours = 4,
    max_wait_hours: options.MaxWaitHours = None,
    volume_key: options.VolumeKey = None,
    output_key: options.OutputKey = None,
    encrypt_traffic: options.EncryptTraffic = None,
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    isolated: options.Isolated = False,
    tracking_server: options.TrackingServer = None,
    tag: options.Tags = None,
    resume: options.Resume = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    wait: options.Wait = True,
    every: options.Every = LOOK_SECONDS,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Train a recipe on a GPU, on several, or on spot capacity.

    The run's checkpoints lie under OUTPUT/RUN/checkpoints: a job that spot interrupted goes on by itself, a job that
    was stopped by --resume RUN.
    """
    asked = Asked(**_named(locals()))
    _launch(plan(_session(context, region, profile), asked), yes, dry_run, wait, every)


@app.command()
def tune(
    context: typer.Context,
    recipe: options.RecipeName,
    image: options.Image,
    role: options.Role = None,
    output: options.Output = None,
    stack: options.Stack = None,
    dataset: options.Dataset = None,
    champion: options.Champion = None,
    sources: options.Sources = None,
    encoder: options.Encoder = None,
    knob: options.Knobs = None,
    trials: options.Trials = 20,
    parallel: options.Parallel = 2,
    parent: options.Parent = None,
    instance_type: options.InstanceType = INSTANCE_TYPE,
    instances: options.Instances = 1,
    volume_gigabytes: options.Volume = 50,
    spot: options.Spot = False,
    max_hours: options.MaxHours = 4,
    max_wait_hours: options.MaxWaitHours = None,
    volume_key: options.VolumeKey = None,
    output_key: options.OutputKey = None,
    encrypt_traffic: options.EncryptTraffic = None,
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    isolated: options.Isolated = False,
    tracking_server: options.TrackingServer = None,
    tag: options.Tags = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    wait: options.Wait = True,
    every: options.Every = LOOK_SECONDS,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Search for better knobs of a recipe: many trainings, each chosen by what the ones before it showed.

    What is searched is what `python -m training tune` searches on a laptop. A knob given by --knob is held.
    """
    asked = Asked(**_named(locals()))
    _launch(plan(_session(context, region, profile), asked), yes, dry_run, wait, every)


@app.command()
def status(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; without it, the newest.")] = None,
    contains: Annotated[str | None, typer.Option(help="Only jobs with this in their name.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest.")] = 10,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """How jobs stand: billable seconds, what spot saved, what it cost."""
    account = _account(context, region, profile)
    if job is None:
        _screen().print(recent(account, contains, count))
    elif (search := describe_search(account, job)) is not None:
        _screen().print(search_line(search))
    else:
        _screen().print(page(account, describe(account, job)))


@app.command()
def logs(
    context: typer.Context,
    job: JobName,
    is_followed: Annotated[bool, typer.Option("--follow/--no-follow", help="Until the job is done.")] = True,
    every: options.Every = LOOK_SECONDS,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """A job's log, of all its machines, followed while it runs."""
    show(_account(context, region, profile), job, every, is_followed, print)


@upload.command("dataset")
def upload_dataset_version(
    context: typer.Context,
    folder: Folder,
    bucket: Bucket = None,
    stack: options.Stack = None,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Bring a dataset version to datasets/NAME/VERSION/ once its files are those that dataset.json describes."""
    account = _account(context, region, profile)
    print(upload_dataset(account, folder, _bucket(account, bucket, stack)).uri)


@upload.command("model")
def upload_model_archive(
    context: typer.Context,
    folder: Folder,
    bucket: Bucket = None,
    stack: options.Stack = None,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Bring a model directory to models/NAME-VERSION/model.tar.gz once its files are those of its manifest."""
    account = _account(context, region, profile)
    print(upload_model(account, folder, _bucket(account, bucket, stack)).uri)


def main(words: Sequence[str] | None = None, make_session: Sessions = sessions) -> None:
    """Run a command; what a person can mend is one sentence on standard error."""
    try:
        app(words, obj=make_session)
    except (Refused, RecipeError) as error:
        sys.exit(f"launch: {error}")


def _launch(launch: Launch, yes: bool, dry_run: bool, wait: bool, every: float) -> None:
    """Say what it costs, ask, start it, and tell how it goes."""
    screen = _screen()
    for left in launch.unchecked:
        screen.print(f"not looked at, for want of a permission: {left}")
    screen.print(f"run {launch.run}: {launch.summary}")
    screen.print(bound(launch.job, launch.price, launch.search))
    if dry_run:
        print(json.dumps(launch.request(), indent=1))
        return
    # Nobody there to answer is an answer too.
    if not yes and not typer.confirm("Start it?", err=True):
        sys.exit("launch: nothing was started")
    name = start(launch)
    screen.print(f"started {name}")
    if wait:
        _follow(launch, name, every)


def _follow(launch: Launch, name: str, every: float) -> None:
    account, screen = launch.account, _screen()
    where = f"--region {account.region}"
    look = f"python -m training.launch status {name} {where}"
    try:
        if launch.search is None:
            described = follow(account, name, every, screen.print)
            screen.print(page(account, described))
        else:
            described = follow_search(account, name, every, screen.print)
    except KeyboardInterrupt:
        kind = (
            "training-job --training-job-name"
            if launch.search is None
            else ("hyper-parameter-tuning-job --hyper-parameter-tuning-job-name")
        )
        screen.print(f"{name} goes on. Look at it: {look}\nStop it: aws sagemaker stop-{kind} {name} {where}")
        sys.exit(130)
    except Refused as refusal:
        # A throttle, a sign-in that has ended: nothing of it is the job's.
        raise Refused(f"{refusal}; {name} goes on, and this looks at it again: {look}") from None
    if "Completed" not in (described.get("TrainingJobStatus"), described.get("HyperParameterTuningJobStatus")):
        raise Refused(f"{name} {end_sentence(described)}")


def _account(context: typer.Context, region: str | None, profile: str | None) -> Account:
    """The account that whoever calls is signed in to."""
    return open_account(_session(context, region, profile))


def _session(context: typer.Context, region: str | None, profile: str | None) -> Any:
    make_session: Sessions = context.obj
    return make_session(profile, region)


def _bucket(account: Account, bucket: str | None, stack: str | None) -> str:
    if bucket is None and stack is None:
        raise Refused("where to? Give --bucket, or the --stack whose bucket it is")
    name = bucket or stack_outputs(account, str(stack))["BucketName"]
    check_bucket(account, name)
    return name


def _named(given: dict[str, Any]) -> dict[str, Any]:
    """Of a command's options those that say what to start: all but whom to ask, and whom to tell."""
    return {name: given[name] for name in Asked.__struct_fields__ if name in given}


def _screen() -> Console:
    """What is for people goes to standard error, so that what is for programs can be read from standard output."""
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    main()
