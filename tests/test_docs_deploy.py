"""The pages about deploying say what is so: parameters, outputs, alarms, commands, links, policies, sums."""

import io
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
import typer
import yaml
from moto import mock_aws

from drift.app import KEEP_EVENT
from local.cli import app
from moderato.dynamodb import DynamoStore, table_definition
from retraining.app import DUE, SCHEDULE, reason_of
from tests.records import decision, feedback
from tests.translated import RETRAINING, dashboard_of, deployed, source

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DEPLOY, OPERATIONS = ((DOCS / name).read_text() for name in ("deploy.md", "operations.md"))
README = (ROOT / "README.md").read_text()
PIPELINE = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
PAGES = {name: (DOCS / name).read_text() for name in ("deploy.md", "operations.md", "sagemaker.md", "schedulers.md")}
PAGES |= {"README.md": README}
MAX_POLICY_CHARACTERS = 6_144
"""What IAM allows in a managed policy, blanks not counted."""

each_page = pytest.mark.parametrize("page", PAGES)


def section(page: str, title: str) -> str:
    """Return the part of a page under a heading, up to the next one of its level."""
    level = re.search(rf"^(#+) {re.escape(title)}$", page, re.MULTILINE)
    assert level, title
    rest = page[level.end() :]
    end = re.search(rf"^#{{1,{len(level[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row but headings and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {index for index, row in enumerate(cells) if all(set(cell) <= {"-"} for cell in row)}
    return [row for index, row in enumerate(cells) if index not in rules and index + 1 not in rules]


def names(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def code(page: str) -> str:
    """Return all code of a page without its comments: its blocks, and what stands in backticks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(^|\s)# .*", "", "\n".join([*fenced, *names(rest)]), flags=re.MULTILINE)


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(group: typer.Typer, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the commands of an application, by the words that call them."""
    click = typer.main.get_command(group)
    found = getattr(click, "commands", {})
    for name, command in found.items():
        yield (*before, name)
        yield from ((*before, name, inner) for inner in getattr(command, "commands", {}))


def test_every_parameter_is_explained_with_its_default_and_no_other() -> None:
    explained = {names(row[0])[0]: row[1].strip("`") for row in rows(section(DEPLOY, "Parameters"))}
    defaults = {name: str(one["Default"]) or "empty" for name, one in source()["Parameters"].items()}
    assert explained == defaults


def test_every_output_is_explained_and_no_other() -> None:
    explained = [name for row in rows(section(DEPLOY, "Outputs")) for name in names(row[0])]
    assert sorted(explained) == sorted(source()["Outputs"])


def test_every_alarm_says_what_to_do_and_no_other() -> None:
    explained = [names(row[0])[0] for row in rows(section(OPERATIONS, "Alarms"))]
    assert sorted(explained) == sorted(alarms())


def test_the_alarms_that_take_a_rollout_back_are_named_and_no_other() -> None:
    told = next(line for line in section(OPERATIONS, "Deploy").splitlines() if line.startswith("3."))
    preference = source()["Resources"]["PredictFunction"]["Properties"]["DeploymentPreference"]
    asked = re.findall(r"'Ref': '(\w+)'", str(preference["Alarms"]))
    assert {name for name in names(told) if name.endswith("Alarm")} == set(asked)


def test_every_widget_of_the_dashboard_is_explained_in_its_order_and_no_other() -> None:
    body = re.sub(r": \$\{(\w+)\}", r': "\1"', dashboard_of(deployed(**RETRAINING)))
    titles = [widget["properties"]["title"] for widget in json.loads(body)["widgets"]]
    table = section(OPERATIONS, "The dashboard and the alarms").split("### Alarms")[0]
    assert [row[0] for row in rows(table)] == titles


def alarms() -> list[str]:
    """Return the names of the template's alarms."""
    return [name for name, one in source()["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"]


def test_every_variable_of_the_pipeline_is_explained_and_no_other() -> None:
    explained = {name for row in rows(section(DEPLOY, "A pipeline")) for name in names(row[0]) if name.isupper()}
    assert explained == set(re.findall(r"\bvars\.([A-Z_]+)", PIPELINE))


def test_every_job_of_the_pipeline_is_explained_and_no_other() -> None:
    explained = {name for row in rows(section(DEPLOY, "A pipeline")) for name in names(row[0]) if name.islower()}
    assert explained == set(yaml.safe_load(PIPELINE)["jobs"])


def test_the_page_makes_the_environments_that_the_pipeline_has_and_no_other() -> None:
    used = {job["environment"] for job in yaml.safe_load(PIPELINE)["jobs"].values() if "environment" in job}
    [made] = re.findall(r"^for ENVIRONMENT in (.+); do$", DEPLOY, re.MULTILINE)
    assert set(made.split()) == used


def test_no_role_that_deploys_can_change_a_role_of_the_pipeline() -> None:
    made = re.findall(r'aws iam create-role --role-name "?([\w$-]+)"? --assume-role-policy-document "\$\(trust', DEPLOY)
    [policy] = [json.loads(block) for block in blocks(section(DEPLOY, "The deploying role's policy"), "json")]
    [denied] = [one["Resource"] for one in policy["Statement"] if one["Effect"] == "Deny"]
    assert {f"arn:aws:iam::ACCOUNT:role/{name.replace('$STAGE', '*')}" for name in made} == set(denied)


def test_the_live_tests_may_do_what_they_do_and_no_more() -> None:
    [policy] = [json.loads(text) for text in written_by_shell(DEPLOY) if "FilterLogEvents" in text]
    allowed = {action: one for one in policy["Statement"] for action in actions_of(one)}
    assert set(allowed) == {
        "cloudformation:DescribeStacks",
        "lambda:GetFunctionConfiguration",
        "logs:FilterLogEvents",
        "dynamodb:Scan",
        "dynamodb:PutItem",
        "dynamodb:DeleteItem",
    }
    by_resource = {name: one for one in policy["Statement"] for name in made_by_the_template(one)}
    assert set(by_resource) == {"PredictFunction", "FeedbackFunction", "AuthorizerFunction", "Table", "KeysTable"}
    assert set(by_resource) <= set(source()["Resources"])
    assert actions_of(by_resource["Table"]) == ["dynamodb:Scan"]
    assert by_resource["Table"]["Condition"] == {"StringEquals": {"dynamodb:Select": "COUNT"}}
    groups = {one["Properties"]["LogGroupName"]["Fn::Sub"] for one in source()["Resources"].values() if is_log(one)}
    asked = {arn.split(":log-group:")[1].removesuffix(":*") for arn in allowed["logs:FilterLogEvents"]["Resource"]}
    assert {name.replace("moderato-dev", "${AWS::StackName}") for name in asked} <= groups


def is_log(resource: dict[str, Any]) -> bool:
    """Return whether a resource is a log group."""
    return bool(resource["Type"] == "AWS::Logs::LogGroup")


def made_by_the_template(statement: dict[str, Any]) -> list[str]:
    """Return the template's names of what a statement is about, for what CloudFormation names after the stack."""
    return re.findall(r"moderato-dev-([A-Z]\w+)-\*", json.dumps(statement["Resource"]))


@each_page
def test_every_make_target_that_is_named_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    stamps = {f".{name}" for name in re.findall(r"^\$\([A-Z_]+\)/(\.[a-z]+):", makefile, re.MULTILINE)}
    named = re.findall(r"(?:^|[;&|] *)make (?:[A-Z_]+=\S+ )*([a-z.][a-z./-]*)", code(PAGES[page]), re.MULTILINE)
    missing = {name for name in named if name not in targets and f".{Path(name).name}" not in stamps}
    assert named
    assert missing == set()


@each_page
def test_every_command_of_moderato_that_is_named_exists(page: str) -> None:
    known = set(commands(app))
    groups = {words[0] for words in known if len(words) == 2}
    for first, second in re.findall(
        r"(?:^|[\s/(`])moderato ([a-z]+)(?:[ ]+([a-z]+))?", code(PAGES[page]), re.MULTILINE
    ):
        words = (first, second) if first in groups and second else (first,)
        assert words in known, words


@each_page
def test_every_link_leads_somewhere(page: str) -> None:
    folder = ROOT if page == "README.md" else DOCS
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (folder / path) if path else folder / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_every_shell_block_can_be_read_by_a_shell(page: str) -> None:
    shell = blocks(PAGES[page], "sh")
    assert shell
    for block in shell:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


def test_every_policy_is_json_that_iam_takes() -> None:
    policies = [json.loads(block) for block in blocks(DEPLOY, "json")]
    written = [json.loads(text) for text in written_by_shell(DEPLOY)]
    assert (len(policies), len(written)) == (2, 5)
    for policy in [*policies, *written]:
        statements = policy["Statement"] if isinstance(policy, dict) else policy
        assert len(json.dumps(policy, separators=(",", ":"))) <= MAX_POLICY_CHARACTERS
        assert all("*" not in actions_of(statement) for statement in statements if "Effect" in statement)


def written_by_shell(page: str) -> Iterator[str]:
    """Yield what each here-document of JSON is once the shell has read it."""
    for document in re.findall(r"<<JSON\n.*?^JSON$", page, re.MULTILINE | re.DOTALL):
        yield subprocess.run(["bash", "-c", f"cat {document}\n"], capture_output=True, text=True, check=True).stdout


def actions_of(statement: dict[str, Any]) -> Sequence[str]:
    """Return the actions of a statement as a list."""
    actions: str | list[str] = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


def test_what_the_pages_call_a_stack_is_one_of_the_configurations() -> None:
    configuration = tomllib.loads((ROOT / "samconfig.toml").read_text())
    stacks = {one["global"]["parameters"]["stack_name"] for name, one in configuration.items() if name != "version"}
    named = set(re.findall(r"(?:STACK=|--stack-name )([a-z][a-z-]+)", code(DEPLOY) + code(OPERATIONS)))
    assert named <= stacks
    assert yaml.safe_load(PIPELINE)["jobs"]["live-tests"]["steps"][-1]["env"]["MODERATO_STACK"] in stacks


def test_a_million_texts_cost_what_the_lines_come_to() -> None:
    lines, total = table_with_sum("For a million texts")
    for _, price, _, at_1, at_25, cost_at_1, cost_at_25 in lines:
        assert f"{float(price) * float(at_1):.2f}" == cost_at_1
        assert f"{float(price) * float(at_25):.2f}" == cost_at_25
    assert total[5:] == [f"**{sum(float(line[column]) for line in lines):.2f}**" for column in (5, 6)]


@pytest.mark.parametrize(
    "beginning", ["A month, before the first request", "A month of `Retraining=true`", "A run of the pipeline"]
)
def test_a_month_and_a_run_cost_what_their_lines_come_to(beginning: str) -> None:
    lines, total = table_with_sum(beginning)
    assert all(f"{float(price) * float(quantity):.2f}" == cost for _, price, _, quantity, cost in lines)
    assert total[4] == f"**{sum(float(line[4]) for line in lines):.2f}**"


def test_the_months_count_the_alarms_of_the_template() -> None:
    usual, retraining = (
        sum(int(line[3]) for line in table_with_sum(beginning)[0] if line[2] == "alarm")
        for beginning in ("A month, before the first request", "A month of `Retraining=true`")
    )
    resources = source()["Resources"]
    conditional = [name for name in alarms() if resources[name].get("Condition") == "Retrains"]
    assert (usual, retraining) == (len(alarms()) - len(conditional), len(conditional))


def test_every_queue_log_and_rule_that_operations_name_is_the_templates() -> None:
    resources = source()["Resources"]
    queues = {name for name, one in resources.items() if one["Type"] == "AWS::SQS::Queue"}
    assert set(re.findall(r"\b\w+DeadLetters\b", OPERATIONS)) <= queues
    groups = {
        one["Properties"]["LogGroupName"]["Fn::Sub"].partition("}-")[2] for one in resources.values() if is_log(one)
    }
    [told] = [line for line in section(OPERATIONS, "Logs").splitlines() if "/aws/lambda/STACK-predict" in line]
    assert {name.rpartition("-")[2] for name in names(told)} == groups
    rules = {name for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
    paused = set(re.findall(r"\$STACK-([A-Z]\w+)'", section(OPERATIONS, "Pause retraining")))
    started = {name for name in rules if name.startswith("Retraining")}
    assert paused == started | {"DriftRings"}


def test_what_is_sent_by_hand_is_what_the_functions_wait_for() -> None:
    sent = [json.loads(text) for text in re.findall(r"--payload '(\{.*?\})'", DEPLOY + OPERATIONS)]
    kinds = [event["detail-type"] for event in sent]
    assert sorted(kinds) == sorted([SCHEDULE, DUE, KEEP_EVENT])
    assert [reason_of(event) for event in sent if event["detail-type"] == DUE] == ["hand"]


def test_the_deploying_role_may_make_what_retraining_needs() -> None:
    [policy] = [json.loads(block) for block in blocks(section(DEPLOY, "The deploying role's policy"), "json")]
    allowed = {
        (action, resource)
        for one in policy["Statement"]
        if one["Effect"] == "Allow"
        for action in actions_of(one)
        for resource in ([one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"])
    }
    here = "REGION:ACCOUNT"
    assert allowed >= {
        ("sagemaker:CreateModelPackageGroup", f"arn:aws:sagemaker:{here}:model-package-group/moderato-*"),
        ("sagemaker:AddTags", f"arn:aws:sagemaker:{here}:model-package-group/moderato-*"),
        ("events:*", f"arn:aws:events:{here}:api-destination/moderato-*"),
        ("events:CreateApiDestination", f"arn:aws:events:{here}:connection/moderato-*"),
        ("iam:PutRolePolicy", "arn:aws:iam::ACCOUNT:role/moderato-*"),
    }
    # The connection, which the pages make, is one that it may use, and its token one that it cannot read.
    [made] = re.findall(r"aws events create-connection --name (\S+)", DEPLOY)
    assert made.startswith("moderato-")
    assert not [one for one in allowed if "secretsmanager" in one[0] or "RetrieveConnection" in one[0]]


def test_the_models_that_are_fetched_lie_where_they_are_registered_from() -> None:
    [policy] = [json.loads(text) for text in written_by_shell(DEPLOY) if "ListModelPackages" in text]
    listing, fetching = policy["Statement"]
    assert actions_of(listing) == ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"]
    assert fetching["Resource"] == ["arn:aws:s3:::/models/*", "arn:aws:s3:::/retraining/*"]


@pytest.mark.parametrize("page", ["deploy.md", "operations.md", "sagemaker.md"])
def test_every_output_that_a_command_asks_for_is_one(page: str) -> None:
    asked = set(re.findall(r"\$\(output (\w+)\)", PAGES[page]))
    assert asked
    assert asked <= set(source()["Outputs"])


def table_with_sum(beginning: str) -> tuple[list[list[str]], list[str]]:
    """Return the lines of the first cost table after these words, and its sum."""
    text = section(OPERATIONS, "What it costs").split(f"**{beginning}", 1)[1]
    table = text[text.index("\n|") :].split("\n\n", 1)[0]
    *lines, total = rows(table)
    assert total[0] == "**sum**"
    return lines, total


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DynamoStore, DynamoStore]]:
    """The store in use, and one as it was before."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        client = boto3.client("dynamodb")
        for name in ("in-use", "restored"):
            client.create_table(**table_definition(name))
        yield DynamoStore(client, "in-use"), DynamoStore(client, "restored")


def restore() -> str:
    """Run the page's program that copies what is missing; return what it says."""
    found = re.search(r"<<'PYTHON'\n(.*?)^PYTHON$", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found
    arguments, sys.argv = sys.argv, ["-", "restored", "in-use"]
    try:
        with redirect_stdout(io.StringIO()) as said:
            exec(compile(found[1], "operations.md", "exec"), {})  # noqa: S102  # it is the page that is tested
    finally:
        sys.argv = arguments
    return said.getvalue().strip()


def test_restoring_brings_back_what_is_missing_and_nothing_that_was_erased(
    stores: tuple[DynamoStore, DynamoStore],
) -> None:
    in_use, restored = stores
    lost, kept, erased = (decision(decision_id=f"d_{name}") for name in ("lost", "kept", "erased"))
    restored.record_decisions([lost, kept, erased])
    restored.record_feedback(feedback(decision_id=erased.decision_id), "digest", None)
    in_use.record_decisions([kept, erased])
    in_use.delete_decision(erased.decision_id)
    assert restore() == "1 items copied"
    assert {one.decision_id for one in in_use.list_decisions(10).records} == {"d_lost", "d_kept"}


def test_restoring_brings_back_no_feedback_that_was_erased(stores: tuple[DynamoStore, DynamoStore]) -> None:
    in_use, restored = stores
    for store in stores:
        store.record_decisions([decision()])
        store.record_feedback(feedback(), "digest", None)
    in_use.delete_feedback("f_1")
    assert restore() == "0 items copied"
    assert len(restored.feedback_of("d_1")) == 1
    assert in_use.feedback_of("d_1") == []
