"""Labels and gold items as files: exported and imported as an augmented manifest, and test items read line by line."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from local.options import Refused
from moderato.acceptance import ACCEPTED, ERASED, encode_erased, encode_labels
from moderato.clock import Clock, utc_now
from moderato.contracts import Text
from moderato.errors import UnknownReview
from moderato.groundtruth import Answer, Quarantined, output_line, read_output
from moderato.loop import pages
from moderato.review_queue import ReviewQueue
from moderato.reviews import Label, Review, Status
from moderato.store import Store

GOLD_LINE = '{"text": "...", "labels": [...]}'

_PAGE = 500
_OPEN = (Status.WAITING, Status.DISPUTED)


class GoldItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file of gold items: a text, and exactly the categories that it belongs to."""

    text: Text
    labels: list[str]


@dataclass
class Imported:
    """What came of a manifest, line by line."""

    settled: int = 0
    disputed: int = 0
    lone: int = 0
    """Lines that rest on one annotator alone: no label comes of them, and their reviews go on waiting."""
    closed: int = 0
    """Lines about a review that has a label already, or is in a labeling job."""
    quarantined: list[Quarantined] = field(default_factory=list)

    @property
    def trusted(self) -> int:
        """How many lines were not put in quarantine."""
        return self.settled + self.disputed + self.lone + self.closed


def export_labels(store: Store, categories: Sequence[str], path: Path) -> int:
    """Write every label that has its review to `path`, which appears whole; return how many. Raises Refused."""
    count = 0
    with _whole(path) as file:
        for line in _lines(store, categories):
            file.write(line + b"\n")
            count += 1
    return count


def write_batch(store: Store, categories: Sequence[str], folder: Path) -> int:
    """Write every label that may go into a dataset, and the ids of what was erased, as a batch for training.

    Return how many labels. Answers are looked over first, and what no longer stands is taken back. Other files of the
    folder stay. Raises Refused, before anything changes, where the store's labels are about other categories.
    """
    require_about(store, categories)
    accepted = ReviewQueue(store, categories).accepted(known=())
    erased = store.erased()  # looked up last: what was erased meanwhile is named
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    # In this order a batch that was half written leaves out too much rather than too little.
    with _whole(folder / ERASED) as file:
        file.write(encode_erased(erased))
    with _whole(folder / ACCEPTED) as file:
        file.write(encode_labels(accepted))
    return len(accepted)


def require_about(store: Store, categories: Sequence[str]) -> None:
    """Check that labels and reviews are about these categories, before they are settled again by them. Raises Refused.

    By other ones, what annotators chose would be forgotten, and what they were never asked would be a no.
    """
    found = {tuple(label.values) for label in pages(lambda cursor: store.list_labels(_PAGE, cursor))}
    found |= {tuple(review.scores) for review in store.list_reviews(Status.WAITING, _PAGE).records if review.scores}
    for about in found:
        if set(about) != set(categories):
            raise Refused(
                f"the labels here are about {', '.join(about)}, and the model's categories are "
                f"{', '.join(categories)}: name the directory of the model that serves here"
            )


def import_labels(store: Store, categories: Sequence[str], path: Path, job: str, clock: Clock = utc_now) -> Imported:
    """Take in the labels of a manifest whose lines name this job; nothing of a line that cannot be trusted is kept.

    A review that has a label keeps it; one whose annotators disagree goes to an adjudicator. Raises Refused.
    """
    reviews = _reviews_in(store, path)
    with _open(path) as lines:
        found = read_output(lines, job, reviews, categories, gone=store.erased())
    outcome = Imported(quarantined=found.quarantined)
    for answer in found.accepted:
        _take_in(store, reviews[answer.review_id], answer, job, clock, outcome)
    return outcome


def read_gold(path: Path, categories: Sequence[str]) -> list[GoldItem]:
    """Return the items of a file, one JSON object a line. Raises Refused with the number of the first bad line."""
    decoder = msgspec.json.Decoder(GoldItem)
    items = []
    with _open(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                items.append(_gold_item(decoder, line, f"{path} line {number}", categories))
    if not items:
        raise Refused(f"{path} has no items; a line is {GOLD_LINE}")
    return items


def _gold_item(decoder: msgspec.json.Decoder[GoldItem], line: bytes, where: str, categories: Sequence[str]) -> GoldItem:
    try:
        item = decoder.decode(line)
    except msgspec.ValidationError:
        raise Refused(f"{where} is not {GOLD_LINE} with a text of 1 to 20,000 characters") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(f"{where} is not JSON in UTF-8") from None
    if not item.text.strip():
        raise Refused(f"{where}: the text is empty")
    if not set(item.labels) <= set(categories):
        raise Refused(f"{where} has an unknown label; the categories are {', '.join(categories)}, and [] for none")
    return item


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears at `path` whole or not at all. Raises Refused."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch(0o600)  # with texts in it: for who wrote it alone, until they give it to others
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> Refused:
    return Refused(f"{path} cannot be written: {error.strerror}")


def _lines(store: Store, categories: Sequence[str]) -> Iterator[bytes]:
    for label in pages(lambda cursor: store.list_labels(_PAGE, cursor)):
        try:
            yield output_line(store.get_review(label.review_id), label, categories)
        except UnknownReview:
            continue  # expired since


def _reviews_in(store: Store, path: Path) -> dict[str, Review]:
    """The reviews that the lines of a file name, as far as they are stored; gold is nobody's to label."""
    reviews: dict[str, Review] = {}
    with _open(path) as lines:
        for review_id in _ids(lines):
            try:
                review = store.get_review(review_id)
            except UnknownReview:
                continue
            if review.status is not Status.GOLD:
                reviews[review_id] = review
    return reviews


class _Line(msgspec.Struct, frozen=True):
    item_id: str = msgspec.field(name="item-id")


def _ids(lines: Iterable[bytes]) -> Iterator[str]:
    decoder = msgspec.json.Decoder(_Line)
    for line in lines:
        try:
            yield decoder.decode(line).item_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # whoever reads the whole line says what is wrong with it


def _take_in(store: Store, review: Review, answer: Answer, job: str, clock: Clock, outcome: Imported) -> None:
    if review.status not in _OPEN:
        outcome.closed += 1
    elif answer.is_lone:
        outcome.lone += 1
    elif None in answer.values.values():
        store.move_review(review.review_id, Status.WAITING, Status.DISPUTED)
        outcome.disputed += 1
    else:
        store.settle(
            Label(
                review_id=review.review_id,
                values=answer.values,
                method="groundtruth",
                annotators=[],
                created=clock().isoformat(),
                job=job,
                expires=review.expires,
            )
        )
        outcome.settled += 1


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
