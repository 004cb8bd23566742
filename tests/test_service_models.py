"""Requests are held against everything that a service's model says, beyond what botocore looks at."""

import pytest

from tests.java_patterns import UnreadablePattern, compiled
from tests.service_models import complaints

ROLE = "arn:aws:iam::123456789012:role/trainer"


def training_job(**changes: object) -> dict[str, object]:
    return {
        "TrainingJobName": "moderato-1",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "image"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **changes,
    }


def test_a_right_request_has_no_complaints() -> None:
    assert complaints("sagemaker", "CreateTrainingJob", training_job(Tags=[{"Key": "Stück", "Value": "eins"}])) == []


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"Role": ROLE}, "input", 'Unknown parameter in input: "Role"'),
        ({"RoleArn": 5}, "RoleArn", "Invalid type"),
        (
            {"OutputDataConfig": {}},
            "OutputDataConfig",
            "Missing required parameter",
        ),
        ({"RoleArn": "arn"}, "RoleArn", "valid min length: 20"),
        ({"TrainingJobName": "a" * 64}, "TrainingJobName", "64 characters, and at most 63 are allowed"),
        ({"TrainingJobName": "a_job"}, "TrainingJobName", "'a_job' does not match [a-zA-Z0-9]"),
        ({"RoleArn": f" {ROLE}"}, "RoleArn", "does not match arn:aws"),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Tape"}},
            "AlgorithmSpecification.TrainingInputMode",
            "none of",
        ),
        ({"ResourceConfig": {"InstanceType": "ml.g5.huge"}}, "ResourceConfig.InstanceType", "none of ml.m4.xlarge"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "StoppingCondition.MaxRuntimeInSeconds",
            "valid min value: 1",
        ),
        ({"ResourceConfig": {"InstanceCount": True}}, "ResourceConfig.InstanceCount", "True is no number"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 31}}, "RetryStrategy.MaximumRetryAttempts", "31, and at most 30"),
        ({"Tags": [{"Key": "k", "Value": "v"}] * 51}, "Tags", "51 entries, and at most 50 are allowed"),
        ({"Tags": [{"Key": "k", "Value": "v"}, {"Key": "<", "Value": ""}]}, "Tags[1].Key", "'<' does not match"),
        ({"HyperParameters": {str(n): "" for n in range(101)}}, "HyperParameters", "101 entries, and at most 100"),
        ({"HyperParameters": {"k" * 257: "v"}}, "HyperParameters (key ", "257 characters, and at most 256"),
        ({"HyperParameters": {"rate": "v" * 2501}}, "HyperParameters.rate", "2501 characters, and at most 2500"),
    ],
)
def test_each_kind_of_fault_is_found_and_named(changes: dict[str, object], path: str, problem: str) -> None:
    found = complaints("sagemaker", "CreateTrainingJob", training_job(**changes))
    assert any(path in complaint and problem in complaint for complaint in found), found


def test_a_pattern_holds_to_the_end_of_the_string() -> None:
    assert complaints("sts", "AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "me"}) == []
    assert complaints("sts", "AssumeRole", {"RoleArn": ROLE, "RoleSessionName": "me\n"}) != []


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"[\p{L}\p{N}_]+", "Größe_1", "a b"),
        (r"\P{C}+", "a b", "a\x00b"),
        (r"[^\p{C}]+", "a b", "a\x00b"),
        (r"\p{Graph}+", "a!", "ä"),
        (r"[\d\w-_]+", "a-1", "a+1"),
        (r"[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]+", "\U0001f600", "\t"),
        (r"\d+", "12", "١٢"),  # Java's \d has no digits but ASCII's
        (r".+\z", "a", "a\u2028"),
        (r"[\p{L}||\p{N}]+", "a|1", "a&1"),
        (r"[a-z]*${1,128}", "abc", "abc1"),
        (r"[a\x{60}]+", "a`", "b"),
    ],
)
def test_a_pattern_in_javas_dialect_is_read_as_java_reads_it(pattern: str, matching: str, other: str) -> None:
    assert compiled(pattern).fullmatch(matching)
    assert not compiled(pattern).fullmatch(other)


@pytest.mark.parametrize("pattern", ["[a-z&&[^b]]", "[a-z[0-9]]", "a(?i)b", "a**"])
def test_a_pattern_that_python_cannot_express_is_told_and_not_passed_over(pattern: str) -> None:
    with pytest.raises(UnreadablePattern, match="cannot be read"):
        compiled(pattern)


def test_a_request_under_an_unreadable_pattern_is_told() -> None:
    plan = {"ScalingPlanName": "plan", "ScalingPlanVersion": 1}
    assert any("cannot be read" in found for found in complaints("autoscaling-plans", "DeleteScalingPlan", plan))
