"""The pipeline's scripts, with stand-ins for `aws` and `docker`: what they take, and what they refuse."""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUP = "moderato-prod-models"
PACKAGE = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{GROUP}/7"
NEWER = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{GROUP}/8"
ARTIFACT = (
    f"s3://moderato-prod-bucket-1a2b3c4d5e6f/retraining/{'0a' * 32}/model/"
    "pipelines-p4jn9xou8a8s-TrainChallenger-GzZ7fMf8xY/output/model.tar.gz"
)
"""Where SageMaker leaves the model of a run of the pipeline."""
REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
PREDICT, LIGHT = f"{REGISTRY}/moderato@sha256:{'a' * 64}", f"{REGISTRY}/moderato@sha256:{'b' * 64}"


def program(folder: Path, name: str, body: str) -> None:
    """Put a stand-in for a program into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(script: str, *arguments: Path | str, programs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts with these programs before all others."""
    return subprocess.run(
        [ROOT / ".ci" / script, *arguments],
        env={"PATH": f"{programs}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def archive(path: Path, *names: str, content: bytes = b"{}") -> Path:
    """Write a tar.gz with the same content under each name, an empty JSON object if it is not said."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def model_registry(folder: Path, newest: str, packed: Path, url: str = ARTIFACT, sealed: str = "None") -> None:
    """Put an `aws` into the folder whose registry has this newest approved package."""
    program(
        folder,
        "aws",
        f"""case "$2 $*" in
          list-model-packages*) echo '{newest}' ;;
          describe-model-package*model_sha256*) echo '{sealed}' ;;
          describe-model-package*) echo '{url}' ;;
          cp*) cp {packed} "$5" ;;
          *) exit 9 ;;
        esac""",
    )


def test_the_newest_approved_model_is_fetched(tmp_path: Path) -> None:
    model_registry(tmp_path, PACKAGE, archive(tmp_path / "model.tar.gz", "manifest.json", "model.onnx"))
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["manifest.json", "model.onnx"]


def test_an_archive_as_sagemaker_packs_it_is_a_model(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        top = tarfile.TarInfo("./")
        top.type = tarfile.DIRTYPE
        tar.addfile(top)
        for name in ("./manifest.json", "./model.onnx", "./extra.txt"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    model_registry(tmp_path, PACKAGE, tmp_path / "model.tar.gz")
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP, EVENT_MODEL=PACKAGE)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["manifest.json", "model.onnx"]


def test_an_event_only_wakes_the_registry_says_which_model(tmp_path: Path) -> None:
    model_registry(tmp_path, NEWER, archive(tmp_path / "model.tar.gz", "manifest.json"))
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP, EVENT_MODEL=PACKAGE)
    assert done.returncode == 0
    assert done.stdout.strip() == f"fetch-model: {NEWER}"


@pytest.mark.parametrize(
    "event",
    [
        "$(touch /tmp/owned)",
        f"{PACKAGE}; echo",
        f"{PACKAGE}\nmore",
        PACKAGE.replace(GROUP, "other"),
        PACKAGE.replace(GROUP, f"{GROUP}-2"),
        "s3://elsewhere/model.tar.gz",
    ],
)
def test_an_event_that_names_no_package_of_the_group_is_refused_before_aws_is_asked(tmp_path: Path, event: str) -> None:
    program(tmp_path, "aws", f"touch {tmp_path / 'asked'}")
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP, EVENT_MODEL=event)
    assert done.returncode == 1
    assert not (tmp_path / "asked").exists()
    assert event not in done.stderr


@pytest.mark.parametrize(
    ("newest", "url", "names", "said"),
    [
        ("None", "s3://models/model.tar.gz", ["manifest.json"], "no approved model package"),
        (PACKAGE, "None", ["manifest.json"], "no model.tar.gz in S3"),
        (PACKAGE, "s3://models/../x model.tar.gz", ["manifest.json"], "no model.tar.gz in S3"),
        (PACKAGE, "s3://models/model.tar.gz", ["model/manifest.json"], "no manifest.json at its top"),
    ],
)
def test_a_registry_without_a_model_is_refused(
    tmp_path: Path, newest: str, url: str, names: list[str], said: str
) -> None:
    model_registry(tmp_path, newest, archive(tmp_path / "model.tar.gz", *names), url)
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 1
    assert said in done.stderr


def test_an_archive_that_is_still_the_registered_model_is_taken(tmp_path: Path) -> None:
    packed = archive(tmp_path / "model.tar.gz", "manifest.json", content=b'{"sha256": "%s"}' % (b"7e" * 32))
    model_registry(tmp_path, PACKAGE, packed, sealed="7e" * 32)
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [b'{"sha256": "%s"}' % (b"5f" * 32), b"{}"])
def test_an_archive_that_was_written_again_after_its_model_was_registered_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    packed = archive(tmp_path / "model.tar.gz", "manifest.json", content=content)
    model_registry(tmp_path, PACKAGE, packed, sealed="7e" * 32)
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 1
    assert "another model than the one that was registered" in done.stderr


def test_a_package_whose_digest_is_none_is_refused(tmp_path: Path) -> None:
    model_registry(tmp_path, PACKAGE, archive(tmp_path / "model.tar.gz", "manifest.json"), sealed="$(touch owned)")
    done = run("fetch-model", tmp_path / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 1
    assert "is no SHA-256" in done.stderr


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    model_registry(tmp_path, PACKAGE, archive(tmp_path / "model.tar.gz", "../outside.json", "manifest.json"))
    done = run("fetch-model", tmp_path / "in" / "model", programs=tmp_path, MODEL_GROUP=GROUP)
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "in").rglob("*.json")] == ["manifest.json"]


def test_a_model_is_proven_by_its_digests_and_all_its_golden_answers(tmp_path: Path) -> None:
    done = run("check-model", ROOT / "models" / "starter", programs=tmp_path, VENV=sys.prefix)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "check-model: all golden answers are right"


def test_a_model_with_a_changed_file_is_refused_by_its_name(tmp_path: Path) -> None:
    model = shutil.copytree(ROOT / "models" / "starter", tmp_path / "model")
    (model / "card.md").write_text("another card")
    done = run("check-model", model, programs=tmp_path, VENV=sys.prefix)
    assert done.returncode == 1
    assert "card.md" in done.stderr


def packaged(folder: Path, *images: str) -> Path:
    """Write a packaged template whose functions have these images."""
    path = folder / "packaged.yaml"
    functions = "".join(f"  F{i}:\n    Properties:\n      ImageUri: {image}\n" for i, image in enumerate(images))
    path.write_text(f"Resources:\n{functions}")
    return path


def engine(folder: Path, pushed: str = PREDICT, logins: int = 0) -> None:
    """Put a `docker` that notes what it is asked, and an `aws` that knows a password, into the folder."""
    program(folder, "aws", "echo a-password")
    program(
        folder,
        "docker",
        f"""echo "$*" >> {folder / "asked"}
        case "$*" in
          login*) cat > {folder / "password"}; echo "$DOCKER_CONFIG" > {folder / "login"}; exit {logins} ;;
          save*) echo saved > "$3" ;;
          *"{{{{.Id}}}}"*) echo sha256:{"d" * 64} ;;
          *RepoDigests*) echo elsewhere@sha256:{"c" * 64}; echo {pushed} ;;
        esac""",
    )


def push(folder: Path, *images: str) -> subprocess.CompletedProcess[str]:
    """Push the images of a built template, of which `pushed.yaml` is made."""
    built = packaged(folder, *images)
    return run("push-images", built, folder / "pushed.yaml", programs=folder, IMAGE_REPOSITORY=f"{REGISTRY}/moderato")


def test_images_are_pushed_and_named_by_the_digests_that_they_got(tmp_path: Path) -> None:
    engine(tmp_path)
    done = push(tmp_path, "predictfunction:predict", "predictfunction:predict")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pushed.yaml").read_text().count(f"ImageUri: {PREDICT}\n") == 2
    assert done.stdout.split() == [PREDICT]
    asked = (tmp_path / "asked").read_text().splitlines()
    name = f"{REGISTRY}/moderato:predictfunction-dddddddddddd"
    assert asked[0] == f"login --username AWS --password-stdin {REGISTRY}"
    assert asked[2:4] == [f"tag predictfunction:predict {name}", f"push --quiet {name}"]


def test_the_login_ends_with_the_push(tmp_path: Path) -> None:
    engine(tmp_path)
    assert push(tmp_path, "predictfunction:predict").returncode == 0
    assert (tmp_path / "password").read_text() == "a-password\n"
    assert not Path((tmp_path / "login").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("images", "pushed", "logins"),
    [
        ([], PREDICT, 0),
        (["predictfunction:predict"], f"elsewhere@sha256:{'a' * 64}", 0),
        (["predictfunction:predict"], PREDICT, 1),
        (["predictfunction:predict", f"{REGISTRY}/moderato:of-somebody-else"], PREDICT, 0),
    ],
    ids=["no image", "not pushed", "no login", "an image that was not built here"],
)
def test_a_template_without_all_its_images_pushed_is_refused(
    tmp_path: Path, images: list[str], pushed: str, logins: int
) -> None:
    engine(tmp_path, pushed, logins)
    assert push(tmp_path, *images).returncode == 1
    assert [path.name for path in tmp_path.glob("pushed.yaml*")] == []


def test_the_images_of_a_template_are_kept_in_one_file(tmp_path: Path) -> None:
    engine(tmp_path)
    template = packaged(tmp_path, "predictfunction:predict", "feedbackfunction:light", "feedbackfunction:light")
    done = run("save-images", template, tmp_path / "images.tar.gz", programs=tmp_path)
    assert done.returncode == 0, done.stderr
    assert gzip.decompress((tmp_path / "images.tar.gz").read_bytes()) == b"saved\n"
    assert (tmp_path / "asked").read_text().split()[3:] == ["feedbackfunction:light", "predictfunction:predict"]


def test_a_template_without_an_image_is_not_kept(tmp_path: Path) -> None:
    engine(tmp_path)
    assert run("save-images", packaged(tmp_path), tmp_path / "images.tar.gz", programs=tmp_path).returncode == 1
    assert not (tmp_path / "asked").exists()


def scanner(folder: Path, found: dict[str, str], waits: int = 0, describes: int = 0) -> None:
    """Put an `aws` into the folder whose scans found these names by severity, or which fails."""
    lines = "\n".join(f"*\"severity=='{severity}'\"*) echo {names} ;;" for severity, names in found.items())
    program(folder, "aws", f'[ "$2" = wait ] && exit {waits}\ncase "$*" in\n{lines}\nesac\nexit {describes}')


def test_images_without_a_grave_finding_go_on(tmp_path: Path) -> None:
    scanner(tmp_path, {"MEDIUM": "CVE-2026-1"})
    done = run("scan-images", packaged(tmp_path, PREDICT, LIGHT, LIGHT), programs=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "scan-images: 2 images, 0 findings refused"


def test_a_grave_finding_is_refused_by_name_unless_somebody_accepted_it(tmp_path: Path) -> None:
    scanner(tmp_path, {"HIGH": "CVE-2026-1 CVE-2026-2"})
    template = packaged(tmp_path, PREDICT)
    refused = run("scan-images", template, programs=tmp_path, ACCEPTED_FINDINGS="CVE-2026-1")
    assert refused.returncode == 1
    assert refused.stderr.strip() == "scan-images: HIGH CVE-2026-2 in moderato"
    assert run("scan-images", template, programs=tmp_path, ACCEPTED_FINDINGS="CVE-2026-1 CVE-2026-2").returncode == 0


@pytest.mark.parametrize("failing", [{"waits": 255}, {"describes": 254}])
def test_what_could_not_be_scanned_does_not_go_on(tmp_path: Path, failing: dict[str, int]) -> None:
    scanner(tmp_path, {}, **failing)
    assert run("scan-images", packaged(tmp_path, PREDICT), programs=tmp_path).returncode != 0


def test_an_image_by_tag_is_not_taken_for_scanned(tmp_path: Path) -> None:
    scanner(tmp_path, {})
    done = run("scan-images", packaged(tmp_path, f"{REGISTRY}/moderato:latest"), programs=tmp_path)
    assert done.returncode == 1


@pytest.mark.parametrize(("environment", "status"), [({}, 0), ({"GITHUB_ACTIONS": "true"}, 1)])
def test_without_an_engine_the_images_are_skipped_but_not_where_there_must_be_one(
    tmp_path: Path, environment: dict[str, str], status: int
) -> None:
    for name, body in {"make": "exit 0", "docker": "exit 1", "chromium": "exit 0", "id": "echo 1000"}.items():
        program(tmp_path, name, body)
    done = run("run", programs=tmp_path, **environment)
    assert (done.returncode, "no container engine runs here" in done.stderr) == (status, True)
    assert ("skipped: the images" in done.stderr) is (status == 0)
