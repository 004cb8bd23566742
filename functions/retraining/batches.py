"""Batches of labels in the bucket: what an execution is given, and the record of what became of it.

    retraining/batches/<number>-<digest>/accepted.jsonl   the labels, with their texts
                                         erased.json      the ids of all that was erased
                                         batch.json       the record, without any text

An erasure does not look here. So what is erased is taken out before a start, and the texts go when they have served.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from moderato.acceptance import ACCEPTED, ERASED, Accepted, decode, encode_erased, encode_labels
from moderato.objects import UnknownObject
from retraining.bucket import Bucket
from retraining.ledger import LabelBatch
from retraining.settings import Reason

FOLDER = "retraining/batches"
RECORD = "batch.json"

_MOST_BYTES = 2**30
"""All of an object: more than the function's memory holds."""


class Status(StrEnum):
    """What has become of a batch."""

    PINNED = "pinned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """A challenger is registered, and waits for its approval."""
    CHAMPION_KEPT = "champion kept"
    """The challenger is no better; `failure` says in what."""
    FAILED = "failed"
    """The pipeline could not do its work: nothing is known of the challenger."""
    STOPPED = "stopped"


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `batch.json` says; numbers, names and reasons, never a text."""

    number: int
    digest: str
    reason: Reason
    status: Status
    pinned: str
    labels: int
    """All that annotators had settled on when it was pinned, however old."""
    new_labels: int
    """Those of them that no batch before had."""
    erased_before_start: int = 0
    """How many of the labels were taken out again, since they were erased between pinning and start."""
    dataset_uri: str | None
    """The version that grows by the labels; null = the pipeline's own default."""
    champion_uri: str | None
    execution: str
    execution_arn: str | None = None
    started: str | None = None
    ended: str | None = None
    failed_step: str | None = None
    failure: str | None = None
    """Why the champion stays, or what failed."""
    package_arn: str | None = None
    """The model package of the challenger."""
    new_review_ids: list[str] = []


@dataclass(frozen=True)
class Content:
    """What a batch is made of."""

    accepted: bytes
    erased: bytes
    labels: int
    new_review_ids: list[str]

    def digest(self, *others: str | None) -> str:
        """Return the SHA-256 of the content, and of what else goes into the training."""
        hashes = [hashlib.sha256(part).hexdigest() for part in (self.accepted, self.erased)]
        return hashlib.sha256(msgspec.json.encode([*hashes, *others])).hexdigest()


def content_of(accepted: Sequence[Accepted], erased: Collection[str]) -> Content:
    """Return what a batch of these labels is made of; the same labels make the same bytes."""
    return Content(
        accepted=encode_labels(accepted),
        erased=encode_erased(erased),
        labels=len(accepted),
        new_review_ids=[each.label.review_id for each in accepted if each.label.dataset is None],
    )


class Batches:
    """The batches of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        """Keep them in this bucket."""
        self._bucket = bucket

    def write(self, batch: LabelBatch, content: Content) -> None:
        """Write all of a batch. What is there already was written by an earlier try, and stays."""
        record = msgspec.structs.replace(_begun(batch), new_review_ids=content.new_review_ids)
        self._bucket.put(_key(batch, ACCEPTED), content.accepted)
        self._bucket.put(_key(batch, ERASED), content.erased)
        self._bucket.put(_key(batch, RECORD), _encode_record(record))

    def leave_out_erased(self, batch: LabelBatch, erased: Collection[str]) -> None:
        """Take out of a batch what was erased since it was pinned. Its name and digest stay: they say which it is."""
        ids = encode_erased(erased)
        if ids == self._bucket.get(_key(batch, ERASED), _MOST_BYTES):
            return
        lines = [line for line in self._bucket.get(_key(batch, ACCEPTED), _MOST_BYTES).split(b"\n") if line]
        kept = [line for line in lines if not _comes_from(line, erased)]
        if len(kept) < len(lines):
            self._bucket.replace(_key(batch, ACCEPTED), b"".join(line + b"\n" for line in kept))
        if len(kept) < batch.labels:
            # Not only where this call took some out: an earlier one may have been killed before it noted that it had.
            self.note(batch, erased_before_start=batch.labels - len(kept))
        # Last: as long as the ids are not there, all of this is done again.
        self._bucket.replace(_key(batch, ERASED), ids)

    def new_review_ids(self, batch: LabelBatch) -> list[str] | None:
        """Return the reviews whose labels are new in a batch; None where somebody has removed the record."""
        try:
            record = msgspec.json.decode(self._bucket.get(_key(batch, RECORD), _MOST_BYTES), type=BatchRecord)
        except UnknownObject:
            return None
        # A note makes a lost record anew, and knows nothing of the reviews.
        return record.new_review_ids if len(record.new_review_ids) == batch.new_labels else None

    def review_ids(self, batch: LabelBatch) -> set[str]:
        """Return the reviews of all labels that are in a batch. Raises UnknownObject."""
        content = self._bucket.get(_key(batch, ACCEPTED), _MOST_BYTES)
        return {decode(line).review_id for line in content.split(b"\n") if line}

    def note(self, batch: LabelBatch, **facts: Any) -> None:  # noqa: ANN401  # the fields of BatchRecord
        """Note facts in the record of a batch, unless it says already how the batch ended: that is the last word."""

        def noted(content: bytes) -> bytes | None:
            record = msgspec.json.decode(content, type=BatchRecord)
            return None if record.ended is not None else _encode_record(msgspec.structs.replace(record, **facts))

        try:
            self._bucket.change(_key(batch, RECORD), noted)
        except UnknownObject:  # somebody removed it; that must not hold up the next batch
            self._bucket.put(_key(batch, RECORD), _encode_record(msgspec.structs.replace(_begun(batch), **facts)))

    def remove_texts(self, batch: LabelBatch) -> None:
        """Remove what has served, of this batch and of all before it; the records stay."""
        # Of all: who was held up for longer than its lease may have written what another had removed by then.
        for key in list(self._bucket.keys(f"{FOLDER}/")):
            if not key.endswith(f"/{RECORD}") and key < f"{FOLDER}/{batch.number + 1:06}":
                self._bucket.remove(key)

    def remove(self, batch: LabelBatch) -> None:
        """Remove all of a batch that was never started."""
        for name in (ACCEPTED, ERASED, RECORD):
            self._bucket.remove(_key(batch, name))


def folder_uri(bucket: str, batch: LabelBatch) -> str:
    """Return where the objects of a batch lie."""
    return f"s3://{bucket}/{FOLDER}/{batch.name}"


def _key(batch: LabelBatch, name: str) -> str:
    return f"{FOLDER}/{batch.name}/{name}"


def _begun(batch: LabelBatch) -> BatchRecord:
    return BatchRecord(**msgspec.structs.asdict(batch), status=Status.PINNED, execution=batch.execution)


def _encode_record(record: BatchRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record)) + b"\n"


def _comes_from(line: bytes, ids: Collection[str]) -> bool:
    label = decode(line)
    return not {label.review_id, label.decision_id, *label.feedback_ids}.isdisjoint(ids)
