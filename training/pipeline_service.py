"""The pipeline in an AWS account: what the stack says of it, made or brought up to date, and started by hand."""

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from training import preflight
from training.account import Account, answers, check_region, stack_outputs
from training.config import load_recipe
from training.job_rules import check_family, check_job
from training.jobs import Job, Refused, search_of
from training.locations import check_readable, parse
from training.pipeline_definition import define
from training.pipeline_settings import REASONS, Settings

DESCRIPTION = "Moderato: labels > dataset > challenger > gate > model package that waits for approval"

OUTPUTS = {"role": "TrainingRoleArn", "bucket": "BucketName", "group": "ModelGroupName"}
"""The stack's outputs that a pipeline needs."""


ENDED = frozenset({"Succeeded", "Failed", "Stopped"})


class Change(StrEnum):
    """What an upsert did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """An execution to start; what is None is left to the pipeline's own default."""

    labels_uri: str
    labels_digest: str | None = None
    dataset_uri: str | None = None
    champion_uri: str | None = None
    reason: str = "hand"
    instance_type: str | None = None

    @property
    def digest(self) -> str:
        """The digest of the labels; where nobody knows it, one of where they are and of what they are added to.

        Of another dataset or champion, under the same names, the results must not lie in the same folder.
        """
        if self.labels_digest is not None:
            return self.labels_digest
        parts = [self.labels_uri, self.dataset_uri, self.champion_uri]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def parameters(self) -> dict[str, str]:
        """The pipeline's parameters that are given."""
        given = {
            "LabelsUri": self.labels_uri,
            "LabelsDigest": self.digest,
            "DatasetUri": self.dataset_uri,
            "ChampionUri": self.champion_uri,
            "Reason": self.reason,
            "InstanceType": self.instance_type,
        }
        return {name: value for name, value in given.items() if value is not None}


