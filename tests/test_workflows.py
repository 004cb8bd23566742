"""The pipeline's rules: what runs is pinned, nothing is stored, and what is deployed is what was tested."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
STAGES = ["test", "model", "build", "push", "scan", "deploy-dev", "live-tests", "deploy-prod"]
TAKES_A_ROLE = "aws-actions/configure-aws-credentials"
RUNS_WHAT_OTHERS_WROTE = re.compile(r"\b(?:pip|make|pytest|sam|npm|uv|docker (?:build|run))\b")

Job = Mapping[str, Any]
Step = Mapping[str, Any]

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> Mapping[Any, Any]:
    """Return a workflow as data; YAML 1.1 reads the key `on` as True."""
    workflow: Mapping[Any, Any] = yaml.safe_load(path.read_text())
    return workflow


def jobs(path: Path) -> Mapping[str, Job]:
    """Return a workflow's jobs by name."""
    found: Mapping[str, Job] = read(path)["jobs"]
    return found


def steps(path: Path) -> Iterator[Step]:
    """Yield every step of a workflow."""
    for job in jobs(path).values():
        yield from job.get("steps", [])


def deployment() -> Mapping[str, Job]:
    """Return the jobs that lead from a commit to production."""
    return jobs(ROOT / ".github" / "workflows" / "deploy.yml")


def commands(job: Job) -> str:
    """Return all that a job's steps run."""
    return "\n".join(step.get("run", "") for step in job.get("steps", []))


def role_step(job: Job) -> Step | None:
    """Return the step by which a job takes its role, if it does."""
    return next((step for step in job.get("steps", []) if step.get("uses", "").startswith(TAKES_A_ROLE)), None)


def kept(name: str, artifact: str) -> list[str]:
    """Return the paths that a job keeps in an artifact for later jobs."""
    given = [step["with"] for step in deployment()[name]["steps"] if "upload-artifact@" in step.get("uses", "")]
    return [path for each in given if each["name"] == artifact for path in each["path"].split()]


def taken(name: str) -> dict[str, str]:
    """Return the artifacts that a job takes from earlier ones, and the folders that they go to."""
    given = [step["with"] for step in deployment()[name]["steps"] if "download-artifact@" in step.get("uses", "")]
    return {each["name"]: each["path"] for each in given}


def test_there_are_two_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "deploy.yml"]


@each_workflow
def test_every_action_is_pinned_by_a_commit_with_its_version_beside_it(path: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.match(line) and not line.startswith("uses: ./.github/")] == []


def test_an_action_has_one_version_in_all_workflows() -> None:
    text = "\n".join(path.read_text() for path in WORKFLOWS)
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"uses: ([\w.-]+/[\w./-]+)@(\S+ # \S+)", text):
        versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@each_workflow
def test_nothing_is_permitted_unless_a_job_asks_for_it_and_none_may_write(path: Path) -> None:
    assert read(path)["permissions"] == {}
    for name, job in jobs(path).items():
        assert set(job["permissions"].items()) <= {("contents", "read"), ("id-token", "write")}, name


@each_workflow
def test_only_jobs_that_take_a_role_may_ask_for_a_token(path: Path) -> None:
    for name, job in jobs(path).items():
        assert (role_step(job) is not None) == ("id-token" in job["permissions"]), name


@each_workflow
def test_no_key_is_stored(path: Path) -> None:
    assert "secrets" not in path.read_text()
    roles = [step["with"] for step in steps(path) if step.get("uses", "").startswith(TAKES_A_ROLE)]
    for each in roles:
        assert {"role-to-assume", "aws-region"} <= set(each)
        assert not {"aws-access-key-id", "aws-secret-access-key"} & set(each)


