"""The real template, built by `sam build`, deployed to MiniStack as CloudFormation would."""

import json
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.exceptions import WaiterError  # type: ignore[import-untyped]  # it has no types

from tests.emulator.ministack import REGION, ROOT_KEYS, MiniStack
from tests.emulator.template import emulated
from tests.translated import parse, translate

STACK = "moderato-emulated"
WHOLE_STACK = "moderato-whole"
"""The same with all that can be asked for: a team of Ground Truth's that annotates, and what trains anew."""

PATIENCE = {"Delay": 1, "MaxAttempts": 120}
_TEMPLATES = "moderato-emulated-templates"


class NotDeployed(Exception):
    """MiniStack did not take the template; the message says which resource, and why."""


def deploy(ministack: MiniStack, stack: str, template: Path, parameters: Mapping[str, str]) -> None:
    """Deploy a template whose images are built; return when all of it is there. Raises NotDeployed."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    formation = client(ministack, "cloudformation")
    url = _publish(ministack, f"{stack}.json", json.dumps(emulated(_translated(template), ministack.url)))
    formation.create_stack(
        StackName=stack, TemplateURL=url, Parameters=given, Capabilities=["CAPABILITY_IAM"], OnFailure="DO_NOTHING"
    )
    _wait(formation, stack)


def client(ministack: MiniStack, service: str) -> Any:
    """Return a client of one of MiniStack's services, as the account's owner."""
    return boto3.client(
        service,
        endpoint_url=ministack.url,
        region_name=REGION,
        aws_access_key_id=ROOT_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ROOT_KEYS["AWS_SECRET_ACCESS_KEY"],
    )


@cache
def _translated(template: Path) -> dict[str, Any]:
    # It warns of switches that only AWS has.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    return translate(parse(template), REGION)


def _publish(ministack: MiniStack, name: str, text: str) -> str:
    # Too long for a request to CloudFormation, as on AWS.
    s3 = client(ministack, "s3")
    if _TEMPLATES not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=_TEMPLATES, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=_TEMPLATES, Key=name, Body=text.encode())
    return f"{ministack.url}/{_TEMPLATES}/{name}"


def _wait(formation: Any, stack: str) -> None:
    try:
        formation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig=PATIENCE)
    except WaiterError:
        events = formation.describe_stack_events(StackName=stack)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        reasons = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed]
        raise NotDeployed("; ".join(reasons) or "the stack was not there in time") from None
