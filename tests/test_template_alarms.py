"""Alarms and the dashboard: each looks at a metric that is really there, and every trouble has an alarm."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from moderato.access import Refusal
from moderato.telemetry import NAMESPACE
from tests.translated import RETRAINING, Resources, dashboard_of, deployed, of_type, properties, statements

FUNCTIONS = Path(__file__).parents[1] / "functions"

LAMBDA = ({"FunctionName"}, {"FunctionName", "Resource"}, {"FunctionName", "Resource", "ExecutedVersion"})
AWS_METRICS: dict[str, dict[str, tuple[set[str], ...]]] = {
    "AWS/ApiGateway": {name: ({"ApiId"},) for name in ("Count", "Latency", "4xx", "5xx")},
    "AWS/Lambda": dict.fromkeys(("Errors", "Duration", "Throttles", "ConcurrentExecutions"), LAMBDA),
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible": ({"QueueName"},)},
    "AWS/DynamoDB": {
        name: ({"TableName"},)
        for name in ("WriteThrottleEvents", "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    },
}
"""What AWS publishes of these services, with the dimensions it does so by; an alarm on anything else is silent."""

ALARMS = {
    "ApiFailures": ("AWS/ApiGateway", "5xx", "Sum", 2),
    "ApiSlow": ("AWS/ApiGateway", "Latency", "p99", 5000),
    "PredictErrors": ("AWS/Lambda", "Errors", "Sum", 0),
    "PredictFailures": ("Moderato", "failed", "Sum", 2),
    "PredictSlow": ("AWS/Lambda", "Duration", "p99", 5000),
    "NewVersionErrors": ("AWS/Lambda", "Errors", "Sum", 0),
    "NewVersionSlow": ("AWS/Lambda", "Duration", "p99", 10000),
    "PredictThrottles": ("AWS/Lambda", "Throttles", "Sum", 0),
    "FeedbackErrors": ("AWS/Lambda", "Errors", "Sum", 0),
    "FeedbackThrottles": ("AWS/Lambda", "Throttles", "Sum", 0),
    "AuthorizerErrors": ("AWS/Lambda", "Errors", "Sum", 0),
    "AuthorizerThrottles": ("AWS/Lambda", "Throttles", "Sum", 0),
    "LabelingErrors": ("AWS/Lambda", "Errors", "Sum", 2),
    "TableThrottles": ("AWS/DynamoDB", "WriteThrottleEvents", "Sum", 0),
    "LabelingDeadLetters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0),
    "RolloutDeadLetters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0),
    "ScheduleDeadLetters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0),
    "OldestReview": ("Moderato", "oldest_review_seconds", "Maximum", 7 * 24 * 3600),
    "Drift": ("Moderato", "drifting_categories", "Maximum", 0),
    "DriftErrors": ("AWS/Lambda", "Errors", "Sum", 2),
    "DriftDeadLetters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0),
}
"""Metric, statistic and threshold of each alarm but the one on the rate of flags."""

ALARMS_OF_RETRAINING = {
    "RetrainingErrors": ("AWS/Lambda", "Errors", "Sum", 0),
    "RetrainingFailed": ("Moderato", "retraining_failed", "Sum", 0),
    "PipelineMissing": ("Moderato", "pipeline_missing", "Sum", 0),
    "RetrainingDeadLetters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0),
}
"""Those that a stack has besides where it retrains."""

ALARM = "AWS::CloudWatch::Alarm"
Metric = tuple[str, str, dict[str, Any]]


@pytest.mark.parametrize(
    ("shape", "known"), [({}, ALARMS), (RETRAINING, ALARMS | ALARMS_OF_RETRAINING)], ids=["defaults", "retraining"]
)
def test_alarms_ring_where_they_should(shape: dict[str, str], known: dict[str, object]) -> None:
    stack = deployed(**shape)
    alarms = {name.removesuffix("Alarm"): one["Properties"] for name, one in of_type(stack, ALARM).items()}
    assert set(alarms) == set(known) | {"FlagRate"}
    found = {
        name: (one["Namespace"], one["MetricName"], statistic(one), one["Threshold"]) for name, one in plain(alarms)
    }
    assert found == known
    assert {one["ComparisonOperator"] for _, one in plain(alarms)} == {"GreaterThanThreshold"}


def test_what_is_measured_once_a_day_rings_for_a_day() -> None:
    stack = deployed(**RETRAINING)
    daily = ("DriftAlarm", "RetrainingFailedAlarm", "PipelineMissingAlarm")
    assert {properties(stack, name)["Period"] for name in daily} == {86400}
    # What is measured each day is never missing from a window of two, which slides: else it would ring anew each day.
    assert [properties(stack, name)["EvaluationPeriods"] for name in daily] == [2, 1, 1]
    assert properties(stack, "DriftAlarm")["DatapointsToAlarm"] == 1


def test_a_retraining_function_that_runs_out_of_time_each_hour_rings() -> None:
    # Its lease outlives it, so its repetition leaves without an error: there is one an hour, and no dead letter.
    alarm = properties(deployed(**RETRAINING), "RetrainingErrorsAlarm")
    assert (alarm["Threshold"], alarm["Period"]) == (0, 3600)
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 3)


def test_somebody_is_told_of_every_alarm_and_that_it_is_over(stack: Resources) -> None:
    for name, alarm in of_type(stack, ALARM).items():
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["Properties"]["OKActions"] == [{"Ref": "AlarmTopic"}]
        assert len(alarm["Properties"]["AlarmDescription"].split()) > 5
        # Nothing is measured where nothing fails; only the age of reviews is measured each hour.
        silence = "breaching" if name == "OldestReviewAlarm" else "notBreaching"
        assert alarm["Properties"]["TreatMissingData"] == silence


def test_cloudwatch_may_publish_to_the_topic_and_use_its_key() -> None:
    stack = deployed()
    [publish] = [one for one in statements(stack, "AlarmTopicPolicy") if one["Effect"] == "Allow"]
    assert (publish["Principal"], publish["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    [use] = [one for one in properties(stack, "AlarmKey")["KeyPolicy"]["Statement"] if one["Sid"] == "Alarms"]
    assert use["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_an_address_is_told_if_there_is_one() -> None:
    assert "AlarmSubscription" not in deployed()
    told = properties(deployed(AlarmEmail="ops@example.org"), "AlarmSubscription")
    assert (told["TopicArn"], told["Protocol"], told["Endpoint"]) == ({"Ref": "AlarmTopic"}, "email", "ops@example.org")


def test_every_queue_has_its_alarm(stack: Resources) -> None:
    watched = {one["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0] for one in alarms_on(stack, "AWS/SQS")}
    assert watched == set(of_type(stack, "AWS::SQS::Queue"))


def test_errors_of_every_function_ring(stack: Resources) -> None:
    watched = {one["Properties"]["Dimensions"][0]["Value"]["Ref"] for one in alarms_on(stack, "AWS/Lambda")}
    # Whatever the hook of a rollout fails at goes to its dead letters, which have an alarm.
    assert watched == set(of_type(stack, "AWS::Lambda::Function")) - {"RolloutFunction"}


def test_alarms_of_a_rollout_look_at_the_new_version_of_the_live_alias(stack: Resources) -> None:
    [version] = [name for name in of_type(stack, "AWS::Lambda::Version") if name.startswith("PredictFunctionVersion")]
    for name in ("NewVersionErrorsAlarm", "NewVersionSlowAlarm"):
        found = {one["Name"]: one["Value"] for one in properties(stack, name)["Dimensions"]}
        assert found == {
            "FunctionName": {"Ref": "PredictFunction"},
            "Resource": {"Fn::Sub": "${PredictFunction}:live"},
            "ExecutedVersion": {"Fn::GetAtt": [version, "Version"]},
        }


def test_every_alarm_looks_at_a_metric_that_is_there(stack: Resources) -> None:
    found = [metric for alarm in of_type(stack, ALARM).values() for metric in metrics_of(alarm["Properties"])]
    assert len(found) > len(ALARMS)
    assert [metric for metric in found if not is_there(metric)] == []


def test_the_rate_of_flags_is_that_of_all_texts_and_has_its_model() -> None:
    stack = deployed()
    alarm, model = properties(stack, "FlagRateAlarm"), properties(stack, "FlagRateModel")
    band, *queries = alarm["Metrics"]
    assert alarm["ThresholdMetricId"] == band["Id"]
    assert band["Expression"] == "ANOMALY_DETECTION_BAND(rate, 4)"
    assert alarm["ComparisonOperator"] == "LessThanLowerOrGreaterThanUpperThreshold"
    assert model["MetricMathAnomalyDetector"]["MetricDataQueries"] == queries
    counted = {one["MetricStat"]["Metric"]["MetricName"] for one in queries if "MetricStat" in one}
    assert counted == {"decided_allow", "decided_review", "decided_block"}
    [rate] = [one["Expression"] for one in queries if one["Id"] == "rate"]
    assert rate == "IF(allow + review + block >= 100, 100 * (review + block) / (allow + review + block))"


def test_the_dashboard_shows_metrics_that_are_there(stack: Resources) -> None:
    shown = [metric for widget in widgets(stack) for metric in shown_by(widget)]
    assert len(shown) > 40
    assert [metric for metric in shown if not is_there(metric)] == []


def test_the_dashboard_shows_every_alarm(stack: Resources) -> None:
    [shown] = [widget["properties"]["alarms"] for widget in widgets(stack) if widget["type"] == "alarm"]
    assert sorted(shown) == sorted(f"${{{name}.Arn}}" for name in of_type(stack, ALARM))


def test_stacks_of_one_name_in_two_regions_have_a_dashboard_each(stack: Resources) -> None:
    # An account has its dashboards in all regions together.
    assert properties(stack, "Dashboard")["DashboardName"] == {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}


def test_the_dashboard_names_resources_of_the_stack(stack: Resources) -> None:
    named = set(re.findall(r"\$\{(\w+)[.}]", dashboard_of(stack)))
    assert named - {"PredictMemory", "FewestLabels"} <= set(stack)


def test_the_dashboard_shows_what_retrains_only_where_something_does() -> None:
    shown = [widget["properties"]["title"] for widget in widgets(deployed(**RETRAINING))]
    usual = [widget["properties"]["title"] for widget in widgets(deployed())]
    assert shown[: len(usual)] == usual
    assert [title.split(":")[0] for title in shown[len(usual) :]] == ["Retraining", "Retraining"]
    assert "etraining" not in dashboard_of(deployed())


def test_the_latest_errors_are_those_of_every_function(stack: Resources) -> None:
    [query] = [widget["properties"]["query"] for widget in widgets(stack) if widget["type"] == "log"]
    groups = {name for name in of_type(stack, "AWS::Logs::LogGroup") if name != "AccessLogGroup"}
    assert set(re.findall(r"SOURCE '\$\{(\w+)\}' \|", query)) == groups


def test_the_dashboard_shows_errors_of_every_function_and_letters_of_every_queue(stack: Resources) -> None:
    shown = [metric for widget in widgets(stack) for metric in shown_by(widget)]
    failing = {found["FunctionName"].strip("${}") for _, name, found in shown if name == "Errors"}
    assert failing == set(of_type(stack, "AWS::Lambda::Function"))
    letters = {found["QueueName"][2:].split(".")[0] for space, _, found in shown if space == "AWS/SQS"}
    assert letters == set(of_type(stack, "AWS::SQS::Queue"))


def test_the_cost_that_is_shown_is_of_the_memory_that_functions_have(stack: Resources) -> None:
    [widget] = [one for one in widgets(stack) if "GB-seconds" in one["properties"]["title"]]
    lines = [line[0] for line in widget["properties"]["metrics"]]
    shown = {line["label"]: line["expression"] for line in lines if isinstance(line, dict)}
    assert shown == {
        "predict": "predict / 1000 * ${PredictMemory} / 1024",
        # Milliseconds of a function that has one GB.
        "feedback": "feedback / 1000",
        "authorizer": "authorizer / 1000",
    }
    assert {properties(stack, f"{name}Function")["MemorySize"] for name in ("Feedback", "Authorizer")} == {1024}


def test_widgets_of_the_dashboard_lie_side_by_side() -> None:
    taken = [
        (x, y)
        for one in widgets(deployed(**RETRAINING))
        for x in range(one["x"], one["x"] + one["width"])
        for y in range(one["y"], one["y"] + one["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23


def test_the_rules_can_see_metrics() -> None:
    assert emits("predict", "decided_block")
    assert emits("feedback", "feedback_recorded")
    assert emits("drift", "recent_reversal_rate")
    assert emits("retraining", "champion_kept")
    assert emits("retraining", "package_rejected")
    assert not emits("retraining", "drifting_categories")
    assert not emits("predict", "feedback_recorded")
    assert not emits("predict", "decided")
    assert not is_there(("AWS/Lambda", "Error", {"FunctionName": "x"}))
    assert not is_there(("AWS/ApiGateway", "5xx", {"ApiName": "x"}))


def plain(alarms: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the alarms that look at one metric."""
    return [(name, one) for name, one in alarms.items() if "MetricName" in one]


