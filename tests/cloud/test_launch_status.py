"""What a job does and has cost can be read, and its log followed to the end."""

from typing import Any

import pytest

from tests.cloud.aws import Failed
from tests.cloud.launches import Launcher, epoch, job

NAME = "starter-next-0a1b2c3d-20261122120000"


def test_one_job_with_what_spot_saved_and_what_it_cost(launch: Launcher) -> None:
    launch.aws.answer("sagemaker", "DescribeTrainingJob", job(NAME))
    err = launch("status", NAME).err
    assert "300 s, spot saved 70%" in err
    # 300 s x 2 instances x 1.41 dollars an hour
    assert "0.23 USD" in err
    assert "2 x ml.g5.xlarge spot" in err
    assert "0:16:40 h" in err


def test_the_newest_jobs(launch: Launcher) -> None:
    summaries = [
        {"TrainingJobName": name, "TrainingJobArn": "arn", "CreationTime": epoch(0), "TrainingJobStatus": "Completed"}
        for name in ("second-job", "first-job")
    ]
    launch.aws.answer("sagemaker", "ListTrainingJobs", {"TrainingJobSummaries": summaries})
    err = launch("status", "--contains", "job", "--count", "2").err
    assert err.index("second-job") < err.index("first-job")
    assert "2026-11-22 12:00" in err
    assert launch.aws.requests("sagemaker", "ListTrainingJobs")[0]["NameContains"] == "job"
    assert launch.aws.calls.count("pricing:GetProducts") == 1


def test_a_job_without_a_price_has_no_cost(launch: Launcher) -> None:
    launch.aws.answer("pricing", "GetProducts", Failed("AccessDeniedException"))
    launch.aws.answer("sagemaker", "DescribeTrainingJob", job(NAME))
    err = launch("status", NAME).err
    assert "not known: the price list could not be asked: AccessDeniedException" in err
    assert "USD" not in err


def test_a_job_that_is_not_there(launch: Launcher) -> None:
    launch.aws.answer("sagemaker", "DescribeTrainingJob", Failed("ValidationException"))
    assert launch("status", "none").err == "launch: no training job 'none' in eu-west-1"


@pytest.fixture
def log(launch: Launcher) -> list[list[str]]:
    """The lines of two machines' streams, in pages; the last page is told for ever."""
    pages: list[list[str]] = [["began", "{'eval_loss': '0.2'}"], ["ended"]]

    def events(request: Any) -> dict[str, Any]:
        if request["logStreamName"].endswith("algo-2-1"):
            return {"events": [], "nextForwardToken": "f/0"}
        page = int(request.get("nextToken", "f/0").removeprefix("f/"))
        lines = pages[page] if page < len(pages) else []
        return {
            "events": [{"timestamp": 0, "message": line} for line in lines],
            "nextForwardToken": f"f/{min(page + 1, len(pages))}",
        }

    streams = [{"logStreamName": f"{NAME}/algo-1-1"}, {"logStreamName": f"{NAME}/algo-2-1"}]
    launch.aws.answer("logs", "DescribeLogStreams", {"logStreams": streams})
    launch.aws.answer("logs", "GetLogEvents", events)
    return pages


def test_the_log_is_followed_until_the_job_is_done(launch: Launcher, log: list[list[str]]) -> None:
    answers = iter(["InProgress", "InProgress", "Completed"])

    def describe(_: Any) -> dict[str, Any]:
        status = next(answers)
        if status == "Completed":
            log.append(["last words"])
        return job(NAME, status)

    launch.aws.answer("sagemaker", "DescribeTrainingJob", describe)
    out = launch("logs", NAME, "--every", "0").out
    assert out.splitlines() == ["algo-1: began", "algo-1: {'eval_loss': '0.2'}", "algo-1: ended", "algo-1: last words"]


def test_the_log_as_it_is(launch: Launcher, log: list[list[str]]) -> None:
    launch.aws.answer("sagemaker", "DescribeTrainingJob", job(NAME, "InProgress"))
    assert launch("logs", NAME, "--no-follow").out.splitlines()[0] == f"algo-1: {log[0][0]}"


def test_a_job_that_has_said_nothing_yet(launch: Launcher) -> None:
    launch.aws.answer("logs", "DescribeLogStreams", Failed("ResourceNotFoundException"))
    outcome = launch("logs", NAME)
    assert (outcome.code, outcome.out) == (0, "")
