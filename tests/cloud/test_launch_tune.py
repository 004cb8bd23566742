"""A tuning job searches what the laptop searches, and each of its trials is trained as a job of its own would be."""

from typing import Any

from syrupy.assertion import SnapshotAssertion

from tests.cloud.aws import REGION, Aws
from tests.cloud.launches import GIVEN, OUTPUT, Launcher, named, parent
from tests.service_models import complaints

KEY = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"
SMALL = (*GIVEN, "--yes", "--no-wait")


def request_of(aws: Aws) -> dict[str, Any]:
    """Return the one tuning job that was asked for, after looking at it as SageMaker would."""
    (request,) = aws.requests("sagemaker", "CreateHyperParameterTuningJob")
    assert complaints("sagemaker", "CreateHyperParameterTuningJob", request) == []
    return request


def search(status: str, **more: Any) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobName": "parent",
        "HyperParameterTuningJobArn": "arn",
        "HyperParameterTuningJobStatus": status,
        **more,
    }


def test_a_search_that_begins_cold(launch: Launcher, snapshot: SnapshotAssertion) -> None:
    assert launch("tune", "starter-next", *SMALL).code == 0
    assert named(request_of(launch.aws)) == snapshot


def test_a_search_that_begins_warm_on_spot_with_all_that_secures_it(
    launch: Launcher, snapshot: SnapshotAssertion
) -> None:
    answers = {"parent": parent("Completed")}
    launch.aws.answer(
        "sagemaker",
        "DescribeHyperParameterTuningJob",
        lambda request: answers.get(request["HyperParameterTuningJobName"], search("InProgress")),
    )
    outcome = launch(
        "tune", "starter-next", *SMALL, "--parent", "parent", "--trials", "8", "--parallel", "4", "--spot",
        "--isolated", "--instances", "2", "--instance-type", "ml.m7i.2xlarge", "--volume-key", KEY, "--output-key", KEY,
        "--subnet", "subnet-1a", "--security-group", "sg-1", "--tag", "team=safety", "--knob", "batch_size=32",
        "--knob", "epochs=2",
    )  # fmt: skip
    assert outcome.code == 0
    assert named(request_of(launch.aws)) == snapshot


def test_the_trials_are_as_secure_as_a_job(launch: Launcher) -> None:
    # The SDK's own tuner forgets all three.
    words = ("--isolated", "--instances", "2", "--instance-type", "ml.m7i.2xlarge", "--volume-key", KEY)
    launch("tune", "starter-next", *SMALL, *words)
    definition = request_of(launch.aws)["TrainingJobDefinition"]
    assert definition["EnableNetworkIsolation"] is True
    assert definition["EnableInterContainerTrafficEncryption"] is True
    assert definition["ResourceConfig"]["VolumeKmsKeyId"] == KEY


def test_a_knob_that_is_given_is_held_and_the_recipes_others_too(launch: Launcher) -> None:
    launch("tune", "starter-next", *SMALL, "--knob", "batch_size=48")
    request = request_of(launch.aws)
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"]
    searched = {each["Name"] for kind in ranges.values() for each in kind}
    held = request["TrainingJobDefinition"]["StaticHyperParameters"]
    assert searched == {"learning_rate", "max_tokens", "weight_decay", "class_weight_power", "max_class_weight"}
    assert (held["batch_size"], held["replay"], held["epochs"]) == ("48", "2000", "1")
    assert not searched & held.keys()


def test_trials_share_no_checkpoints(launch: Launcher) -> None:
    # One prefix for all would have each trial go on where another was.
    launch("tune", "starter-next", *SMALL, "--spot")
    assert "CheckpointConfig" not in request_of(launch.aws)["TrainingJobDefinition"]


def test_a_single_label_recipe_is_searched_by_its_own_figure(launch: Launcher) -> None:
    launch("tune", "news-category", *SMALL)
    request = request_of(launch.aws)
    objective = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    metrics = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert objective == {"Type": "Maximize", "MetricName": "eval_macro_f1"}
    assert "eval_macro_f1" in {each["Name"] for each in metrics}


def test_the_cost_counts_every_trial(launch: Launcher) -> None:
    outcome = launch("tune", "starter-next", *GIVEN, "--trials", "10", "--max-hours", "0.5", typed="n\n")
    # 10 trials x half an hour x 1.41 dollars
    assert "cost: at most 7.05 USD (1 x ml.g5.xlarge x 10 trials x 0.5 h x 1.41 USD)" in outcome.err
    assert launch.aws.started() == []


def test_a_search_that_fails_ends_with_its_reason(launch: Launcher) -> None:
    failed = search("Failed", FailureReason="All training jobs failed.")
    launch.aws.answer("sagemaker", "DescribeHyperParameterTuningJob", failed)
    outcome = launch("tune", "starter-next", *GIVEN, "--yes", "--every", "0")
    assert outcome.code == 1
    assert outcome.err.endswith("failed: All training jobs failed.")


def test_the_best_trial_so_far_is_told(launch: Launcher) -> None:
    best = {
        "TrainingJobName": "trial-7",
        "TrainingJobArn": f"{OUTPUT}",
        "CreationTime": 0,
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {"learning_rate": "0.0001", "batch_size": "32"},
        "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "eval_mean_roc_auc", "Value": 0.98},
    }
    counts = {"Completed": 7, "InProgress": 2, "NonRetryableError": 1, "Stopped": 1}
    running = search("InProgress", TrainingJobStatusCounters=counts, BestTrainingJob=best)
    done = search("Completed", TrainingJobStatusCounters={"Completed": 10, "InProgress": 0}, BestTrainingJob=best)
    answers = iter([running, running, running, done])
    launch.aws.answer("sagemaker", "DescribeHyperParameterTuningJob", lambda _: next(answers))
    outcome = launch("tune", "starter-next", *GIVEN, "--yes", "--every", "0")
    assert outcome.code == 0
    told = [line for line in outcome.err.splitlines() if "trials done" in line]
    best_told = "best trial-7: eval_mean_roc_auc 0.9800 with batch_size 32, learning_rate 0.0001"
    assert told == [
        f"InProgress: 8 trials done, 2 running, 1 failed; {best_told}",
        f"Completed: 10 trials done, 0 running; {best_told}",
    ]
