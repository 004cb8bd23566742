"""The translated template as MiniStack can deploy it: what it doesn't know is left out or said in another way.

Every difference from what AWS gets is made here, and each has its reason. None is in a role, a policy, a table, a
queue, a route, a rule or an image; of what functions are told, one address of AWS is another, and one bucket is none.
"""

from collections.abc import Mapping
from typing import Any

Resource = dict[str, Any]

NOT_MADE = {
    "AWS::CodeDeploy::Application": "MiniStack has no CodeDeploy: the alias moves at once, and no hook is asked",
    "AWS::CodeDeploy::DeploymentGroup": "as above",
    "AWS::CloudWatch::AnomalyDetector": "MiniStack has none",
    "AWS::SageMaker::ModelPackageGroup": "MiniStack has no SageMaker: no pipeline runs, and no model is registered",
    "AWS::Events::ApiDestination": "its CloudFormation makes none, and no approval could be told",
    "AWS::CloudWatch::Alarm with Metrics": "MiniStack's alarms look at one metric each: no sums, no bands",
}
"""The kinds of resources that MiniStack cannot make, and what is so without them."""

ALARM = "AWS::CloudWatch::Alarm"


def emulated(template: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the template for a MiniStack that listens on this address."""
    resources = {name: _changed(name, resource, url) for name, resource in template["Resources"].items()}
    return {**template, "Resources": resources, "Outputs": _outputs(template["Outputs"], url)}


def _changed(name: str, resource: Resource, url: str) -> Resource:
    if _kind(resource) in NOT_MADE:
        return _name_only(resource)
    # How CodeDeploy would move an alias.
    kept = {key: value for key, value in resource.items() if key != "UpdatePolicy"}
    if resource["Type"] == "AWS::ApiGatewayV2::Authorizer":
        # Without a place to look for a credential AWS asks the function at every request; MiniStack then takes
        # `Authorization` for one, and asks at no request without it.
        return _with_properties(kept, IdentitySource=[])
    if name == "AuthorizerFunction":
        # The pool's keys are where MiniStack publishes them. The issuer is AWS's, as in the tokens.
        return _told(kept, JWKS_URL={"Fn::Sub": f"{url}/${{UserPool}}/.well-known/jwks.json"})
    if name == "DriftFunction":
        # The bucket refuses what comes without TLS, and MiniStack has none; what the role may there, a probe tries.
        return _told(kept, BASELINES="")
    return kept


def _outputs(outputs: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the outputs with the addresses at which MiniStack serves what AWS serves under names of its own."""
    api = {"Fn::Sub": f"{url}/_aws/execute-api/${{Api}}/$default"}
    moved = {"ApiUrl": api, "TokenUrl": f"{url}/oauth2/token"}
    return {name: {**output, "Value": moved.get(name, output["Value"])} for name, output in outputs.items()}


def _kind(resource: Mapping[str, Any]) -> str:
    kind: str = resource["Type"]
    return f"{kind} with Metrics" if kind == ALARM and "Metrics" in resource["Properties"] else kind


def _name_only(resource: Resource) -> Resource:
    """Return a parameter that nobody reads, so that policies and others still find a name where they name this."""
    kept = {key: resource[key] for key in ("Condition",) if key in resource}
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "-"}, **kept}


def _told(function: Resource, **variables: object) -> Resource:
    told = {**function["Properties"]["Environment"]["Variables"], **variables}
    return _with_properties(function, Environment={"Variables": told})


def _with_properties(resource: Resource, **properties: object) -> Resource:
    return {**resource, "Properties": {**resource["Properties"], **properties}}
