"""Datasets and models on their way to S3, each under a name that says which version it is."""

import tempfile
from pathlib import Path

from moderato.artifact import load_manifest, verify_files
from moderato.errors import BrokenModel
from training import dataset
from training.account import Account, answers
from training.config import RecipeError
from training.jobs import Refused
from training.locations import Location
from training.model_archive import ARCHIVE, pack


def upload_dataset(account: Account, folder: Path, bucket: str) -> Location:
    """Bring a dataset version, verified, to datasets/NAME/VERSION/ and return the place; dataset.json goes last."""
    try:
        described = dataset.verify(folder)
    except RecipeError as error:
        raise Refused(str(error)) from None
    place = Location(bucket, f"datasets/{described['name']}/{described['version']}/")
    for name in (*described["files"], "dataset.json"):
        _put(account, folder / name, place.under(name))
    return place


def upload_model(account: Account, folder: Path, bucket: str) -> Location:
    """Bring a model directory, verified, to models/NAME-VERSION/model.tar.gz and return the place.

    The same model is the same bytes: who uploads it twice changes nothing.
    """
    try:
        manifest = load_manifest(folder)
        verify_files(folder, manifest)
    except BrokenModel as error:
        raise Refused(str(error)) from None
    place = Location(bucket, f"models/{manifest.name}-{manifest.version}/{ARCHIVE}")
    with tempfile.TemporaryDirectory() as space:
        _put(account, pack(folder, Path(space) / ARCHIVE), place)
    return place


def _put(account: Account, path: Path, place: Location) -> None:
    """Upload a file; its digest goes with it, and S3 compares it."""
    with answers(f"{place.uri} could not be written"), path.open("rb") as content:
        account.session.client("s3").put_object(
            Bucket=place.bucket, Key=place.key, Body=content, ChecksumAlgorithm="SHA256"
        )
