"""`python -m training.pipeline definition|upsert|start|run`: the retraining pipeline, on SageMaker or right here."""

import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moderato.artifact import load_manifest
from moderato.errors import BrokenModel
from training import job_options as options
from training.account import Sessions, open_account, sessions
from training.claim import code_version
from training.config import RecipeError
from training.job_rules import knobs_of
from training.jobs import INSTANCE_TYPE, Network, Refused
from training.local_steps import STOPPED, StepStopped
from training.locations import check_bucket_name, parse
from training.model_archive import ARCHIVE
from training.pipeline_settings import PARALLEL, RECIPE, STAGE_TYPE, TRIALS, Settings

if TYPE_CHECKING:
    from training.data_folder import DataFolder

app = typer.Typer(help="The retraining pipeline.", no_args_is_help=True, pretty_exceptions_enable=False)

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "models" / "starter"

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,127}")

KEPT, UNDONE = 1, 2
"""Exit statuses: the champion stays; what was asked for could not be done."""

TRAINING = ("torch", "transformers", "scipy")
"""What the stages of a run need, and the environments for serving and for AWS have not."""

SMOKE = "a smoke: its model is good for nothing"

Name = Annotated[str | None, typer.Option(help="Of the pipeline; by default the stack's.")]


@app.command("definition", help="Print the definition as JSON. Without --stack nothing is called.")
@app.command("upsert", help="Make the pipeline, or bring it up to date.")
def build(
    context: typer.Context,
    image: options.Image,
    predict_image: Annotated[str, typer.Option(help="The predict image in ECR, which serves a registered model.")],
    stack: options.Stack = None,
    name: Name = None,
    role: options.Role = None,
    bucket: Annotated[str | None, typer.Option(help="Of datasets, models and results; by default the stack's.")] = None,
    group: Annotated[str | None, typer.Option(help="Model package group; by default the stack's.")] = None,
    recipe: Annotated[str, typer.Option(help="A name in training/recipes; the image has the same.")] = RECIPE,
    dataset: Annotated[
        str | None, typer.Option(help="S3 folder of the version to grow first; by default the starter model's.")
    ] = None,
    champion: Annotated[
        str | None, typer.Option(help="The first champion's model.tar.gz in S3; by default the starter model's.")
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help="S3 folder with identity_templates_en.csv.gz, to measure bias on as well; in the stack's bucket under "
            "datasets/, where its role may read."
        ),
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Search the recipe's knobs; the best trial goes on.")] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, help=f"With --tune: trainings in all (default: {TRIALS}).")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help=f"With --tune: trainings at a time (default: {PARALLEL}).")
    ] = None,
    instance_type: options.InstanceType = INSTANCE_TYPE,
    stage_instance_type: Annotated[str, typer.Option(help="What the stages before and after run on.")] = STAGE_TYPE,
    spot: options.Spot = False,
    max_hours: options.MaxHours = 4,
    subnet: options.Subnets = [],  # noqa: B006  # typer reads it, and nobody writes to it
    security_group: options.SecurityGroups = [],  # noqa: B006
    isolated: options.Isolated = False,
    volume_key: options.VolumeKey = None,
    output_key: options.OutputKey = None,
    tracking_server: options.TrackingServer = None,
    tag: options.Tags = [],  # noqa: B006
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Build the definition; print it, or bring the pipeline up to date."""
    from training import pipeline_service as service
    from training.pipeline_definition import define
    from training.sagemaker_sdk import require

    require()
    searched = {"--trials": trials, "--parallel": parallel}
    stray = [option for option, value in searched.items() if value is not None]
    if stray and not tune:
        raise Refused(f"{stray[0]} is about a search: give --tune, or leave it out")
    is_upsert = context.info_name == "upsert"
    session = _session(context, region, profile)
    if session.region_name is None and not is_upsert and stack is None:
        session = _session(context, _region_of(image), profile)  # it is not called
    given = {"role": role, "bucket": bucket, "group": group}
    if stack is None:
        _complete({"name": name, **given})  # before anybody has to be signed in
    account = open_account(session) if is_upsert or stack is not None else None
    if account is not None and stack is not None:
        given |= service.of_stack(account, stack, given)
    found = _complete({"name": name or stack, **given})
    check_bucket_name(found["bucket"], "--bucket")
    settings = Settings(
        **found,
        image=image,
        predict_image=predict_image,
        dataset_uri=parse(dataset or _starter_dataset(found["bucket"]), "--dataset").folder.uri,
        champion_uri=parse(champion or _starter_model(found["bucket"]), "--champion").channel.uri,
        git_commit=code_version() or "unknown",
        recipe=recipe,
        tune=tune,
        trials=TRIALS if trials is None else trials,
        parallel=PARALLEL if parallel is None else parallel,
        instance_type=instance_type,
        stage_instance_type=stage_instance_type,
        spot=spot,
        max_hours=max_hours,
        sources_uri=None if sources is None else parse(sources, "--sources").folder.uri,
        volume_key=volume_key,
        output_key=output_key,
        network=Network(subnets=tuple(subnet or ()), security_groups=tuple(security_group or ()), is_isolated=isolated),
        tracking_server=tracking_server,
        tags=options.pairs(tag, "--tag"),
    )
    has_stack_role = stack is not None and role is None and bucket is None
    if account is None or not is_upsert:
        service.check_settings(session, settings, has_stack_role)
        print(json.dumps(json.loads(define(settings, session)), indent=1))
        return
    _tell_unseen(service.check(account, settings, has_stack_role))
    print(f"pipeline {settings.name}: {service.upsert(account, settings)}")


@app.command()
def start(
    context: typer.Context,
    labels: Annotated[str, typer.Option(help="S3 folder with accepted.jsonl, erased.json or both.")],
    stack: options.Stack = None,
    name: Name = None,
    labels_digest: Annotated[
        str | None, typer.Option(help="Hexadecimal: results of the same digest lie in the same folder.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="S3 folder of the version to grow.")] = None,
    champion: Annotated[str | None, typer.Option(help="The champion's model.tar.gz in S3.")] = None,
    reason: Annotated[str, typer.Option(help="labels, weekly, drift or hand.")] = "hand",
    instance_type: Annotated[str | None, typer.Option(help="What it trains on.")] = None,
    region: options.Region = None,
    profile: options.Profile = None,
) -> None:
    """Start an execution by hand."""
    from training import pipeline_service as service

    called = _complete({"name": name or stack})["name"]
    execution = service.Start(
        labels_uri=labels,
        labels_digest=labels_digest,
        dataset_uri=dataset,
        champion_uri=champion,
        reason=reason,
        instance_type=instance_type,
    )
    account = open_account(_session(context, region, profile))
    execution = service.complete(account, called, execution)
    _tell_unseen(service.check_start(account, execution))
    print(service.start(account, called, execution))


@app.command()
def run(
    labels: Annotated[Path | None, typer.Option(help="Folder with accepted.jsonl, erased.json or both.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="The dataset version to grow.")] = None,
    champion: Annotated[Path | None, typer.Option(help="Model directory of the champion.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Data folder of a server: its labels, champion and dataset, where they are not given."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="A name in training/recipes, or a .toml file.")] = RECIPE,
    sources: Annotated[
        Path | None, typer.Option(help="Folder of public files: identity_templates_en.csv.gz is read.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Written down with the package.")] = "hand",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A little of everything; the model is good for nothing.")
    ] = False,
    knob: options.Knobs = [],  # noqa: B006
    output: Annotated[Path, typer.Option(help="Where runs go: OUTPUT/KEY.")] = Path("build/pipeline"),
    promote: Annotated[
        bool,
        typer.Option("--promote", help="Approve a better challenger at once: it becomes the data folder's champion."),
    ] = False,
) -> None:
    """The same stages on this machine, in their order, without AWS; a run that was cut off goes on where it was.

    Exit status 0 where a better challenger was registered (with --promote: is champion); 1 where the champion stays,
    with the reason; 2 where the run could not be done; 143 where it was stopped by Ctrl-C or SIGTERM.
    """
    if promote and smoke:
        raise Refused("the model of a --smoke is good for nothing: leave out one of --smoke and --promote")
    _require_training()
    from rich.console import Console

    from training.data_folder import DataFolder
    from training.local_run import Plan
    from training.local_run import run as run_locally

    if promote and data_dir is None:
        raise Refused("--promote changes the champion of a data folder: name it by --data-dir")
    folder = None if data_dir is None else DataFolder(data_dir)
    beaten = champion or (STARTER if folder is None else folder.champion())
    parent = dataset or (None if folder is None else folder.dataset(beaten))
    batch = labels or (None if folder is None else folder.write_labels(beaten, output / "labels"))
    if batch is None or parent is None:
        raise Refused(_what_is_missing(labels, dataset))
    plan = Plan(
        labels=batch,
        dataset=parent,
        champion=beaten,
        recipe=recipe,
        hyperparameters={**({"smoke": "true"} if smoke else {}), **knobs_of(options.pairs(knob, "--knob"))},
        sources=sources,
        reason=reason,
    )
    found = run_locally(plan, output, Console())
    nothing = f" ({SMOKE})" if smoke else ""
    if found.package is None:
        print(
            f"pipeline: the champion stays: {found.evaluation.reason} Report: {found.report}{nothing}", file=sys.stderr
        )
        sys.exit(KEPT)
    print(f"registered: {found.package}{nothing}")
    if promote and folder is not None:
        _promote(folder, found.package / "model", found.dataset, sources)


def main(arguments: Sequence[str] | None = None, make_session: Sessions = sessions) -> None:
    """Run a command; what a person can mend is one sentence on standard error."""
    try:
        app(arguments, obj=make_session)
    except StepStopped as stopped:
        print(f"pipeline: {stopped}", file=sys.stderr)
        sys.exit(STOPPED)
    except (Refused, RecipeError, BrokenModel) as error:
        print(f"pipeline: {error}", file=sys.stderr)
        sys.exit(UNDONE)
    except Exception:  # noqa: BLE001  # nothing is hidden: Python's own status for it would say that the champion stays
        traceback.print_exc()
        sys.exit(UNDONE)


def _require_training() -> None:
    missing = next((name for name in TRAINING if importlib.util.find_spec(name) is None), None)
    if missing is not None:
        raise Refused(
            f"{missing} is not installed here: run it with the Python of .venv-train, which `make train` makes"
        )


def _what_is_missing(labels: Path | None, dataset: Path | None) -> str:
    if labels is not None:
        return "--labels needs --dataset, the version to grow, or the --data-dir of a server"
    if dataset is not None:
        return "--dataset needs --labels, what it grows by, or the --data-dir of a server"
    return "what to train on? Give --labels and --dataset, or the --data-dir of a server"


def _promote(folder: "DataFolder", model: Path, version: Path, sources: Path | None) -> None:
    """Promote, with the last word of `moderato promote` as this command's exit status."""
    from local.commands_models import NOT_BETTER

    status = folder.promote(model, version, sources)
    if status:
        sys.exit(KEPT if status == NOT_BETTER else UNDONE)


