"""What is given to the template and what it gives: parameters, their rules, the configurations of stages, outputs."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.translated import APPROVALS, CONSOLE, KEY, OWN_ISSUER, SHAPES, WORKTEAM, objections, source

ROOT = Path(__file__).parents[1]


def test_every_parameter_is_described_and_constrained_and_has_a_default() -> None:
    parameters = source()["Parameters"]
    limits = {"AllowedValues", "AllowedPattern", "MinValue", "MaxLength"}
    assert [name for name, one in parameters.items() if len(one["Description"].split()) < 5] == []
    assert [name for name, one in parameters.items() if not limits & set(one)] == []
    assert [name for name, one in parameters.items() if "Default" not in one] == []
    for name, one in parameters.items():
        assert re.search(one.get("AllowedPattern", ""), str(one["Default"])), name


def test_every_parameter_is_shown_in_a_group() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(source()["Parameters"])


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_that_make_sense_are_accepted(name: str) -> None:
    assert objections(**SHAPES[name]) == []


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"OidcIssuer": "https://id.example", "OidcAudiences": "moderato"}, "one place"),
        ({"CreateUserPool": "false", "OidcIssuer": "https://id.example"}, "OidcAudiences is needed"),
        ({"CreateUserPool": "false", "OidcAudiences": "moderato"}, "OidcIssuer, which is empty"),
        ({"CreateUserPool": "false", "OidcJwksUrl": "https://id.example/keys"}, "OidcIssuer, which is empty"),
        ({"CreateUserPool": "false", **CONSOLE}, "client of OidcIssuer"),
        ({**OWN_ISSUER, "OidcClientId": "console"}, "OidcAuthorizeUrl"),
        ({**OWN_ISSUER, "OidcClientId": "console", "OidcAuthorizeUrl": "https://id.example/authorize"}, "OidcTokenUrl"),
        ({**OWN_ISSUER, "OidcTokenUrl": "https://id.example/token"}, "OidcClientId is empty"),
        ({"OidcClientId": "console"}, "client of its own"),
        ({"CreateUserPool": "false", "SignInPrefix": "us"}, "SignInPrefix"),
        ({**APPROVALS, "ApprovalRepository": ""}, "ApprovalRepository is needed"),
        ({**APPROVALS, "Retraining": "false"}, "which is false"),
        ({**APPROVALS, "ApprovalConnectionArn": ""}, "ApprovalConnectionArn, which is empty"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, str], part: str) -> None:
    assert any(part in objection for objection in objections(**parameters))


def test_a_work_team_is_refused_where_ground_truth_has_no_text_tasks() -> None:
    assert objections(region="eu-north-1", LabelingWorkteamArn=WORKTEAM)
    assert not objections(region="eu-north-1")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("Tenant", "coral-1", "Coral 1"),
        ("KmsKeyArn", KEY, "alias/moderato"),
        ("AlarmEmail", "ops@example.org", "ops"),
        ("LabelingWorkteamArn", WORKTEAM, "private-crowd/one"),
        ("OidcIssuer", "https://id.example/realms/one", "http://id.example"),
        ("OidcAudiences", "one,two", "one, two"),
        ("OidcTokenUrl", "https://id.example/token", "id.example/token"),
        ("SignInPrefix", "moderato-1", "-moderato"),
        ("SignInPrefix", "law", "my-cognito"),
        ("SharedKeysTable", "prod-KeysTable-1", "arn:aws:dynamodb:eu-west-1:1:table/keys"),
        ("ApprovalConnectionArn", APPROVALS["ApprovalConnectionArn"], "moderato-github"),
        ("ApprovalRepository", "coral/moderato.api", "https://github.com/coral/moderato"),
    ],
)
def test_a_parameter_refuses_what_it_cannot_be(name: str, good: str, bad: str) -> None:
    pattern = source()["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_there_is_a_configuration_for_each_stage() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert set(config) - {"version"} == {"default", "dev", "prod"}
    for name, stage in (("default", "dev"), ("dev", "dev"), ("prod", "prod")):
        given = config[name]["deploy"]["parameters"]
        overrides = dict(one.split("=", 1) for one in given["parameter_overrides"])
        assert overrides["Stage"] == stage
        assert set(overrides) <= set(source()["Parameters"])
        assert objections(**overrides) == []
        assert f"stage={stage}" in given["tags"]
        assert given["capabilities"] == "CAPABILITY_IAM"


def test_what_a_client_needs_is_an_output() -> None:
    described = {name: one["Description"] for name, one in source()["Outputs"].items()}
    assert set(described) == {
        "ApiUrl", "ConsoleUrl", "DashboardUrl", "Tenant", "TableName", "KeysTableName", "BucketName", "AlarmTopicArn",
        "LabelingDeadLettersUrl", "PredictFunctionName", "FeedbackFunctionName", "LabelingFunctionName",
        "AuthorizerFunctionName", "UserPoolId", "TokenUrl", "PlatformClientId", "ConsoleClientId",
        "DriftFunctionName", "RetrainingFunctionName", "TrainingRoleArn", "ModelGroupName",
    }  # fmt: skip
    assert all(described.values())


def test_every_check_that_is_left_out_has_its_reason() -> None:
    skipped = re.findall(r"^  - (CKV_\w+)(.*)$", (ROOT / ".checkov.yaml").read_text(), re.MULTILINE)
    assert len(skipped) == 6
    assert [check for check, reason in skipped if len(reason.split()) < 8] == []
    resources = source()["Resources"].values()
    here = [skip for one in resources for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", [])]
    assert [skip["id"] for skip in here] == ["CKV_AWS_119", "CKV_AWS_119", "CKV_AWS_18"]
    assert [skip for skip in here if len(skip["comment"].split()) < 8] == []
