"""The template's API: a request reaches its function by way of the authorizer, and what it said is not logged."""

import ast
import json
import re
from pathlib import Path

import pytest

from moderato.access import is_open
from moderato.openapi import document
from tests.translated import Resource, Resources, arn, of_type, properties

FUNCTIONS = Path(__file__).parents[1] / "functions"
ROUTES = {
    "GET /healthz": "Predict",
    "POST /moderate": "Predict",
    "GET /model": "Predict",
    "GET /readyz": "Predict",
    "GET /openapi.json": "Predict",
    "ANY /{proxy+}": "Predict",
    "ANY /": "Predict",
    "ANY /feedback": "Feedback",
    "ANY /feedback/{proxy+}": "Feedback",
    "ANY /decisions": "Feedback",
    "ANY /decisions/{proxy+}": "Feedback",
    "ANY /reviews": "Feedback",
    "ANY /reviews/{proxy+}": "Feedback",
    "GET /loop": "Feedback",
    "GET /labels.manifest": "Feedback",
    "ANY /console": "Feedback",
    "ANY /console/{proxy+}": "Feedback",
}

# `$context` has more: the path, the query, the address, what an error says, and whatever the authorizer found.
LOGGED = {
    "requestId",
    "requestTime",
    "routeKey",
    "status",
    "responseLength",
    "responseLatency",
    "integrationLatency",
    "integrationStatus",
    "integration.requestId",
    "error.responseType",
}


def test_every_route_but_healthz_asks_the_authorizer(stack: Resources) -> None:
    unguarded = {key for key, route in routes(stack).items() if route["AuthorizationType"] != "CUSTOM"}
    assert unguarded == {"GET /healthz"}
    guarded = {key: route["AuthorizerId"] for key, route in routes(stack).items() if key not in unguarded}
    assert set(map(json.dumps, guarded.values())) == {'{"Ref": "Authorizer"}'}


def test_what_no_authorizer_guards_the_functions_keep_open_too() -> None:
    assert is_open("GET", "/healthz")


def test_each_route_leads_to_its_function(stack: Resources) -> None:
    targets = {key: route["Target"]["Fn::Sub"] for key, route in routes(stack).items()}
    assert targets == {key: f"integrations/${{{name}Integration}}" for key, name in ROUTES.items()}


def test_every_operation_of_the_api_reaches_the_function_that_has_it() -> None:
    operations = [(method.upper(), path) for path, there in document()["paths"].items() for method in there]
    assert len(operations) > 10
    of_room = {room: routes_of(room) for room in ("predict", "feedback")}
    for method, path in operations:
        room = integration_of(method, path.replace("{id}", "x")).lower()
        assert (method, path.replace("{id}", "<>")) in of_room[room]


def test_every_page_of_the_console_reaches_the_feedback_function() -> None:
    pages = {path for _, path in routes_of("feedback") if path.startswith("/console")}
    assert len(pages) > 5
    assert {integration_of("GET", path) for path in pages} == {"Feedback"}


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1alpha1/comments:analyze", "/$discovery/rest", "/nowhere", "/"])
def test_all_other_paths_reach_the_predict_function(path: str) -> None:
    assert integration_of("POST", path) == "Predict"


def test_the_authorizer_is_asked_at_every_request(stack: Resources) -> None:
    assert properties(stack, "Authorizer") == {
        "ApiId": {"Ref": "Api"},
        "Name": "platform",
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": {
            "Fn::Sub": [
                "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
                {"Function": arn("AuthorizerFunction")},
            ]
        },
        "AuthorizerPayloadFormatVersion": "2.0",
        "AuthorizerResultTtlInSeconds": 0,
        "EnableSimpleResponses": True,
    }


def test_the_api_is_throttled_and_logs_neither_texts_nor_keys_nor_people(stack: Resources) -> None:
    stage = properties(stack, "ApiStage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "100", "ThrottlingBurstLimit": "200"}
    assert stage["AccessLogSettings"]["DestinationArn"] == arn("AccessLogGroup")
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert {value.removeprefix("$context.") for value in logged.values()} == LOGGED


def test_the_api_calls_its_functions_and_no_other_api_may(stack: Resources) -> None:
    called = {
        "Predict": {"Ref": "PredictFunctionAliaslive"},
        "Feedback": arn("FeedbackFunction"),
        "Authorizer": arn("AuthorizerFunction"),
    }
    sources = {"Predict": "${Api}/*", "Feedback": "${Api}/*", "Authorizer": "${Api}/authorizers/${Authorizer}"}
    for name, tail in sources.items():
        permission = properties(stack, f"{name}Permission")
        assert permission["FunctionName"] == called[name]
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]["Fn::Sub"].endswith(f":execute-api:${{AWS::Region}}:${{AWS::AccountId}}:{tail}")
    for name in ("Predict", "Feedback"):
        assert properties(stack, f"{name}Integration")["IntegrationUri"] == called[name]


def routes(stack: Resources) -> dict[str, Resource]:
    """Return the properties of each route by its key."""
    return {
        one["Properties"]["RouteKey"]: one["Properties"] for one in of_type(stack, "AWS::ApiGatewayV2::Route").values()
    }


def integration_of(method: str, path: str) -> str:
    """Return the function that API Gateway chooses: the exact path first, then the longest that ends in {proxy+}."""
    found = [key for key in ROUTES if matches(key, method, path)]
    return ROUTES[max(found, key=lambda key: ("{" not in key, len(key), not key.startswith("ANY")))]


def matches(key: str, method: str, path: str) -> bool:
    """Return whether a route takes a request."""
    route_method, route_path = key.split(" ")
    pattern = re.escape(route_path).replace(re.escape("{proxy+}"), ".+")
    return route_method in ("ANY", method) and re.fullmatch(pattern, path) is not None


def routes_of(room: str) -> set[tuple[str, str]]:
    """Return the methods and paths of the routes that a function's modules declare; what varies in a path is <>."""
    found = set()
    for path in (FUNCTIONS / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found |= {route for one in node.decorator_list if (route := route_of(one)) is not None}
    return found


def route_of(decorator: ast.expr) -> tuple[str, str] | None:
    """Return the method and path of `@resolver.get("/...")` or `@site.open("GET", "/...")`."""
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
        return None
    texts = [one.value for one in decorator.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    method = texts[0] if len(texts) > 1 else decorator.func.attr
    if not texts or not texts[-1].startswith("/"):
        return None
    return method.upper(), re.sub(r"<\w+>", "<>", texts[-1])
