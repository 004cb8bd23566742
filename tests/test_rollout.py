"""The hook before traffic shifts: a version gets traffic when it gives the golden answers, and at any doubt none."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.access import require_access
from moderato.artifact import Manifest, record_file, write_manifest
from moderato.policy import Policy, Threshold, default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from predict.app import create_app as create_predict
from rollout.app import QUESTION_SECONDS, create_app
from rollout.version import NewVersion
from tests.conftest import App
from tests.http_services import listening
from tests.made_models import STARTER
from tests.records import logger_to

HOOK = {"DeploymentId": "d-ABCDEF", "LifecycleEventHookExecutionId": "hook-1"}
ARN = "arn:aws:lambda:eu-central-1:111122223333:function:predict:7"
LAST = 63
"""The index of the last golden text."""

Change = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Changes what the new version answers on a path."""


class Throttled(Exception):
    """Lambda would not invoke the function."""


class Clock(LambdaContext):
    """The context of a hook whose time runs out after a number of looks at it."""

    def __init__(self, looks: int = 1_000) -> None:
        """Have time enough for as many questions."""
        self._looks = looks

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # a static method there
        """Tell what is left."""
        self._looks -= 1
        return (QUESTION_SECONDS if self._looks >= 0 else QUESTION_SECONDS - 1) * 1000


@dataclass
class World:
    """Lambda with a new version of the predict function, CodeDeploy, and what the hook said to both."""

    app: App
    change: Change = lambda _path, answer: answer
    told: list[Mapping[str, object]] = field(default_factory=list)
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    logs: StringIO = field(default_factory=StringIO)
    counts: Counter[str] = field(default_factory=Counter)

    def invoke(self, **request: Any) -> dict[str, Any]:
        """Invoke, as Lambda does: JSON in, JSON out."""
        assert (request["FunctionName"], request["InvocationType"]) == (ARN, "RequestResponse")
        event = json.loads(request["Payload"])
        self.asked.append(event)
        answer = self.change(event["rawPath"], self.app(event, LambdaContext()))
        return {"StatusCode": 200, "Payload": BytesIO(json.dumps(answer).encode())}

    def put_lifecycle_event_hook_execution_status(self, **request: object) -> dict[str, Any]:
        """PutLifecycleEventHookExecutionStatus."""
        self.told.append(request)
        return {}

    def status(self, model: Path = STARTER, context: LambdaContext | None = None) -> str:
        """Call the hook and return what CodeDeploy was told, once and of this deployment."""
        count = lambda name: self.counts.update([name])  # noqa: E731
        hook = create_app(model, NewVersion(self, ARN), self, logger_to(self.logs), count)
        hook(dict(HOOK), context or Clock())
        [told] = self.told
        assert told == {
            "deploymentId": "d-ABCDEF", "lifecycleEventHookExecutionId": "hook-1", "status": told["status"],
        }  # fmt: skip
        assert self.counts == {f"rollout_{str(told['status']).lower()}": 1}
        return str(told["status"])

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind."""
        return [line for line in map(json.loads, self.logs.getvalue().splitlines()) if line["message"] == message]


def deployed(scorer: Scorer, store: SqliteStore, policy: Policy | None = None) -> App:
    """Build the predict app as it is deployed: guarded, and keeping whatever it may."""
    return create_predict(
        scorer=scorer,
        card="# The card",
        policies={"default": policy or default_policy(scorer.manifest)},
        store=store,
        retention=Retention(Keep.ALL, 1.0, lambda: 0.0),
        logger=logger_to(StringIO()),
        guard=require_access,
    )


@pytest.fixture
def world(scorer: Scorer, store: SqliteStore) -> World:
    """A new version with the model that was tested."""
    return World(deployed(scorer, store))


def edited(answer: dict[str, Any], edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return an answer whose body was edited."""
    body = json.loads(answer["body"])
    edit(body)
    return answer | {"body": json.dumps(body)}