def _tell_unseen(things: Sequence[str]) -> None:
    for unseen in things:
        print(f"not looked at, for want of a permission: {unseen}", file=sys.stderr)


def _session(context: typer.Context, region: str | None, profile: str | None) -> Any:
    make: Sessions = context.obj
    return make(profile, region)


def _complete(given: Mapping[str, str | None]) -> dict[str, str]:
    """What a pipeline cannot do without: given one by one, or by the stack."""
    missing = [name for name, value in given.items() if not value]
    if missing:
        options_missing = _listed([f"--{name}" for name in missing])
        raise Refused(f"no {_listed(missing)}: give --stack, or {options_missing}")
    found = {name: value for name, value in given.items() if value}
    if not NAME.fullmatch(found["name"]):
        raise Refused(
            f"{found['name']!r} is no name of a pipeline: letters, digits and hyphens between them, 128 at most"
        )
    return found


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _region_of(image: str) -> str:
    found = re.search(r"\.ecr\.([a-z0-9-]+)\.amazonaws\.com", image)
    if found is None:
        raise Refused(f"image {image!r} is not in ECR: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG")
    return found[1]


def _starter_dataset(bucket: str) -> str:
    record = load_manifest(STARTER).dataset
    return f"s3://{bucket}/datasets/{record.name}/{record.version}"


def _starter_model(bucket: str) -> str:
    manifest = load_manifest(STARTER)
    return f"s3://{bucket}/models/{manifest.name}-{manifest.version}/{ARCHIVE}"


if __name__ == "__main__":
    main()
