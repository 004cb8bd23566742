"""What AWS is asked before a job is started: whether what the job names is there, and where it must be."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

from moderato.acceptance import ACCEPTED, ERASED
from training.account import Account, Unchecked, answers, near
from training.job_rules import ROLE, TRACKING_SERVER, can_train
from training.jobs import INSTANCE_TYPE, Job, Refused
from training.locations import Location, parse

_IMAGE = re.compile(
    r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+?)(:[\w.-]+|@sha256:[0-9a-f]{64})?"
)

_MARKS = {
    "dataset": (("dataset.json",), "upload one by `python -m training.launch upload dataset FOLDER`"),
    "encoder": (("config.json",), "upload the folder of a safetensors model"),
    "labels": ((ACCEPTED, ERASED), "name the folder of a batch that still has its labels"),
}
"""The files of which one must be there for a channel's folder to be what it should be."""


def check(account: Account, job: Job) -> list[str]:
    """Raise Refused at the first thing that is not as the job says; return what could not be looked at."""
    return look(
        lambda: check_instance_type(job.instance_type),
        lambda: check_image(account, job.image),
        lambda: _check_tracking_server(account, job.tracking_server),
        lambda: _check_role(account, job.role),
        *(lambda bucket=bucket: check_bucket(account, bucket) for bucket in _buckets(job)),
        *(
            lambda name=name, uri=uri: check_channel(account, name, parse(uri, f"--{name}"))
            for name, uri in job.channels.items()
        ),
    )


def look(*checks: Callable[[], None]) -> list[str]:
    """Make the checks in their order, up to the first that raises Refused; return what could not be looked at."""
    left = []
    for check_one in checks:
        try:
            check_one()
        except Unchecked as unchecked:
            left.append(str(unchecked))
    return left


def check_bucket(account: Account, bucket: str) -> None:
    """Raise Refused unless the bucket is there, ours to use, and in the region."""
    with answers(
        f"bucket {bucket} could not be asked", {"404": f"there is no bucket {bucket!r}"}, needless=f"bucket {bucket}"
    ):
        headers = account.session.client("s3").head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    region = headers.get("x-amz-bucket-region", account.region)
    if region != account.region:
        raise Refused(
            f"bucket {bucket} is in {region}, and the job would run in {account.region}: both have to be in one region"
        )


def check_instance_type(name: str) -> None:
    """Raise Refused unless SageMaker trains on it; nothing is called."""
    known = _instance_types("TrainingInstanceType")
    if name not in known:
        like = near(name, [each for each in known if can_train(each)])
        raise Refused(f"{name!r} is no instance type that SageMaker trains on{like or f', such as {INSTANCE_TYPE}'}")


def check_stage_instance_type(name: str) -> None:
    """Raise Refused unless SageMaker processes on it; nothing is called."""
    known = _instance_types("ProcessingInstanceType")
    if name not in known:
        like = near(name, known)
        raise Refused(f"{name!r} is no instance type that SageMaker processes on{like or ', such as ml.m5.xlarge'}")


def check_image_name(image: str, region: str | None, number: str = "ACCOUNT") -> tuple[str, str, str]:
    """Return registry, repository and version of an image. Raises Refused unless it is one in ECR, in the region.

    Nothing is called. Without a region, an image may be in any.
    """
    found = _IMAGE.fullmatch(image)
    example = f"{number}.dkr.ecr.{region or 'REGION'}.amazonaws.com/NAME:TAG"
    if found is None:
        raise Refused(f"image {image!r} is not in a private ECR registry, from which alone SageMaker trains: {example}")
    registry, there, repository, version = found.groups()
    if region is not None and there != region:
        raise Refused(f"image {image} is in {there}, and the job would run in {region}: push it there")
    if version is None:
        raise Refused(f"image {image} names no version: add a tag or, better, a digest ({example})")
    return registry, repository, version


def check_image(account: Account, image: str) -> None:
    """Raise Refused unless the image is in ECR, in the region."""
    region = account.region
    registry, repository, version = check_image_name(image, region, account.number)
    wanted = {"imageDigest": version[1:]} if version.startswith("@") else {"imageTag": version[1:]}
    missing = {
        "RepositoryNotFoundException": f"there is no repository {repository!r} in ECR of {registry} in {region}",
        "ImageNotFoundException": f"there is no image {version} in ECR's repository {repository}: push it first",
    }
    with answers("ECR could not be asked", missing, needless=f"image {repository}{version}"):
        account.session.client("ecr").describe_images(registryId=registry, repositoryName=repository, imageIds=[wanted])


@cache
def _instance_types(kind: str) -> list[str]:
    from botocore.session import get_session  # type: ignore[import-untyped]  # it has no types

    # By a client, this would need a region and credentials, which are looked for in EC2's network.
    known: list[str] = get_session().get_service_model("sagemaker").shape_for(kind).enum
    return known


def _check_tracking_server(account: Account, arn: str | None) -> None:
    found = TRACKING_SERVER.fullmatch(arn) if arn else None
    if found is not None and found[1] != account.region:
        raise Refused(f"the MLflow server is in {found[1]}, and the job would run in {account.region}")


def _check_role(account: Account, role: str) -> None:
    found = ROLE.fullmatch(role)
    if found is not None and found[1] != account.number:
        raise Refused(f"role {role} is of account {found[1]}, and you are signed in to {account.number}")
    name = role.rsplit("/", 1)[-1]
    with answers("IAM could not be asked", {"NoSuchEntity": f"there is no role {name!r}"}, needless=f"role {name}"):
        known = account.session.client("iam").get_role(RoleName=name)["Role"]
    if known["Arn"] != role:
        raise Refused(f"role {role} is not there: the role of this name is {known['Arn']}")
    if "sagemaker.amazonaws.com" not in set(_trusted(known["AssumeRolePolicyDocument"])):
        raise Refused(f"role {name} does not trust sagemaker.amazonaws.com, so that no job can work under it")


def _trusted(policy: Any) -> Iterator[str]:
    """The services that may take a role."""
    document = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", ()) if isinstance(principal, dict) else ()
        yield from [services] if isinstance(services, str) else services


def _buckets(job: Job) -> list[str]:
    places = [job.output, *([job.checkpoints] if job.checkpoints else []), *job.channels.values()]
    return sorted({parse(place, "--output").bucket for place in places})


def check_channel(account: Account, name: str, place: Location) -> None:
    """Raise Refused unless what a channel of this name needs is at the place."""
    with answers(f"{place.uri} could not be listed", needless=place.uri):
        listed = account.session.client("s3").list_objects_v2(Bucket=place.bucket, Prefix=place.key, MaxKeys=1000)
    keys = [each["Key"] for each in listed.get("Contents", [])]
    if not keys:
        raise Refused(f"--{name}: there is nothing under {place.uri}")
    marks, mend = _MARKS.get(name, ((), ""))
    if marks and not {f"{place.key}{mark}" for mark in marks} & set(keys):
        raise Refused(f"--{name}: {place.uri} holds no {' and no '.join(marks)}: {mend}")
    if name == "champion" and not {place.key, f"{place.key}model.tar.gz", f"{place.key}manifest.json"} & set(keys):
        raise Refused(f"--champion: {place.uri} holds neither model.tar.gz nor a model's manifest.json")