def on(path: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Return a change of the answers on one path alone."""
    return lambda asked, answer: edited(answer, edit) if asked == path else answer


def off_by(difference: float, index: int = LAST) -> Change:
    """Return a change that moves a score of one text."""

    def move(body: dict[str, Any]) -> None:
        for result in body["results"]:
            if result["id"] == str(index):
                result["scores"]["threat"] += difference

    return on("/moderate", move)


def test_the_model_that_was_tested_gets_traffic(world: World) -> None:
    assert world.status() == "Succeeded"
    [line] = world.lines("new_version_accepted")
    assert line["largest_difference"] <= 0.04


def test_the_whole_golden_set_is_asked_in_a_few_requests_and_nothing_of_it_is_kept(
    world: World, store: SqliteStore
) -> None:
    world.status()
    bodies = [json.loads(event["body"]) for event in world.asked if event["rawPath"] == "/moderate"]
    golden = [json.loads(line)["text"] for line in (STARTER / "golden.jsonl").read_text().splitlines()]
    assert [item["text"] for body in bodies for item in body["items"]] == golden
    assert len(golden) == 64
    assert len(bodies) == 4
    assert store.list_decisions(1).records == []


def test_other_thresholds_are_no_reason_to_refuse(scorer: Scorer, store: SqliteStore) -> None:
    policy = Policy("default", 9, {"insult": Threshold(0.01, 0.02)})
    assert World(deployed(scorer, store, policy)).status() == "Succeeded"


def test_swapped_labels_are_refused_though_the_version_says_it_has_the_model(
    scorer: Scorer, store: SqliteStore
) -> None:
    first, *middle, last = scorer.manifest.categories
    swapped = msgspec.structs.replace(
        scorer.manifest,
        categories=tuple(
            msgspec.structs.replace(category, name=name.name)
            for category, name in zip(scorer.manifest.categories, [last, *middle, first], strict=True)
        ),
    )
    world = World(deployed(Scorer.open(STARTER, swapped), store))
    assert world.status() == "Failed"
    assert {line["category"] for line in world.lines("golden_text_missed")} == {first.name, last.name}


def test_changed_weights_are_refused_though_the_version_says_it_has_the_model(
    scorer: Scorer, store: SqliteStore, tmp_path: Path
) -> None:
    directory = shutil.copytree(STARTER, tmp_path / "model")
    content = bytearray((directory / "model.onnx").read_bytes())
    end = len(content) * 9 // 10  # layers lie there; words that no golden text has lie before them
    content[end : end + 4_000] = bytes(value ^ 0x40 for value in content[end : end + 4_000])
    (directory / "model.onnx").write_bytes(content)
    world = World(deployed(Scorer.open(directory, scorer.manifest), store))
    assert world.status() == "Failed"
    assert world.lines("golden_text_missed")


@pytest.mark.parametrize(("difference", "status"), [(0.03, "Succeeded"), (0.05, "Failed"), (-0.05, "Failed")])
def test_one_score_of_the_last_text_decides(world: World, difference: float, status: str) -> None:
    world.change = off_by(difference)
    assert world.status() == status


def test_the_log_says_which_text_is_off_and_how_far_and_never_its_words(world: World) -> None:
    world.change = off_by(0.5, index=0)
    world.status()
    [line] = world.lines("golden_text_missed")
    assert (line["index"], line["category"]) == (0, "threat")
    assert line["found"] - line["expected"] == pytest.approx(0.5, abs=0.04)
    [line] = world.lines("new_version_refused")
    assert line["reason"] == "1 of 64 golden texts have other scores than the model was made with"
    assert "complete idiot" not in world.logs.getvalue()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (on("/readyz", lambda body: body.update(status="starting")), "GET /readyz was not answered as"),
        (on("/model", lambda body: body["manifest"].update(sha256="0" * 64)), "the new version has the model starter"),
        (on("/model", lambda body: body.pop("manifest")), "GET /model was not answered as"),
        (on("/moderate", lambda body: body["model"].update(version="1.9.9")), "the scores come from another model"),
        (on("/moderate", lambda body: body["model"].update(name="other")), "the scores come from another model"),
        (on("/moderate", lambda body: body["results"].pop()), "16 texts were sent, and the results are not theirs"),
        (on("/moderate", lambda body: body["results"].reverse()), "16 texts were sent, and the results are not theirs"),
        (on("/moderate", lambda body: body["results"][3]["scores"].pop("threat")), "a text has scores for other"),
        (on("/moderate", lambda body: body["results"][3]["scores"].update(spam=0.0)), "a text has scores for other"),
        (on("/moderate", lambda body: body["results"][3]["scores"].update(threat=None)), "POST /moderate was not"),
        (
            on("/moderate", lambda body: body["results"][3]["scores"].update(threat=float("nan"))),
            "POST /moderate was not",
        ),
        (on("/moderate", lambda body: body["results"][3].update(stored=True)), "a golden text was stored"),
        (lambda _, answer: answer | {"body": answer["body"][:-2]}, "GET /readyz was not answered as"),
        (lambda _, answer: answer | {"body": "\ud800"}, "GET /readyz was not answered as"),
        (lambda _, answer: answer | {"statusCode": 500}, "GET /readyz was answered with the status 500"),
        (lambda _, _answer: {"errorMessage": "task timed out"}, "GET /readyz was not answered as"),
    ],
)
def test_any_doubt_is_failed(world: World, change: Change, reason: str) -> None:
    world.change = change
    assert world.status() == "Failed"
    [line] = world.lines("new_version_refused")
    assert line["reason"].startswith(reason)


def test_a_function_that_ends_in_an_error_is_refused(world: World) -> None:
    class Ended(World):
        def invoke(self, **request: Any) -> dict[str, Any]:
            return super().invoke(**request) | {"FunctionError": "Unhandled"}

    ended = Ended(world.app)
    assert ended.status() == "Failed"
    [line] = ended.lines("new_version_refused")
    assert line["reason"] == "GET /readyz ended in an error of the function itself"


def test_an_error_on_the_way_is_failed_and_logged_by_its_type_only(world: World) -> None:
    def throttle(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        raise Throttled(f"{path} {answer}")

    world.change = throttle
    assert world.status() == "Failed"
    [line] = world.lines("new_version_refused")
    assert line["reason"] == "Throttled"
    assert "Retry-After" not in world.logs.getvalue()


@pytest.mark.parametrize("looks", [0, 1, 2, 5])
def test_a_hook_that_runs_out_of_time_says_failed_before_it_is_cut_off(world: World, looks: int) -> None:
    assert world.status(context=Clock(looks)) == "Failed"
    assert len(world.asked) == looks


def test_a_hook_with_time_enough_for_every_question_succeeds(world: World) -> None:
    assert world.status(context=Clock(6)) == "Succeeded"


def test_a_hook_without_the_models_files_says_failed(world: World, tmp_path: Path) -> None:
    assert world.status(model=tmp_path) == "Failed"
    assert world.asked == []


def test_golden_answers_that_the_manifest_does_not_speak_of_are_none(world: World, tmp_path: Path) -> None:
    for name in ("manifest.json", "golden.jsonl"):
        shutil.copy(STARTER / name, tmp_path / name)
    assert World(world.app).status(model=tmp_path) == "Succeeded"
    (tmp_path / "golden.jsonl").write_text((tmp_path / "golden.jsonl").read_text().split("\n")[0])
    assert world.status(model=tmp_path) == "Failed"


def test_long_golden_texts_are_asked_one_by_one(scorer: Scorer, store: SqliteStore, tmp_path: Path) -> None:
    text = "Have a lovely day! " * 1_000
    manifest = golden_model(tmp_path, scorer, [text, "Thank you!", text, text])
    session = Scorer.open(STARTER, manifest)
    world = World(deployed(session, store))
    assert world.status(model=tmp_path) == "Succeeded"
    bodies = [json.loads(event["body"]) for event in world.asked if event["rawPath"] == "/moderate"]
    assert [len(body["items"]) for body in bodies] == [2, 1, 1]


def golden_model(directory: Path, scorer: Scorer, texts: list[str]) -> Manifest:
    """Write the two files that the hook needs, with these golden texts; return the manifest."""
    lines = [json.dumps({"text": text, "scores": scorer.score(text).scores}) for text in texts]
    (directory / "golden.jsonl").write_text("\n".join(lines))
    files = scorer.manifest.files | {"golden.jsonl": record_file(directory / "golden.jsonl")}
    write_manifest(directory, msgspec.structs.replace(scorer.manifest, files=files))
    return msgspec.json.decode((directory / "manifest.json").read_bytes(), type=Manifest)


def test_a_report_that_codedeploy_does_not_take_is_an_error(world: World) -> None:
    class Deaf(World):
        def put_lifecycle_event_hook_execution_status(self, **request: object) -> dict[str, Any]:
            raise ConnectionError(str(request))

    with pytest.raises(ConnectionError):
        Deaf(world.app).status()


@pytest.mark.parametrize(
    "event", [{}, {"DeploymentId": "d-1"}, {"DeploymentId": 1, "LifecycleEventHookExecutionId": ""}]
)
def test_an_event_that_is_not_codedeploys_is_an_error(world: World, event: dict[str, Any]) -> None:
    hook = create_app(STARTER, NewVersion(world, ARN), world, logger_to(world.logs))
    with pytest.raises(msgspec.ValidationError):
        hook(event, Clock())
    assert world.asked == []


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serve a world as AWS does: Lambda's Invoke, and CodeDeploy's one action."""

    class Aws(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if "x-amz-target" in self.headers:
                assert self.headers["x-amz-target"].endswith(".PutLifecycleEventHookExecutionStatus")
                answer = json.dumps(world.put_lifecycle_event_hook_execution_status(**json.loads(body))).encode()
            else:
                arn = unquote(self.path).split("/")[3]
                kind = self.headers.get("x-amz-invocation-type", "RequestResponse")
                answer = world.invoke(FunctionName=arn, InvocationType=kind, Payload=body)["Payload"].read()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with listening(Aws) as url:
        yield url


_MAIN = """
import json
from tests.test_rollout import HOOK, Clock
from rollout.main import handler
print(json.dumps(handler(HOOK, Clock())))
"""


def test_the_function_on_lambda_asks_and_tells_through_aws_clients(world: World) -> None:
    root = Path(__file__).parents[1]
    with serving(world) as url:
        environment = {
            "PYTHONPATH": f"{root / 'functions'}:{root}", "MODEL_DIR": str(STARTER), "NEW_VERSION": ARN,
            "STACK": "moderato-dev",
            "AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", _MAIN], env=environment, check=True, capture_output=True, text=True
        )
    accepted, counted, returned = (json.loads(line) for line in done.stdout.splitlines())
    assert accepted["message"] == "new_version_accepted"
    assert counted["rollout_succeeded"] == [1.0]
    assert returned == {"status": "Succeeded"}
    assert world.told == [
        {"deploymentId": "d-ABCDEF", "lifecycleEventHookExecutionId": "hook-1", "status": "Succeeded"}
    ]
