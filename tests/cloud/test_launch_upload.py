"""Only a dataset and a model that are what they say they are get to S3, and under the same bytes each time."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.cloud.aws import BUCKET
from tests.cloud.launches import Launcher

STARTER = Path(__file__).parents[2] / "models" / "starter"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset version of one row a split."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    files = {}
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"id": split}) + "\n")
        files[f"{split}.jsonl"] = hashlib.sha256((folder / f"{split}.jsonl").read_bytes()).hexdigest()
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps({"name": "made", "version": "1", "digest": digest, "files": files}))
    return folder


def test_a_dataset_goes_to_its_version_and_what_completes_it_goes_last(launch: Launcher, dataset: Path) -> None:
    outcome = launch("upload", "dataset", str(dataset), "--bucket", BUCKET)
    assert (outcome.code, outcome.out) == (0, f"s3://{BUCKET}/datasets/made/1/\n")
    sent = [request["Key"] for request in launch.aws.requests("s3", "PutObject")]
    assert sent[-1] == "datasets/made/1/dataset.json"
    assert launch.aws.objects[f"{BUCKET}/datasets/made/1/test.jsonl"] == b'{"id": "test"}\n'


def test_a_changed_dataset_goes_nowhere(launch: Launcher, dataset: Path) -> None:
    (dataset / "test.jsonl").write_text("changed\n")
    outcome = launch("upload", "dataset", str(dataset), "--bucket", BUCKET)
    assert outcome.code == 1
    assert "test.jsonl is not the file that dataset.json describes" in outcome.err
    assert launch.aws.started() == []


def test_a_model_goes_as_one_archive_whose_bytes_are_always_the_same(launch: Launcher, tmp_path: Path) -> None:
    version = json.loads((STARTER / "manifest.json").read_text())["version"]
    key = f"{BUCKET}/models/starter-{version}/model.tar.gz"
    sent = []
    for folder in (STARTER, shutil.copytree(STARTER, tmp_path / "elsewhere", copy_function=shutil.copyfile)):
        assert launch("upload", "model", str(folder), "--bucket", BUCKET).out == f"s3://{key}\n"
        sent.append(launch.aws.objects.pop(key))
    assert sent[0] == sent[1]
    with tarfile.open(fileobj=io.BytesIO(sent[0])) as archive:
        assert set(archive.getnames()) == {"manifest.json", "model.onnx", "tokenizer.json", "golden.jsonl", "card.md"}


def test_a_changed_model_goes_nowhere(launch: Launcher, tmp_path: Path) -> None:
    folder = shutil.copytree(STARTER, tmp_path / "model")
    with (folder / "card.md").open("a") as card:
        card.write("better")
    outcome = launch("upload", "model", str(folder), "--bucket", BUCKET)
    assert outcome.code == 1
    assert "card.md" in outcome.err
    assert launch.aws.started() == []


def test_a_bucket_in_another_region(launch: Launcher, dataset: Path) -> None:
    launch.aws.buckets[BUCKET] = "us-east-1"
    outcome = launch("upload", "dataset", str(dataset), "--bucket", BUCKET)
    assert "is in us-east-1, and the job would run in eu-west-1" in outcome.err


def test_no_bucket(launch: Launcher, dataset: Path) -> None:
    assert launch("upload", "dataset", str(dataset)).err == (
        "launch: where to? Give --bucket, or the --stack whose bucket it is"
    )
