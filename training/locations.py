"""S3 URIs: where a job's data and results lie."""

import re
from dataclasses import dataclass

from training.jobs import Refused

READABLE = ("datasets/", "models/", "retraining/", "training/")
"""What the role of a stack may read in the stack's bucket (TrainingRole in template.yaml)."""

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_URI = re.compile(rf"s3://({_BUCKET})(?:/(.*))?")


@dataclass(frozen=True)
class Location:
    """A bucket and what comes before the names of the objects that are meant; a folder's ends with a slash."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """As SageMaker takes it."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def folder(self) -> "Location":
        """The folder of this name alone: SageMaker reads `data/1` as every key that begins so, `data/10/...` too."""
        key = self.key.rstrip("/")
        return Location(self.bucket, f"{key}/" if key else "")

    @property
    def channel(self) -> "Location":
        """What is handed to a job: an archive as it is, and else a folder."""
        return self if self.key.endswith(".tar.gz") else self.folder

    def under(self, *names: str) -> "Location":
        """What lies in this folder under these names."""
        return Location(self.bucket, "/".join((self.folder.key + names[0], *names[1:])))


def check_readable(place: Location, what: str, bucket: str) -> None:
    """Raise Refused where a place in a stack's bucket is none that the stack's role may read; `what` is the option."""
    if place.bucket == bucket and not place.key.startswith(READABLE):
        raise Refused(
            f"{what} {place.uri} is not for the stack's role, which reads {', '.join(READABLE[:-1])} and "
            f"{READABLE[-1]} in this bucket: put it there, as in s3://{bucket}/datasets/{place.key.rstrip('/').rpartition('/')[2]}"
        )


def check_bucket_name(name: str, what: str) -> None:
    """Raise Refused where no bucket can have this name; `what` is the option that it was given for."""
    if re.fullmatch(_BUCKET, name) is None:
        raise Refused(
            f"{what} {name!r} is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens, as in moderato-1"
        )


def parse(uri: str, what: str) -> Location:
    """Read an S3 URI; `what` is the option that it was given for. Raises Refused."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise Refused(f"{what} {uri!r} is no place in S3: give it as s3://BUCKET/PREFIX")
    return Location(found[1], (found[2] or "").lstrip("/"))
