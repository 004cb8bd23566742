"""What a retraining pipeline is made for: what is the same in all of its executions."""

import hashlib

import msgspec

from training.jobs import INSTANCE_TYPE, Network

RECIPE = "starter-next"
"""It goes on from the champion, in minutes."""

STAGE_TYPE = "ml.m5.xlarge"
"""What the stages before and after run on: four processors, and no GPU."""

TRIALS, PARALLEL = 20, 2
"""Of a search, where nothing else is said."""

REASONS = ("labels", "weekly", "drift", "hand")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline is made for; what differs from one execution to the next is a parameter instead."""

    name: str
    """Of the pipeline: the stack's."""
    role: str
    """ARN of the role that the pipeline and its jobs work under."""
    bucket: str
    group: str
    """The model package group."""
    image: str
    """The training image in ECR, which all stages run in."""
    predict_image: str
    """The image that serves, in ECR: what a registered model is to be hosted by."""
    dataset_uri: str
    """The version to grow where an execution names none."""
    champion_uri: str
    """The model.tar.gz to go on from, and to beat, where an execution names none."""
    git_commit: str
    recipe: str = RECIPE
    tune: bool = False
    trials: int = TRIALS
    parallel: int = PARALLEL
    instance_type: str = INSTANCE_TYPE
    """Of the training, where an execution names none."""
    stage_instance_type: str = STAGE_TYPE
    spot: bool = False
    max_hours: float = 4
    sources_uri: str | None = None
    """Public files in S3: identity_templates_en.csv.gz, which bias is measured on as well."""
    volume_key: str | None = None
    output_key: str | None = None
    network: Network = Network()
    tracking_server: str | None = None
    tags: dict[str, str] = {}

    @property
    def training_digest(self) -> str:
        """Twelve digits of what trains: what another image, recipe or commit began is not gone on with."""
        return hashlib.sha256(f"{self.image}\n{self.recipe}\n{self.git_commit}".encode()).hexdigest()[:12]

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags of the pipeline and of every job: the training role may start no job without the first."""
        return {"project": "moderato", **self.tags}
