"""The predict image as SageMaker and Kubernetes start it, and still as Lambda does."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderato.golden import GOLDEN, misses, read_golden
from tests.conftest import STARTER
from tests.images.containers import Hosted, docker
from tests.made_models import change_starter, renamed


@pytest.fixture(scope="module")
def hosted(predict: str) -> Iterator[Hosted]:
    """The image with its own model, healthy."""
    with Hosted(predict) as container:
        container.wait()
        yield container


@pytest.fixture
def given_model(tmp_path: Path) -> Path:
    """A model of another version, which everybody may read."""
    model = change_starter(tmp_path / "model", renamed("9.9.9"))
    # The container's user is a stranger here, who needs a way to it.
    for folder in (model, *list(model.parents)[:3]):
        folder.chmod(0o755)
    return model


def test_it_scores_as_its_model_did_where_it_was_made(hosted: Hosted) -> None:
    golden = read_golden(STARTER / GOLDEN)
    lines = "\n".join(json.dumps({"text": one.text}) for one in golden)
    status, content = hosted.ask("POST", "/invocations", lines, "application/jsonlines")
    answers = [json.loads(line)["scores"] for line in content.splitlines()]
    assert status == 200
    assert [misses(one, scores) for one, scores in zip(golden, answers, strict=True)] == [[]] * 64


def test_it_answers_one_request_and_refuses_a_bad_one(hosted: Hosted) -> None:
    status, content = hosted.ask("POST", "/invocations", '{"text": "Have a lovely day"}')
    assert (status, json.loads(content)["results"][0]["action"]) == (200, "allow")
    assert hosted.ask("POST", "/invocations", '{"txt": "Have a lovely day"}')[0] == 400


def test_it_sees_the_one_cpu_that_it_has(hosted: Hosted) -> None:
    assert json.loads(hosted.ask("GET", "/execution-parameters")[1])["MaxConcurrentTransforms"] == 1


def test_a_model_that_sagemaker_unpacks_is_the_one_that_serves(predict: str, given_model: Path) -> None:
    with Hosted(predict, model=given_model) as container:
        container.wait()
        status, content = container.ask("POST", "/invocations", '{"text": "a"}')
        assert (status, json.loads(content)["model"]["version"]) == (200, "9.9.9")


def test_a_broken_model_ends_the_container_with_the_reason(predict: str, given_model: Path) -> None:
    (given_model / "tokenizer.json").write_text("{}")
    with Hosted(predict, model=given_model) as container:
        assert container.exit_status() == 1
        assert container.written().startswith("/opt/ml/model/tokenizer.json ")


def test_sigterm_ends_it(predict: str) -> None:
    with Hosted(predict) as container:
        container.wait()
        assert container.stop() == 0
        assert [json.loads(line)["message"] for line in container.written().splitlines()] == ["listening"]


def test_another_first_argument_goes_to_the_base_as_it_is(predict: str) -> None:
    # What Lambda's base says to anything but one handler; tests/images/test_images.py runs it with one.
    done = subprocess.run(
        ["docker", "run", "--rm", predict, "predict.main.handler", "more"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (142, "")
    assert "entrypoint requires the handler name to be the first argument" in done.stderr


def test_without_an_argument_it_is_the_function(predict: str) -> None:
    configuration = json.loads(docker("image", "inspect", predict))[0]["Config"]
    assert configuration["Cmd"] == ["predict.main.handler"]
    assert configuration["Entrypoint"] == ["/bin/sh", "/var/task/predict/entrypoint.sh"]
