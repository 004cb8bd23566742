"""What goes into the training image, held over its Dockerfile, the allow-list of a build, and the locks."""

import json
import re
from pathlib import Path

from tests.test_house import locked

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "training" / "Dockerfile").read_text()
IMAGE = DOCKERFILE.rsplit("\nFROM", 1)[1]


def instructions(text: str, name: str) -> list[str]:
    """Return what follows an instruction wherever it stands, with its lines joined."""
    return re.findall(rf"^{name} (.*)$", text.replace("\\\n", " "), re.MULTILINE)


def variables() -> dict[str, str]:
    """Return the environment of the image."""
    return dict(pair.split("=", 1) for line in instructions(IMAGE, "ENV") for pair in line.split())


def test_the_base_has_the_torch_that_is_locked() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert base == "public.ecr.aws/deep-learning-containers/pytorch:2.13-cu133-amzn2023-sagemaker"
    assert locked("train-image")["torch"] == "2.13.0"
    assert {line.split()[0] for line in instructions(DOCKERFILE, "FROM")} == {"${BASE}"}


def test_process_one_is_our_launcher_and_no_shell() -> None:
    (entrypoint,) = instructions(DOCKERFILE, "ENTRYPOINT")
    assert json.loads(entrypoint) == ["/opt/train/bin/python", "-m", "training.launcher"]
    assert instructions(DOCKERFILE, "CMD") == []
    assert (ROOT / "training" / "launcher.py").is_file()


def test_every_file_that_is_copied_is_there_and_gets_into_a_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    copied = [line.split()[:-1] for line in instructions(DOCKERFILE, "COPY") if not line.startswith("--from")]
    for path in (word for words in copied for word in words):
        assert (ROOT / path).exists(), path
        assert any(path == name or path.startswith(f"{name}/") for name in allowed), path


def test_only_the_code_that_training_needs_is_in_the_image() -> None:
    code = DOCKERFILE.split(" AS code\n")[1].split("\nFROM")[0]
    assert [line.split()[0] for line in instructions(code, "COPY")] == [
        "LICENSE", "functions/moderato", "training", "models/starter",
    ]  # fmt: skip
    (compiled,) = instructions(code, "RUN")
    assert "compileall" in compiled
    assert compiled.endswith("chmod -R a+rX,a-w .")


def test_packages_are_the_locked_ones_and_nothing_that_they_ask_for_besides() -> None:
    installs = re.findall(r"pip --python \S+ install (.*?) -r ", DOCKERFILE.replace("\\\n", " "))
    assert len(installs) == 3
    for options in installs:
        assert "--no-deps" in options
        assert "--no-cache-dir" in options


def test_the_image_has_the_versions_that_training_is_tested_with() -> None:
    tested, image = locked("train"), locked("train-image")
    differs = {name for name in tested if image.get(name) != tested[name]}
    # botocore wants the older one; tzdata is what the newer one wants.
    assert differs == {"python-dateutil", "tzdata"}
    assert set(image) - set(tested) == {"boto3", "botocore", "s3transfer", "sagemaker-mlflow"}


def test_the_image_reports_to_nobody() -> None:
    assert {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items() <= variables().items()


def test_the_launcher_finds_the_code_and_what_exports() -> None:
    assert variables()["PYTHONPATH"] == "/opt/moderato/functions:/opt/moderato"
    assert variables()["EXPORT_PYTHON"] == "/opt/export/bin/python"
    assert "python3 -m venv --without-pip /opt/export " in DOCKERFILE
