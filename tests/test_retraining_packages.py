"""Packages: what was decided about a model is recorded, with its reason, in whatever order events come."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline_service import GROUP, package_arn, package_event
from tests.retraining_world import PACKAGE, World, small_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world in which nothing has happened."""
    return small_world(tmp_path)


@pytest.mark.parametrize(
    ("status", "description", "metric"),
    [("Approved", None, "package_approved"), ("Rejected", "worse on Turkish", "package_rejected")],
)
def test_a_decision_about_a_package_is_kept_with_its_reason(
    world: World, status: str, description: str | None, metric: str
) -> None:
    given = {} if description is None else {"ApprovalDescription": description}
    event = world.service.register(3, status, **PACKAGE, **given)
    for _ in range(3):
        world.send(event)
    assert world.counts == {metric: 1}
    assert json.loads(world.bucket.objects["retraining/packages/3.json"]) == {
        "version": 3,
        "package_arn": "arn:aws:sagemaker:eu-central-1:111122223333:model-package/moderato-dev-models/3",
        "decision": status,
        "reason": description,
        "changed": "2026-11-21T12:00:00+00:00",
        "labels_digest": "5eed",
    }
    assert "Turkish" not in world.logs.getvalue()


def test_what_sagemaker_says_of_a_package_counts_and_not_the_order_of_events(world: World) -> None:
    approved = world.service.register(3, "Approved")
    rejected = world.service.register(3, "Rejected", ApprovalDescription="a mistake")
    for event in (rejected, approved, rejected):
        world.send(event)
    assert json.loads(world.bucket.objects["retraining/packages/3.json"])["decision"] == "Rejected"
    assert world.counts == {"package_rejected": 1}


def test_a_package_whose_decision_changed_while_it_was_written_is_looked_at_again(world: World) -> None:
    event = world.service.register(3, "Approved")

    class Changes:
        def __init__(self, part: Any) -> None:
            self.part = part

        def __getattr__(self, name: str) -> Any:
            if name == "put_object":
                world.service.register(3, "Rejected", ApprovalDescription="a mistake")
            return getattr(self.part, name)

    world.send(event, wrap=lambda part: Changes(part) if part is world.bucket else part)
    assert json.loads(world.bucket.objects["retraining/packages/3.json"])["reason"] == "a mistake"


def test_a_package_that_waits_for_approval_is_none_to_record(world: World) -> None:
    world.send(world.service.register(3))
    assert (world.bucket.objects, world.counts) == ({}, {})


@pytest.mark.parametrize(
    "event",
    [
        package_event(package_arn(3, "others"), "Approved"),
        package_event("arn:aws:sagemaker:eu-central-1:111122223333:model-package/moderato-dev-models/../x", "Approved"),
        package_event(f"arn:aws:sagemaker:eu-central-1:111122223333:model-package/{GROUP}/3\n", "Approved"),
        package_event("x", "Approved") | {"detail": None},
        package_event("x", "Approved") | {"detail": {"ModelPackageArn": 7}},
    ],
)
def test_packages_of_others_are_ignored(world: World, event: dict[str, Any]) -> None:
    world.send(event)
    assert world.counts == {"package_event_ignored": 1}
    assert world.bucket.objects == {}
