"""A job whose container would ask a model hub in vain is told before it starts."""

from pathlib import Path

import pytest

from tests.cloud.aws import IMAGE, ROLE
from training.config import Recipe, load_recipe
from training.job_rules import check_job
from training.jobs import Job, Network, Refused

VPC = Network(subnets=("subnet-1",), security_groups=("sg-1",))
ISOLATED = Network(is_isolated=True)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe whose encoder is named by its hub id."""
    path = tmp_path / "hub.toml"
    path.write_text('extends = "starter"\n[encoder]\npackage = false\nname = "roberta-base"\nlicence = "MIT"\n')
    return load_recipe(path)


def job(network: Network, *channels: str) -> Job:
    places = {name: f"s3://bucket/{name}/" for name in ("dataset", *channels)}
    return Job(
        image=IMAGE,
        role=ROLE,
        output="s3://bucket/out",
        channels=places,
        hyperparameters={"recipe": "hub"},
        network=network,
    )


@pytest.mark.parametrize(
    ("network", "where"), [(ISOLATED, "without a network"), (VPC, "in a VPC, which need not reach one")]
)
def test_an_encoder_that_nothing_could_fetch(recipe: Recipe, network: Network, where: str) -> None:
    with pytest.raises(Refused) as refused:
        check_job(job(network), recipe)
    assert str(refused.value) == (
        f"recipe hub fetches its encoder roberta-base from a hub, and the job is {where}: upload the encoder's folder "
        "to S3 and name it by --encoder"
    )


@pytest.mark.parametrize("channel", ["encoder", "champion"])
def test_a_channel_that_carries_it(recipe: Recipe, channel: str) -> None:
    check_job(job(ISOLATED, channel), recipe)


def test_a_network_that_may_reach_it(recipe: Recipe) -> None:
    check_job(job(Network()), recipe)


def test_a_recipe_that_needs_no_hub() -> None:
    check_job(job(ISOLATED), load_recipe("olid"))
