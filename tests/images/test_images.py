"""What the images hold, and how they answer when they run as Lambda runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from moderato.golden import GOLDEN, misses, read_golden
from tests.events import event
from tests.images.containers import STORE_NOTHING, Function, docker, run_python

LIGHT_SETTINGS = {
    "TABLE": "none", "KEEP_DAYS": "30", "SIGN_IN_URL": "", "TOKEN_URL": "", "SIGN_OUT_URL": "", "CLIENT_ID": "",
    "STACK": "images", "KEYS_TABLE": "none", "TENANT": "default", "ISSUER": "", "AUDIENCES": "", "JWKS_URL": "",
    "BUCKET": "none", "PIPELINE": "images", "MODEL_GROUP": "images-models", "FEWEST_LABELS": "200", "DRIFT_DAYS": "7",
    "BASELINES": "", "LABELING_BUCKET": "none", "LABELING_ROLE": "", "LABELING_WORKTEAM": "", "LABELING_KEY": "",
    "NEW_VERSION": "arn:aws:lambda:eu-central-1:123456789012:function:predict:2",
}  # fmt: skip
MAX_PREDICT_BYTES = 200_000_000
PLEASANT = event("POST", "/moderate", {"text": "Have a lovely day"}, subject="platform")
_GOLDEN = "import pathlib; print(pathlib.Path('/var/task/model/golden.jsonl').read_text(), end='')"
FILES_OF_TELEMETRY = "import pathlib; print([str(path) for path in pathlib.Path('/tmp').rglob('*') if path.is_file()])"


def test_the_predict_function_scores_as_its_model_did_where_it_was_made(
    predict: str, predict_function: Function, tmp_path: Path
) -> None:
    path = tmp_path / GOLDEN
    path.write_text(run_python(predict, _GOLDEN))
    for golden in read_golden(path):
        status, answer = predict_function.ask(event("POST", "/moderate", {"text": golden.text}, subject="platform"))
        assert (status, misses(golden, answer["results"][0]["scores"])) == (200, [])


def test_nobody_is_let_in_without_an_authorizer(predict_function: Function) -> None:
    status, problem = predict_function.ask(event("POST", "/moderate", {"text": "Have a lovely day"}))
    assert (status, problem["status"]) == (401, 401)


def test_a_function_that_was_killed_for_memory_answers_the_next_event(hungry: Callable[[int], Function]) -> None:
    with hungry(60) as function:
        assert function.ask(PLEASANT)[0] == 200
        _, error = function.invoke({"hungry_for": "memory"})
        assert error["errorType"] == "Runtime.ExitError"
        assert "signal: killed" in error["errorMessage"]
        assert function.ask(PLEASANT)[0] == 200


def test_a_function_that_ran_out_of_time_answers_the_next_event(hungry: Callable[[int], Function]) -> None:
    with hungry(4) as function:
        _, error = function.invoke({"hungry_for": "time"})
        assert "timed out after 4.00 seconds" in str(error)
        assert function.ask(PLEASANT)[0] == 200


def test_the_authorizer_says_that_nobody_came(light: str) -> None:
    with Function(light, "authorizer.main.handler", LIGHT_SETTINGS) as function:
        _, answer = function.invoke(event("POST", "/moderate"))
    assert answer == {"isAuthorized": True, "context": {"refusal": "missing"}}


def test_the_feedback_function_lets_nobody_in_without_an_authorizer(light: str) -> None:
    with Function(light, "feedback.main.handler", LIGHT_SETTINGS) as function:
        assert function.ask(event("GET", "/reviews"))[0] == 401


@pytest.mark.parametrize("room", ["feedback", "labeling", "authorizer", "rollout", "retraining", "drift"])
def test_each_function_of_the_light_image_starts_without_a_model_runtime(light: str, room: str) -> None:
    loaded = _loaded(light, f"{room}.main", LIGHT_SETTINGS)
    assert room in loaded
    assert loaded & {"onnxruntime", "tokenizers", "numpy", "torch", "transformers", "sagemaker", "pydantic"} == set()


def test_the_predict_function_starts_without_what_trains_and_without_an_aws_client(predict: str) -> None:
    loaded = _loaded(predict, "predict.main", STORE_NOTHING)
    assert "onnxruntime" in loaded
    # powertools asks for botocore's version, which is its package alone and loads no client.
    assert loaded & {"torch", "transformers", "sagemaker", "pydantic", "boto3", "botocore.client"} == set()


def test_the_predict_function_can_make_its_client_when_something_is_stored(predict: str) -> None:
    source = "import predict.main; client = predict.main.make_client(); print(client.meta.endpoint_url)"
    assert run_python(predict, source, STORE_NOTHING) == "https://dynamodb.eu-central-1.amazonaws.com"


def test_packages_and_model_of_predict_are_at_most_200_mb(predict: str) -> None:
    source = (
        "import pathlib\n"
        "folders = [pathlib.Path(name) for name in ('/opt/python', '/var/task')]\n"
        "print(sum(path.stat().st_size for folder in folders for path in folder.rglob('*') if path.is_file()))"
    )
    assert 100_000_000 < int(run_python(predict, source)) <= MAX_PREDICT_BYTES


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_every_module_is_compiled(images: dict[str, str], function: str) -> None:
    source = (
        "import importlib.util, json, pathlib\n"
        "modules = [path for name in ('/opt/python', '/var/task') for path in pathlib.Path(name).rglob('*.py')]\n"
        "compiled = [pathlib.Path(importlib.util.cache_from_source(str(path))).is_file() for path in modules]\n"
        "print(json.dumps([len(modules), compiled.count(False)]))"
    )
    modules, missing = json.loads(run_python(images[function], source))
    assert modules > 300
    assert missing == 0


def test_nobody_is_told_that_the_model_runs(predict: str, predict_function: Function) -> None:
    predict_function.ask(PLEASANT)
    assert predict_function.run("python", "-c", FILES_OF_TELEMETRY) == "[]"
    # The runtime would: so an empty folder says something. This container has no network to tell anybody by.
    talkative = {"HOME": "/tmp", "ORT_DISABLE_TELEMETRY": "0"}  # noqa: S108  # the container's own
    told = run_python(predict, f"import onnxruntime\n{FILES_OF_TELEMETRY}", talkative)
    assert "deviceid" in told
    silent = run_python(predict, f"import moderato.scorer\n{FILES_OF_TELEMETRY}", talkative)
    assert silent == "[]"


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_an_image_belongs_to_nobody_and_carries_no_secret(images: dict[str, str], function: str) -> None:
    configuration = json.loads(docker("image", "inspect", images[function]))[0]["Config"]
    assert configuration["User"] == "993:990"
    assert not [setting for setting in configuration["Env"] if "KEY" in setting.upper() or "TOKEN" in setting.upper()]


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_an_image_holds_no_package_cache_and_nothing_of_the_laptop(images: dict[str, str], function: str) -> None:
    source = (
        "import pathlib\n"
        "caches = [str(path) for name in ('/root/.cache', '/tmp') for path in pathlib.Path(name).glob('*')]\n"
        "rooms = sorted(path.name for path in pathlib.Path('/var/task').iterdir() if path.is_dir())\n"
        "print(caches, rooms)"
    )
    rooms = {
        "PredictFunction": ["model", "moderato", "predict"],
        "FeedbackFunction": [
            "authorizer",
            "drift",
            "feedback",
            "labeling",
            "model",
            "moderato",
            "retraining",
            "rollout",
        ],
    }
    assert run_python(images[function], source, options=("--user", "0:0", "--cap-add", "DAC_OVERRIDE")) == (
        f"[] {rooms[function]}"
    )


def _loaded(image: str, module: str, settings: dict[str, str]) -> set[str]:
    source = f"import sys, json, {module}; print(json.dumps(list(sys.modules)))"
    return set(json.loads(run_python(image, source, settings).splitlines()[-1]))