def of_stack(account: Account, stack: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """Return role, bucket and group: as given, or else as the stack's outputs say. Raises Refused naming what lacks."""
    outputs = stack_outputs(account, stack)
    found = {name: given.get(name) or outputs.get(output) for name, output in OUTPUTS.items()}
    missing = next((name for name, value in found.items() if not value), None)
    if missing is not None:
        raise Refused(
            f"stack {stack} has no output {OUTPUTS[missing]}: deploy it with Retraining=true, or give --{missing}"
        )
    return {name: value for name, value in found.items() if value}


def check_settings(session: Any, settings: Settings, has_stack_role: bool = False) -> Job:
    """Raise Refused at the first setting that cannot be right, and return the training's job; nothing is called.

    Role and bucket are a stack's where it `has_stack_role`: that reads only what it has to.
    """
    region, recipe = check_region(session), load_recipe(settings.recipe)
    given = {"dataset": settings.dataset_uri, "champion": settings.champion_uri, "sources": settings.sources_uri}
    places = {name: parse(uri, f"--{name}") for name, uri in given.items() if uri is not None}
    if has_stack_role:
        for name, place in places.items():
            check_readable(place, f"--{name}", settings.bucket)
    job = Job(
        image=settings.image,
        role=settings.role,
        output=f"s3://{settings.bucket}/retraining",
        channels={name: place.uri for name, place in places.items()},
        hyperparameters={"recipe": settings.recipe},
        instance_type=settings.instance_type,
        spot=settings.spot,
        max_hours=settings.max_hours,
        volume_key=settings.volume_key,
        network=settings.network,
        tracking_server=settings.tracking_server,
        tags=settings.all_tags,
    )
    check_job(job, recipe, search_of(recipe, settings.trials, settings.parallel) if settings.tune else None)
    preflight.check_instance_type(settings.instance_type)
    preflight.check_stage_instance_type(settings.stage_instance_type)
    for image in (settings.image, settings.predict_image):
        preflight.check_image_name(image, region)
    return job


def check(account: Account, settings: Settings, has_stack_role: bool = False) -> list[str]:
    """Raise Refused at the first thing that is not as the settings say; return what could not be looked at."""
    job = check_settings(account.session, settings, has_stack_role)
    return preflight.check(account, job) + preflight.look(
        lambda: preflight.check_image(account, settings.predict_image)
    )


def upsert(account: Account, settings: Settings) -> Change:
    """Make the pipeline, or bring it and its tags up to date; where it is as it should be, nothing is written.

    Tags that nobody asked for stay: they may be somebody else's.
    """
    client = account.session.client("sagemaker")
    wanted = {"PipelineDefinition": define(settings, account.session), "RoleArn": settings.role}
    with answers(f"pipeline {settings.name} could not be asked"):
        try:
            known = client.describe_pipeline(PipelineName=settings.name)
        except client.exceptions.ResourceNotFound:
            known = None
    with answers(f"pipeline {settings.name} could not be written"):
        if known is None:
            client.create_pipeline(
                PipelineName=settings.name,
                PipelineDescription=DESCRIPTION,
                ClientRequestToken=_token(settings.name, *wanted.values()),
                Tags=_tags(settings.all_tags),
                **wanted,
            )
            return Change.CREATED
        is_changed = {name: known.get(name) for name in wanted} != wanted
        if is_changed:
            client.update_pipeline(PipelineName=settings.name, PipelineDescription=DESCRIPTION, **wanted)
    is_tagged = _bring_tags_up_to_date(account, settings, known["PipelineArn"])
    return Change.UPDATED if is_changed or is_tagged else Change.UNCHANGED


def complete(account: Account, name: str, execution: Start) -> Start:
    """Return the execution with what it leaves to the pipeline's defaults. Raises Refused without such a pipeline."""
    missing = f"there is no pipeline {name!r} in {account.region}: `python -m training.pipeline upsert` makes it"
    with answers(f"pipeline {name} could not be asked", {"ResourceNotFound": missing}):
        described = account.session.client("sagemaker").describe_pipeline(PipelineName=name)
    declared = json.loads(described["PipelineDefinition"])["Parameters"]
    defaults = {each["Name"]: each.get("DefaultValue") for each in declared}
    places = {
        "dataset": execution.dataset_uri or defaults["DatasetUri"],
        "champion": execution.champion_uri or defaults["ChampionUri"],
    }
    found = {f"{option}_uri": parse(uri, f"--{option}").channel.uri for option, uri in places.items()}
    return msgspec.structs.replace(execution, **found)


def check_start(account: Account, execution: Start) -> list[str]:
    """Raise Refused at the first thing that an execution cannot be started with; return what could not be looked at."""
    if execution.reason not in REASONS:
        raise Refused(f"--reason {execution.reason!r} is none of {', '.join(REASONS)}")
    if not re.fullmatch(r"[0-9a-f]{12,64}", execution.digest):
        raise Refused("--labels-digest has 12 to 64 hexadecimal digits, in small letters")
    if execution.instance_type is not None:
        check_family(execution.instance_type)
        preflight.check_instance_type(execution.instance_type)
    places = {"labels": execution.labels_uri, "dataset": execution.dataset_uri, "champion": execution.champion_uri}
    channels = {option: parse(uri, f"--{option}").channel for option, uri in places.items() if uri is not None}
    return preflight.look(
        *(
            lambda option=option, place=place: preflight.check_channel(account, option, place)
            for option, place in channels.items()
        )
    )


def start(account: Account, name: str, execution: Start) -> str:
    """Start an execution by hand and return its ARN.

    The same start, asked for again, is the same execution until that has ended.
    """
    client, shown = account.session.client("sagemaker"), f"{execution.reason}-{execution.digest[:12]}"
    with answers(f"the executions of pipeline {name} could not be listed"):
        listed = client.list_pipeline_executions(
            PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=100
        )["PipelineExecutionSummaries"]
    ended = [
        each["PipelineExecutionArn"]
        for each in listed
        if each.get("PipelineExecutionDisplayName") == shown and each["PipelineExecutionStatus"] in ENDED
    ]
    with answers(f"pipeline {name} could not be started"):
        found: str = client.start_pipeline_execution(
            PipelineName=name,
            PipelineExecutionDisplayName=shown,
            PipelineParameters=[{"Name": key, "Value": value} for key, value in execution.parameters.items()],
            # With the token of one that has failed, SageMaker would give that one again.
            ClientRequestToken=_token(name, repr(execution.parameters), *ended[:1]),
        )["PipelineExecutionArn"]
    return found


def _bring_tags_up_to_date(account: Account, settings: Settings, arn: str) -> bool:
    """Give the pipeline the tags that it lacks, or has with other values; return whether there were any."""
    client = account.session.client("sagemaker")
    with answers(f"the tags of pipeline {settings.name} could not be brought up to date"):
        listed = client.get_paginator("list_tags").paginate(ResourceArn=arn).build_full_result()["Tags"]
        before = {each["Key"]: each["Value"] for each in listed}
        lacking = {key: value for key, value in settings.all_tags.items() if before.get(key) != value}
        if lacking:
            client.add_tags(ResourceArn=arn, Tags=_tags(lacking))
    return bool(lacking)


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _token(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
