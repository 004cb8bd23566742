"""What a job can be, as far as it can be said without asking AWS: each rule's breach is one sentence."""

import re
from collections.abc import Iterator, Mapping

import msgspec

from training.config import Recipe, TrainKnobs
from training.container import needs_hub
from training.jobs import INSTANCE_TYPE, LONGEST_HOURS, LONGEST_WAIT_HOURS, Job, Refused, Search, as_text

ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/[\w+=,.@/-]+")
TRACKING_SERVER = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):\d{12}:mlflow-(tracking-server|app)/[\w.-]+")

# Of the types that SageMaker trains on. CUDA 13 has left out what came before Turing.
_WITHOUT_OUR_GPU = {
    "p2": "its GPUs are older than the image's CUDA knows",
    "p3": "its GPUs are older than the image's CUDA knows",
    "p3dn": "its GPUs are older than the image's CUDA knows",
    "trn1": "it has Trainium in place of a GPU",
    "trn1n": "it has Trainium in place of a GPU",
    "trn2": "it has Trainium in place of a GPU",
    "p6e-gb200": "its processor is an Arm, and the image is for x86",
}
_WITH_DISKS = {
    "g4dn", "g5", "g6", "g6e", "g7", "g7e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300",
    "p6e-gb200", "r5d", "trn1", "trn1n", "trn2",
}  # fmt: skip
"""Families whose data lies on disks of their own, which their hardware encrypts: SageMaker takes no key for them."""

_TAG = re.compile(r"[\w\s.:/=+\-@]*")


def check_job(job: Job, recipe: Recipe, search: Search | None = None) -> None:
    """Raise Refused at the first rule that a job breaks."""
    for complaint in _complaints(job, recipe, search):
        raise Refused(complaint)


def knobs_of(given: Mapping[str, str]) -> dict[str, str]:
    """Knobs of [train] as hyperparameters, each as the recipe would have it. Raises Refused."""
    known = [each.name for each in msgspec.structs.fields(TrainKnobs)]
    for name, value in given.items():
        if name not in known:
            raise Refused(f"no knob {name!r}: there are {', '.join(known)}")
        try:
            msgspec.convert({name: value}, TrainKnobs, strict=False)
        except msgspec.ValidationError as error:
            raise Refused(f"knob {name} cannot be {value!r}: {str(error).split(' - at ')[0]}") from None
    made = msgspec.convert(dict(given), TrainKnobs, strict=False)
    return {name: as_text(getattr(made, name)) for name in given}


def check_family(instance_type: str) -> None:
    """Raise Refused where the training image cannot run on machines of this type."""
    why = _WITHOUT_OUR_GPU.get(family_of(instance_type))
    if why is not None:
        raise Refused(f"{instance_type} cannot run the training image: {why}; take {INSTANCE_TYPE}")


def can_train(instance_type: str) -> bool:
    """Whether the training image runs on machines of this type."""
    return family_of(instance_type) not in _WITHOUT_OUR_GPU


def family_of(instance_type: str) -> str:
    """The family of an instance type: g5 of ml.g5.xlarge."""
    return instance_type.split(".")[1] if instance_type.count(".") == 2 else ""


def _complaints(job: Job, recipe: Recipe, search: Search | None) -> Iterator[str]:
    if not ROLE.fullmatch(job.role):
        yield f"role {job.role!r} is no ARN of a role: give it as arn:aws:iam::ACCOUNT:role/NAME"
    if {"encoder", "champion"} <= job.channels.keys():
        yield "training goes on from a champion or begins with an encoder: give one of --champion and --encoder"
    yield from _machine_complaints(job)
    yield from _time_complaints(job)
    yield from _network_complaints(job, recipe)
    yield from _tag_complaints(job)
    if search is not None and search.parallel > search.trials:
        yield f"{search.parallel} trials at a time of {search.trials} in all: --parallel is at most --trials"


def _machine_complaints(job: Job) -> Iterator[str]:
    try:
        check_family(job.instance_type)
    except Refused as refusal:
        yield str(refusal)
    if job.volume_key is not None and family_of(job.instance_type) in _WITH_DISKS:
        yield (
            f"--volume-key: {job.instance_type} keeps its data on disks that its hardware encrypts, and takes no key "
            "for them; leave it out"
        )
    if job.is_traffic_encrypted and job.instances == 1:
        yield "--encrypt-traffic is about several instances: give --instances 2 or more, or leave it out"


def _time_complaints(job: Job) -> Iterator[str]:
    # As a comparison that holds, since none holds for what is not a number.
    if not 60 / 3600 <= job.max_hours <= LONGEST_HOURS:
        yield f"--max-hours {job.max_hours:g}: from a minute (0.02) to {LONGEST_HOURS}, which is four weeks"
    if job.max_wait_hours is None:
        return
    if not job.spot:
        yield "--max-wait-hours is about waiting for spot capacity: give --spot, or leave it out"
    elif not job.max_wait_hours <= LONGEST_WAIT_HOURS:
        yield f"--max-wait-hours {job.max_wait_hours:g}: at most {LONGEST_WAIT_HOURS}, as AWS counts its seconds"
    elif job.max_wait_hours < job.max_hours:
        yield (
            f"--max-wait-hours {job.max_wait_hours:g} is less than --max-hours {job.max_hours:g}, "
            "and holds the training as well as the waiting: give at least as many"
        )


def _network_complaints(job: Job, recipe: Recipe) -> Iterator[str]:
    network = job.network
    if bool(network.subnets) != bool(network.security_groups):
        given, missing = ("--subnet", "--security-group") if network.subnets else ("--security-group", "--subnet")
        yield f"{given} needs {missing}: a job in a VPC has both"
    if needs_hub(recipe, job.channels) and (network.is_isolated or network.subnets):
        where = "without a network" if network.is_isolated else "in a VPC, which need not reach one"
        yield (
            f"recipe {job.hyperparameters.get('recipe')} fetches its encoder {recipe.encoder.name} from a hub, and "
            f"the job is {where}: upload the encoder's folder to S3 and name it by --encoder"
        )
    if job.tracking_server is None:
        return
    if not TRACKING_SERVER.fullmatch(job.tracking_server):
        yield (
            f"--tracking-server {job.tracking_server!r} is no ARN of an MLflow server: "
            "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
        )
    if network.is_isolated:
        yield "--isolated leaves no way to an MLflow server: leave out one of --isolated and --tracking-server"


def _tag_complaints(job: Job) -> Iterator[str]:
    if len(job.tags) > 50:
        yield f"{len(job.tags)} tags: AWS takes 50, ours included"
    for key, value in job.tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or not _TAG.fullmatch(key + value) or key.startswith("aws:"):
            yield f"--tag {key!r}: a key has 1 to 128 characters and a value up to 256, letters, digits and _.:/=+-@"
