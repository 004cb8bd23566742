"""How little the emulated template differs from the real one; it asks nothing of an emulator."""

from typing import Any

from tests.emulator.template import NOT_MADE, emulated
from tests.translated import translated

URL = "http://192.0.2.1:4566"
UNTOUCHED = (
    "AWS::ApiGatewayV2::Route",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
)


def changed() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return by their names the resources that differ: as they are, and as they are emulated."""
    real, made = translated()["Resources"], emulated(translated(), URL)["Resources"]
    assert real.keys() == made.keys()
    return {name: (real[name], made[name]) for name in real if real[name] != made[name]}


def test_what_decides_who_may_do_what_is_deployed_as_it_is() -> None:
    kinds = {real["Type"] for real, _ in changed().values()}
    assert not kinds & set(UNTOUCHED)
    assert set(UNTOUCHED) <= {resource["Type"] for resource in translated()["Resources"].values()}


def test_a_function_is_told_all_that_it_is_told_on_aws_but_for_an_address_and_a_bucket() -> None:
    functions = {name: pair for name, pair in changed().items() if pair[0]["Type"] == "AWS::Lambda::Function"}
    other = {}
    for name, (real, made) in functions.items():
        assert [key for key in real["Properties"] if real["Properties"][key] != made["Properties"][key]] == [
            "Environment"
        ]
        told, told_here = (one["Properties"]["Environment"]["Variables"] for one in (real, made))
        other[name] = [key for key in told_here if told.get(key) != told_here[key]]
    assert other == {"AuthorizerFunction": ["JWKS_URL"], "DriftFunction": ["BASELINES"]}


def test_only_what_ministack_cannot_make_is_not_made() -> None:
    not_made = {name for name, (_, made) in changed().items() if made["Type"] == "AWS::SSM::Parameter"}
    kinds = {translated()["Resources"][name]["Type"] for name in not_made}
    assert {kind.removesuffix(" with Metrics") for kind in NOT_MADE} == kinds