@each_workflow
def test_what_others_can_write_reaches_commands_through_the_environment_only(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@each_workflow
def test_the_checkout_leaves_no_token_behind(path: Path) -> None:
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


@each_workflow
def test_every_job_ends_and_none_runs_beside_itself(path: Path) -> None:
    assert read(path)["concurrency"]["group"]
    assert [name for name, job in jobs(path).items() if "steps" in job and "timeout-minutes" not in job] == []


@each_workflow
def test_code_of_a_pull_request_never_runs_with_rights(path: Path) -> None:
    triggers = set(read(path)[True])
    assert triggers <= {"push", "pull_request", "workflow_call", "workflow_dispatch", "repository_dispatch"}
    if "pull_request" in triggers:
        assert all("id-token" not in job["permissions"] for job in jobs(path).values())


def test_main_and_an_approved_model_start_a_deployment() -> None:
    triggers = read(ROOT / ".github" / "workflows" / "deploy.yml")[True]
    assert triggers["push"] == {"branches": ["main"]}
    assert triggers["repository_dispatch"] == {"types": ["model-approved"]}


def test_each_stage_waits_for_the_one_before_it() -> None:
    found = deployment()
    assert list(found) == STAGES
    assert [found[name].get("needs") for name in STAGES] == [None, *STAGES[:-1]]


def test_a_deployment_is_never_cut_off_by_another() -> None:
    assert read(ROOT / ".github" / "workflows" / "deploy.yml")["concurrency"]["cancel-in-progress"] is False


def test_only_main_is_built_and_only_where_there_is_a_role() -> None:
    condition = deployment()["model"]["if"]
    assert "github.ref == 'refs/heads/main'" in condition
    assert "vars.AWS_BUILD_ROLE != ''" in condition


def test_a_stage_is_deployed_from_its_environment_which_may_ask_for_an_approval() -> None:
    environments = {name: job.get("environment") for name, job in deployment().items()}
    assert environments == {
        **dict.fromkeys(STAGES),
        "deploy-dev": "dev",
        "live-tests": "dev-tests",
        "deploy-prod": "prod",
    }


def test_images_are_built_once_and_both_stages_deploy_the_same_template() -> None:
    found = deployment()
    assert [name for name in STAGES if re.search(r"make build|sam build|save-images", commands(found[name]))] == [
        "build"
    ]
    deployed = {name: commands(found[name]) for name in ("deploy-dev", "deploy-prod")}
    assert all("--template-file build/packaged.yaml" in command for command in deployed.values())
    assert deployed["deploy-dev"].replace("--config-env dev", "--config-env prod") == deployed["deploy-prod"]


def test_a_stage_finds_its_configuration() -> None:
    # sam looks for it beside the template, and this one lies in build/.
    for stage in ("deploy-dev", "deploy-prod"):
        assert '--config-file "$PWD/samconfig.toml"' in commands(deployment()[stage])


def test_images_are_named_by_digest_before_anything_is_scanned_or_deployed() -> None:
    push, scan = (commands(deployment()[name]) for name in ("push", "scan"))
    assert ".ci/push-images build/built.yaml build/packaged.yaml" in push
    assert ".ci/scan-images build/packaged.yaml" in scan
    assert kept("push", "packaged") == ["build/packaged.yaml"]
    assert [taken(name)["packaged"] for name in ("scan", "deploy-dev", "deploy-prod")] == ["build"] * 3


def test_a_model_is_proven_before_it_is_built_into_an_image() -> None:
    assert ".ci/fetch-model build/approved" in commands(deployment()["model"])
    assert kept("model", "model") == ["build/approved"]
    assert taken("build") == {"model": "build/approved"}
    build = commands(deployment()["build"])
    assert build.index(".ci/check-model build/approved") < build.index("make build MODEL=build/approved")


def test_images_are_run_and_asked_and_packages_audited_before_anything_is_handed_to_push() -> None:
    build = commands(deployment()["build"])
    order = [build.index(each) for each in ("pip-audit --strict", "make build", "pytest tests/images", "save-images")]
    assert order == sorted(order)


def test_what_is_pushed_is_what_was_built() -> None:
    # upload-artifact leaves hidden folders out, such as .aws-sam.
    build, push = (commands(deployment()[name]) for name in ("build", "push"))
    assert "cp .aws-sam/build/template.yaml build/built.yaml" in build
    assert ".ci/save-images build/built.yaml build/images.tar.gz" in build
    assert kept("build", "images") == ["build/built.yaml", "build/images.tar.gz"]
    assert taken("push") == {"images": "build"}
    assert push.index("docker load --input build/images.tar.gz") < push.index(".ci/push-images build/built.yaml")


def test_the_event_is_only_ever_a_variable() -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert re.findall(r"^.*client_payload.*$", text, re.MULTILINE) == [
        "          EVENT_MODEL: ${{ github.event.client_payload.model_package_arn }}"
    ]


def test_each_job_takes_the_role_of_what_it_does() -> None:
    roles = {name: step["with"]["role-to-assume"] for name, job in deployment().items() if (step := role_step(job))}
    assert roles == {
        "model": "${{ vars.AWS_MODEL_ROLE || vars.AWS_BUILD_ROLE }}",
        "push": "${{ vars.AWS_BUILD_ROLE }}",
        "scan": "${{ vars.AWS_BUILD_ROLE }}",
        "deploy-dev": "${{ vars.AWS_DEPLOY_ROLE }}",
        "live-tests": "${{ vars.AWS_LIVE_ROLE }}",
        "deploy-prod": "${{ vars.AWS_DEPLOY_ROLE }}",
    }


def test_no_job_that_could_take_the_build_role_runs_what_others_wrote() -> None:
    # A token names the branch or the environment: without one, that of any job is enough for the build role.
    found = deployment()
    could = [name for name, job in found.items() if "id-token" in job["permissions"] and "environment" not in job]
    assert could == ["model", "push", "scan"]
    assert {name: RUNS_WHAT_OTHERS_WROTE.findall(commands(found[name])) for name in could} == {
        each: [] for each in could
    }
    used = [step["uses"].split("@")[0] for name in could for step in found[name]["steps"] if "uses" in step]
    assert {name.split("/")[0] for name in used} == {"actions", "aws-actions"}


def test_no_job_that_tests_could_take_a_role_that_deploys() -> None:
    environments = {job.get("environment") for job in deployment().values() if "AWS_DEPLOY_ROLE" in str(job)}
    testing = [job for job in deployment().values() if "pytest" in commands(job) and "id-token" in job["permissions"]]
    assert testing
    assert not environments & {job.get("environment") for job in testing}


def test_no_role_is_taken_where_there_is_no_model_registry() -> None:
    step = role_step(deployment()["model"])
    assert step
    assert step["if"] == "vars.MODEL_GROUP != ''"
    assert "cp -R models/starter build/approved" in commands(deployment()["model"])


def test_what_is_installed_is_installed_before_a_role_is_taken() -> None:
    for name, job in deployment().items():
        installs = [index for index, step in enumerate(job.get("steps", [])) if "make " in step.get("run", "")]
        role = role_step(job)
        assert role is None or all(index < job["steps"].index(role) for index in installs), name


def test_the_live_tests_are_asked_of_the_stage_that_was_just_deployed() -> None:
    step = next(step for step in deployment()["live-tests"]["steps"] if "tests/live" in step.get("run", ""))
    assert step["env"]["MODERATO_STACK"] == "moderato-dev"


def test_the_live_tests_know_the_model_that_was_deployed() -> None:
    asked = deployment()["live-tests"]["steps"][-1]["env"]["MODEL_DIR"]
    assert kept("model", "model") == [asked]
    assert taken("live-tests") == {"model": asked}


def test_new_releases_are_proposed_for_actions_and_packages() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {each["package-ecosystem"]: each["directory"] for each in updates} == {
        "github-actions": "/",
        "pip": "/requirements",
    }
