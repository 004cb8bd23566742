"""The template as CloudFormation's transform makes it of template.yaml, and as a stack has it, without AWS.

`python -m tests.translated > build/translated.json` writes it for the linters: they see more in it than in the source.
"""

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
REGION = "eu-west-1"

Resource = dict[str, Any]
Resources = dict[str, Resource]

FUNCTIONS = {"Predict", "Feedback", "Authorizer", "Labeling", "Rollout", "Drift"}
RETRAINING_FUNCTIONS = {"Retraining"}
"""Those that are there only where a stack retrains."""

KEY = "arn:aws:kms:eu-west-1:123456789012:key/one"
WORKTEAM = "arn:aws:sagemaker:eu-west-1:123456789012:workteam/private-crowd/one"
OWN_ISSUER = {"CreateUserPool": "false", "OidcIssuer": "https://id.example", "OidcAudiences": "moderato"}
CONSOLE = {
    "OidcClientId": "console",
    "OidcAuthorizeUrl": "https://id.example/authorize",
    "OidcTokenUrl": "https://id.example/token",
}
RETRAINING = {"Retraining": "true"}
APPROVALS = {
    **RETRAINING,
    "ApprovalConnectionArn": "arn:aws:events:eu-west-1:123456789012:connection/moderato-github/0b2c4d6e-1",
    "ApprovalRepository": "coral/moderato",
}
SHAPES: dict[str, dict[str, str]] = {
    "defaults": {},
    "prod": {"Stage": "prod", "AlarmEmail": "a@example.org"},
    "key and work team": {"KmsKeyArn": KEY, "LabelingWorkteamArn": WORKTEAM},
    "own issuer": {**OWN_ISSUER, **CONSOLE},
    "keys alone": {"CreateUserPool": "false", "SharedKeysTable": "keys"},
    "retraining": RETRAINING,
    "retraining, with a key, that tells of approvals": {**APPROVALS, "KmsKeyArn": KEY},
}
"""Parameters of stacks of every kind that there can be."""

_IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/moderato:built"
_ABSENT = object()


@cache
def source() -> dict[str, Any]:
    """Return the template as it is written."""
    return parse(TEMPLATE)


def parse(template: Path) -> dict[str, Any]:
    """Return a template with its short forms (`!Ref`) written out."""
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # it has no types

    parsed: dict[str, Any] = yaml_parse(template.read_text(encoding="utf-8"))
    return parsed


@cache
def translated() -> dict[str, Any]:
    """Return what the transform makes of the template, with the default of every parameter that it reads."""
    template = json.loads(json.dumps(source()))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"].setdefault("ImageUri", _IMAGE)  # as `sam build` does
    return translate(template, REGION)


def translate(template: dict[str, Any], region: str) -> dict[str, Any]:
    """Return what the transform makes of a template whose images are named; the template is changed."""
    import boto3  # type: ignore[import-untyped]  # it has no types
    from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # it has no types
    from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]  # it has no types

    # The session only tells the region; nothing is called.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    result: dict[str, Any] = translator.translate(template, {"AWS::Region": region}, None)
    return result


def deployed(**parameters: str) -> Resources:
    """Return the resources of a stack with these parameters, and the defaults of all others.

    What depends on conditions and parameters is decided; references to resources stay as they are.
    """
    template = translated()
    stack = _Stack(template, parameters)
    there = {name: one for name, one in template["Resources"].items() if stack.has(one)}
    return {name: stack.value({**one, "Condition": {"Ref": "AWS::NoValue"}}) for name, one in there.items()}


def objections(region: str = REGION, **parameters: str) -> list[str]:
    """Return what CloudFormation would say against these parameters: the rules that they break."""
    stack = _Stack(source(), {**parameters, "AWS::Region": region})
    rules = [rule for rule in source()["Rules"].values() if stack.value(rule["RuleCondition"])]
    asserted = [assertion for rule in rules for assertion in rule["Assertions"]]
    return [assertion["AssertDescription"] for assertion in asserted if not stack.value(assertion["Assert"])]


def of_type(resources: Resources, kind: str) -> Resources:
    """Return the resources of a type."""
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def functions_of(stack: Resources) -> list[str]:
    """Return the names of a stack's functions, by which their roles, groups and folders are named too."""
    return sorted(name.removesuffix("Function") for name in of_type(stack, "AWS::Lambda::Function"))


def dashboard_of(stack: Resources) -> str:
    """Return what is on the dashboard, as JSON in which references to resources stay as they are."""
    body, parts = properties(stack, "Dashboard")["DashboardBody"]["Fn::Sub"]
    for name, part in parts.items():
        body = body.replace(f"${{{name}}}", part and part["Fn::Sub"])
    return str(body)


def arn(name: str) -> dict[str, Any]:
    """Return the reference to a resource's ARN."""
    return {"Fn::GetAtt": [name, "Arn"]}


def properties(stack: Resources, name: str) -> dict[str, Any]:
    """Return a resource's properties."""
    found: dict[str, Any] = stack[name]["Properties"]
    return found


def statements(stack: Resources, policy: str) -> list[dict[str, Any]]:
    """Return the statements of a resource's policy."""
    found: list[dict[str, Any]] = properties(stack, policy)["PolicyDocument"]["Statement"]
    return found


class _Stack:
    """Decides what a template leaves open, as far as tests look at it."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items()}
        unknown = {name for name in parameters if name not in defaults and "::" not in name}
        assert not unknown
        self._parameters = {**defaults, **parameters}
        self._conditions = template["Conditions"]

    def has(self, resource: Resource) -> bool:
        """Return whether the resource's condition is met."""
        return "Condition" not in resource or bool(self.value(self._conditions[resource["Condition"]]))

    def value(self, node: Any) -> Any:
        """Return what a node of the template comes to."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not _ABSENT]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function in ("Ref", "Condition") and isinstance(argument, str):
                return self._named(function, argument)
            if function in ("Fn::If", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Contains"):
                return self._decided(function, argument)
        return {name: value for name, one in node.items() if (value := self.value(one)) is not _ABSENT}

    def _named(self, function: str, name: str) -> Any:
        if function == "Condition":
            return self.value(self._conditions[name])
        return _ABSENT if name == "AWS::NoValue" else self._parameters.get(name, {"Ref": name})

    def _decided(self, function: str, argument: list[Any]) -> Any:
        if function == "Fn::If":
            return self.value(argument[1] if self.value(self._conditions[argument[0]]) else argument[2])
        values = self.value(argument)
        match function:
            case "Fn::Equals":
                return values[0] == values[1]
            case "Fn::Contains":
                return values[1] in values[0]
            case "Fn::Not":
                return not values[0]
            case _:
                return all(values) if function == "Fn::And" else any(values)


if __name__ == "__main__":
    json.dump(translated(), sys.stdout, indent=1)
