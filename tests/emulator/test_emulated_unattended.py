"""What runs unattended on an emulated AWS: schedules reach their functions, and what fails is not lost.

MiniStack tries an asynchronous call three times and then hands it over, as Lambda does. What comes by one of its own
rules or schedules it tries once, which is why the failing events here are sent to the function itself.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.live.deployment import Deployment, eventually

pytestmark = pytest.mark.usefixtures("state")

SCHEDULED = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "resources": [], "detail": {}}
ROLE_POLICY = "labeling"


@pytest.fixture
def event() -> dict[str, Any]:
    """A scheduled event that is told from all others by its id."""
    return {**SCHEDULED, "id": str(uuid4())}


def send(deployment: Deployment, event: object) -> None:
    """Send an event to the labeling function as EventBridge does: nobody waits for what comes of it."""
    boto3.client("lambda").invoke(
        FunctionName=deployment.outputs["LabelingFunctionName"],
        InvocationType="Event",
        Payload=json.dumps(event).encode(),
    )


def dead_letter(deployment: Deployment, event: object) -> dict[str, Any]:
    """Wait for the dead letter of an event; return it, and take all that came out of the queue."""
    queue = deployment.outputs["LabelingDeadLettersUrl"]
    client = boto3.client("sqs")

    def look() -> dict[str, Any] | None:
        received = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in received:
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        letters = [json.loads(message["Body"]) for message in received]
        return next((letter for letter in letters if letter.get("requestPayload") == event), None)

    found: dict[str, Any] = eventually(look)
    return found


def test_an_event_that_the_function_cannot_read_ends_as_a_dead_letter(deployment: Deployment) -> None:
    unreadable = ["not", "an", "event", str(uuid4())]
    send(deployment, unreadable)
    letter = dead_letter(deployment, unreadable)
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["responseContext"]["functionError"] == "Unhandled"


def test_an_event_during_which_the_table_refuses_ends_as_a_dead_letter(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    with without_permissions(deployment):
        send(deployment, event)
        letter = dead_letter(deployment, event)
    assert letter["responsePayload"]["errorType"] == "ClientError"


def test_an_event_at_which_the_function_is_killed_ends_as_a_dead_letter(
    deployment: Deployment, event: dict[str, Any]
) -> None:
    with killing("labeling.main.handler") as killed:
        send(deployment, event)
        dead_letter(deployment, event)
    assert len(killed) >= 3  # as often as it was tried


def test_each_schedule_reaches_its_function(deployment: Deployment) -> None:
    begun = time.time()
    events = boto3.client("events")
    every = {function: schedule_of(deployment, function) for function in MEASURED}
    for rule, _ in every.values():
        # An hour is long for a test.
        events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)")
    try:
        for function, metric in MEASURED.items():
            eventually(partial(is_logged, deployment, deployment.log_group(function), begun, metric))
    finally:
        for rule, expression in every.values():
            events.put_rule(Name=rule, ScheduleExpression=expression)


MEASURED = {"LabelingFunctionName": "reviews_waiting", "DriftFunctionName": "drift_texts"}
"""What each function that a schedule calls measures then."""


def is_logged(deployment: Deployment, group: str, since: float, word: str) -> bool:
    """Return whether a word was logged to a group since a second of 1970."""
    return any(word in line for line in deployment.log_lines(group, since))


def schedule_of(deployment: Deployment, function: str) -> tuple[str, str]:
    """Return the rule that calls a function by the clock, and when it does; what cannot be delivered is kept."""
    functions, events = boto3.client("lambda"), boto3.client("events")
    target = functions.get_function_configuration(FunctionName=deployment.outputs[function])["FunctionArn"]
    [rule] = events.list_rule_names_by_target(TargetArn=target)["RuleNames"]
    [sent] = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert sent["DeadLetterConfig"]["Arn"]
    return rule, events.describe_rule(Name=rule)["ScheduleExpression"]


@contextmanager
def without_permissions(deployment: Deployment) -> Iterator[None]:
    """Take all permissions from the labeling function's role, for a while."""
    configuration = boto3.client("lambda").get_function_configuration(
        FunctionName=deployment.outputs["LabelingFunctionName"]
    )
    policy = {"RoleName": configuration["Role"].rpartition("/")[2], "PolicyName": ROLE_POLICY}
    iam = boto3.client("iam")
    document = json.dumps(iam.get_role_policy(**policy)["PolicyDocument"])
    iam.delete_role_policy(**policy)
    try:
        yield
    finally:
        iam.put_role_policy(**policy, PolicyDocument=document)


@contextmanager
def killing(command: str) -> Iterator[list[str]]:
    """Kill each of the stack's containers with this command as soon as it is there; yields the ids of the killed."""
    network = os.environ["MODERATO_EMULATOR_NETWORK"]
    shown = ["docker", "ps", "--no-trunc", "--filter", f"network={network}", "--format", "{{.ID}} {{.Command}}"]
    killed: list[str] = []
    is_over = threading.Event()

    def kill() -> None:
        lines = subprocess.run(shown, capture_output=True, text=True, check=True).stdout.splitlines()
        killed.extend(line.split()[0] for line in lines if command in line and _is_killed(line.split()[0]))

    def go_on() -> None:
        while not is_over.is_set():
            kill()

    # One that is warm would answer before it is found; those that start anew take longer than to find them.
    kill()
    killed.clear()
    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


def _is_killed(container: str) -> bool:
    return subprocess.run(["docker", "kill", container], capture_output=True, check=False).returncode == 0
