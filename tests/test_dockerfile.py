"""What goes into the images, held over the Dockerfile, its allow-list, the locks and the template."""

import re
from pathlib import Path

import pytest

from tests.test_house import locked

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "functions" / "Dockerfile").read_text()
NEVER_SERVED = {"torch", "transformers", "sagemaker", "pydantic", "huggingface-hub"}


def test_the_base_is_named_by_its_digest_and_the_same_in_the_template() -> None:
    base = re.findall(r"^ARG BASE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert len(base) == 1
    assert re.fullmatch(r"public\.ecr\.aws/lambda/python:3\.13@sha256:[0-9a-f]{64}", base[0])
    assert f"Default: {base[0]}\n" in (ROOT / "template.yaml").read_text()
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


def test_the_builder_that_sam_uses_understands_every_line() -> None:
    assert not re.search(r"^# *syntax=|--mount|--chmod|--link|<<", DOCKERFILE, re.MULTILINE)


def test_packages_get_in_by_their_digests_alone() -> None:
    installs = re.findall(r"pip install (.*?) -r ", DOCKERFILE, re.DOTALL)
    assert len(installs) == 2
    for options in installs:
        assert "--require-hashes" in options
        assert "--no-deps" in options
        assert "--no-cache-dir" in options


def test_both_images_are_nobodys_and_report_to_nobody() -> None:
    light, predict = (DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM")[0] for target in ("light", "predict"))
    for stage in (light, predict):
        assert "\nUSER 993:990\n" in stage
        assert "ORT_DISABLE_TELEMETRY=1" in stage


def test_locked_packages_are_found_before_those_of_the_base() -> None:
    # Lambda's bootstrap puts its own folder before a PYTHONPATH, and behind /opt/python where there is none.
    assert [line for line in DOCKERFILE.splitlines() if line.startswith(("ENV", "ARG")) and "PYTHONPATH" in line] == []
    assert set(re.findall(r"pip install .*? --target (\S+)", DOCKERFILE, re.DOTALL)) == {"/opt/python"}


def test_packages_change_least_and_code_most_so_they_are_layers_in_this_order() -> None:
    for target in ("light", "predict"):
        stage = DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM")[0]
        sources = re.findall(r"^COPY --from=(\S+)", stage, re.MULTILINE)
        assert sources[:2] == [f"{target}-packages", "model"]
        assert set(sources[2:]) == {"code"}


def test_nothing_but_what_is_named_gets_into_a_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert {pattern for pattern in patterns if pattern.startswith("!")} == {
        "!functions",
        "!requirements/predict.txt",
        "!requirements/light.txt",
        "!requirements/train-image.txt",
        "!requirements/export.txt",
        "!training",
        "!models",
        "!build/image",
        "!LICENSE",
        "!NOTICE",
    }
    assert {"functions/local", "**/__pycache__"} <= set(patterns)


@pytest.mark.parametrize("name", ["predict", "light"])
def test_an_image_holds_the_versions_that_are_tested_here(name: str) -> None:
    tested = locked("serve") | locked("test")
    assert {package: tested[package] for package in locked(name)} == locked(name)
    assert set(locked(name)) & NEVER_SERVED == set()
