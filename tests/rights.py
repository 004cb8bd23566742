"""What the roles of a stack may do, in short: each action with the resource that it is for."""

import json
from typing import Any

from tests.translated import Resources, properties


def of_role(stack: Resources, name: str) -> list[dict[str, Any]]:
    """Return the statements of a role."""
    policies = properties(stack, name)["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def granted(stack: Resources, role: str, name: str) -> set[tuple[str, str]]:
    """Return the actions that a role has, each with its resource in short; `name` is the function's."""
    return {
        (action, short(resource).removeprefix(name) if short(resource) == f"{name}LogGroup" else short(resource))
        for statement in of_role(stack, role)
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def listed(value: Any) -> list[Any]:
    """Return a value that may stand alone as a list."""
    return value if isinstance(value, list) else [value]


def short(resource: Any) -> str:
    """Return a resource of a statement by its logical id, or what follows the partition in its ARN."""
    if isinstance(resource, str):
        return resource
    [(function, argument)] = resource.items()
    if function == "Fn::GetAtt":
        return str(argument[0])
    assert function == "Fn::Sub", json.dumps(resource)
    return (
        str(argument)
        .removeprefix("arn:${AWS::Partition}")
        .replace("${", "", argument.startswith("${"))
        .replace(".Arn}", "", 1)
    )