def statistic(alarm: dict[str, Any]) -> str:
    """Return an alarm's statistic."""
    return str(alarm.get("Statistic") or alarm["ExtendedStatistic"])


def alarms_on(stack: Resources, namespace: str) -> list[dict[str, Any]]:
    """Return the alarms that look at metrics of this namespace."""
    return [one for one in of_type(stack, ALARM).values() if one["Properties"].get("Namespace") == namespace]


def metrics_of(alarm: dict[str, Any]) -> list[Metric]:
    """Return what an alarm looks at."""
    queries = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", [alarm]) if "MetricStat" in one]
    found = queries or [alarm]
    return [(one["Namespace"], one["MetricName"], dimensions(one["Dimensions"])) for one in found]


def dimensions(given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return dimensions by their names."""
    return {one["Name"]: one["Value"] for one in given}


def widgets(stack: Resources) -> list[dict[str, Any]]:
    """Return what is on the dashboard."""
    # A number of the parameters is no JSON before it is put in.
    body = re.sub(r": \$\{(\w+)\}", r': "\1"', dashboard_of(stack))
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def shown_by(widget: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of a widget; expressions stand on them."""
    for line in widget["properties"].get("metrics", []):
        if isinstance(line[0], str):
            namespace, name, *named = [part for part in line if isinstance(part, str)]
            yield namespace, name, dict(zip(named[::2], named[1::2], strict=True))


def is_there(metric: Metric) -> bool:
    """Return whether AWS publishes a metric, or a function of ours emits it."""
    namespace, name, found = metric
    if namespace == NAMESPACE:
        # Without the stack, two deployments in one region would count together.
        in_this_stack = found.pop("stack", None) in ({"Ref": "AWS::StackName"}, "${AWS::StackName}")
        return in_this_stack and set(found) == {"service"} and emits(str(found["service"]), name)
    return set(found) in AWS_METRICS.get(namespace, {}).get(name, ())


def emits(room: str, name: str) -> bool:
    """Return whether the modules of a function count or measure this."""
    return any(re.fullmatch(pattern, name) for pattern in emitted(room))


@cache
def emitted(room: str) -> frozenset[str]:
    """Return patterns of the names that a function's modules count or measure."""
    assert f'SERVICE = "{room}"' in (FUNCTIONS / room / "main.py").read_text()
    # Failures are counted for every app in one place.
    paths = [*(FUNCTIONS / room).glob("*.py"), FUNCTIONS / "moderato" / "api.py"]
    modules = [ast.parse(path.read_text()) for path in paths]
    return frozenset(pattern for module in modules for said in said_by(module) for pattern in said)


def said_by(module: ast.Module) -> Iterator[Iterator[str]]:
    """Yield patterns of the names of each call that counts or measures."""
    known = {ast.unparse(node.targets[0]): node.value for node in module.body if isinstance(node, ast.Assign)}
    known |= {name: value for node in ast.walk(module) if isinstance(node, ast.For) for name, value in looped(node)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if ast.unparse(node.func).rsplit(".", 1)[-1].lstrip("_") in ("count", "measure"):
            yield names(node.args[0], known)


def looped(loop: ast.For) -> Iterator[tuple[str, ast.expr]]:
    """Yield the variables of a loop over rows that are written out, each with all that it will be."""
    if isinstance(loop.target, ast.Tuple) and isinstance(loop.iter, ast.Tuple):
        rows = [row.elts for row in loop.iter.elts if isinstance(row, ast.Tuple)]
        for variable, values in zip(loop.target.elts, zip(*rows, strict=True), strict=True):
            yield ast.unparse(variable), ast.Tuple(list(values))


def names(said: ast.expr, known: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield patterns of what a call counts: what varies in it is one of the words that can stand there."""
    if isinstance(said, ast.Name):
        yield from names(known[said.id], known) if said.id in known else ()
    elif isinstance(said, ast.Subscript):
        yield from names(known[ast.unparse(said.value)], known)
    elif isinstance(said, ast.Tuple | ast.Dict):
        for each in said.elts if isinstance(said, ast.Tuple) else said.values:
            yield from names(each, known)
    elif isinstance(said, ast.IfExp):
        yield from names(said.body, known)
        yield from names(said.orelse, known)
    elif isinstance(said, ast.JoinedStr) and isinstance(said.values[0], ast.Constant):
        begin = str(said.values[0].value)
        yield f"{begin}{VARYING[begin]}"
    elif isinstance(said, ast.Constant):
        yield re.escape(str(said.value))


VARYING = {
    "decided_": "(allow|review|block)",
    "refused_": f"({'|'.join(Refusal)})",
    "review_": "(annotated|skipped|adjudicated)",
    "rollout_": "(succeeded|failed)",
}
