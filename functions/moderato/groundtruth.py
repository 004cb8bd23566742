"""Labels as lines: Ground Truth's augmented manifest, written for what the console settled and read from anybody.

A line is a JSON object: `source` (the text), `item-id` (the review), `moderation` (the indices of the labels that any
annotator chose) and `moderation-metadata` (what the indices mean, how sure each is, which job asked).
https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html, "Multi-label classification job output"
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from moderato.reviews import Label, Review

ATTRIBUTE = "moderation"
METADATA = f"{ATTRIBUTE}-metadata"
NONE = "none"
"""The label for "none of the categories": annotators must choose at least one label, and Ground Truth has none."""

CONSOLE_JOB = "moderato-console"
"""The job that a line names when no labeling job made its label."""
TASK_TYPE = "groundtruth/text-classification-multilabel"
THRESHOLD = 0.8
"""The confidence from which a chosen label counts as true; below it, annotators disagreed."""
MAX_LINE_BYTES = 300_000
"""The longest text has 12 bytes a character once escaped (two surrogates); the rest of a line is far below 60,000."""

_KEYS = {"source", "item-id", ATTRIBUTE, METADATA}
_SETTLED, _DISPUTED = 1.0, 0.5
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*-?(NaN|Infinity)\b")


class Fault(StrEnum):
    """Why a line, or one annotator's answer, is not taken; these words are all that is ever said of it."""

    TOO_LONG = "too long"
    NOT_JSON = "not JSON"
    NOT_AN_OBJECT = "not an object"
    FOREIGN_KEY = "foreign key"
    """It has `source-ref`, which names an object to fetch, or another key that we did not write."""
    UNKNOWN_ID = "unknown id"
    GONE = "gone"
    """The review was erased, or has expired, since it went into the job."""
    CHANGED_TEXT = "changed text"
    NOT_ANNOTATED = "not annotated"
    """Nobody answered before the task expired."""
    WRONG_TYPE = "wrong type"
    """It is the output of another kind of task."""
    NOT_HUMAN = "not human-annotated"
    FOREIGN_JOB = "foreign job"
    BAD_CLASS_MAP = "bad class map"
    UNKNOWN_LABEL = "unknown label"
    BAD_CONFIDENCE = "bad confidence"
    """It is NaN or infinite, not within 0..1, or missing for a label that was chosen."""
    CONTRADICTION = "contradiction"
    """It says that the text belongs to no category, and to one."""
    DUPLICATE = "duplicate"
    """An earlier line answered the same."""
    UNKNOWN_ANNOTATOR = "unknown annotator"
    """Whose answer it is has not the form of a name that an identity provider gives."""


class Answer(msgspec.Struct, frozen=True):
    """What one good line says of a review.

    `values` says of each category whether the text belongs to it, None where annotators disagree. `chosen` has the
    labels that any of them chose, `none` among them. A lone annotator is all that `values` rest on where `is_lone`.
    """

    line_number: int
    review_id: str
    values: dict[str, bool | None]
    chosen: frozenset[str]
    is_lone: bool


class Quarantined(msgspec.Struct, frozen=True):
    """A line that is not taken, and why; `review_id` only where it is one of ours."""

    line_number: int
    reason: Fault
    review_id: str | None = None


class Import(msgspec.Struct, frozen=True):
    """What came of reading an output manifest."""

    accepted: list[Answer]
    quarantined: list[Quarantined]


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def output_line(review: Review, label: Label, categories: Sequence[str]) -> bytes:
    """Return a review and its label as one line of an output manifest, without a line end.

    A category is chosen with confidence 1 where its value is True, with 0.5 where nobody decided; `none` is chosen
    where all values are False. `read_output` reads the same values back.
    """
    confidences = {
        index: _SETTLED if belongs else _DISPUTED
        for index, name in enumerate(categories)
        if (belongs := label.values.get(name)) is not False
    } or {len(categories): _SETTLED}
    names = [*categories, NONE]
    metadata = {
        "job-name": f"labeling-job/{label.job or CONSOLE_JOB}",
        "class-map": {str(index): names[index] for index in confidences},
        "confidence-map": {str(index): confidence for index, confidence in confidences.items()},
        "human-annotated": "yes",
        "creation-date": label.created,
        "type": TASK_TYPE,
    }
    line = {"source": review.text, "item-id": review.review_id, ATTRIBUTE: list(confidences), METADATA: metadata}
    return dump_line(line)


def dump_line(content: Mapping[str, object]) -> bytes:
    """Return one line of a manifest, without a line end: ASCII, since many readers split lines at U+2028 too."""
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


def read_output(
    lines: Iterable[bytes],
    job: str,
    reviews: Mapping[str, Review],
    categories: Sequence[str],
    threshold: float = THRESHOLD,
    gone: Collection[str] = (),
) -> Import:
    """Return the answers in an output manifest, and each line that cannot be trusted with the reason.

    `reviews` are those of the job, by id; `gone` are ids that were among them. Lines are read one by one, so any number
    of them fits into memory. Empty lines are passed over, and counted.
    """
    reader = _Reader(job, reviews, categories, threshold, gone)
    accepted: list[Answer] = []
    quarantined: list[Quarantined] = []
    for outcome in reader.read(lines):
        if isinstance(outcome, Answer):
            accepted.append(outcome)
        else:
            quarantined.append(outcome)
    return Import(accepted, quarantined)


class _Reader:
    def __init__(
        self,
        job: str,
        reviews: Mapping[str, Review],
        categories: Sequence[str],
        threshold: float,
        gone: Collection[str],
    ) -> None:
        # The console writes as Ground Truth does: its documentation shows both forms of a job's name.
        self._jobs = {job, f"labeling-job/{job}"}
        self._reviews = reviews
        self._categories = categories
        self._labels = {*categories, NONE}
        self._threshold = threshold
        self._gone = gone
        self._answered: set[str] = set()

    def read(self, lines: Iterable[bytes]) -> Iterator[Answer | Quarantined]:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield self._outcome(number, line)

    def _outcome(self, number: int, line: bytes) -> Answer | Quarantined:
        review_id = None
        try:
            content = _parse(line)
            review_id = self._known(content.get("item-id"))
            return self._answer(number, review_id, content)
        except _Refused as refused:
            return Quarantined(number, refused.fault, review_id)

    def _known(self, item_id: object) -> str:
        if isinstance(item_id, str):
            if item_id in self._reviews:
                return item_id
            if item_id in self._gone:
                raise _Refused(Fault.GONE)
        raise _Refused(Fault.UNKNOWN_ID)

    def _answer(self, number: int, review_id: str, content: Mapping[str, Any]) -> Answer:
        if content.get("source") != self._reviews[review_id].text:
            raise _Refused(Fault.CHANGED_TEXT)
        if ATTRIBUTE not in content or METADATA not in content:
            raise _Refused(Fault.NOT_ANNOTATED)
        metadata = self._metadata(content[METADATA])
        names = self._names(metadata.get("class-map"))
        confidences = _confidences(_chosen(content[ATTRIBUTE], names), metadata.get("confidence-map"))
        confidences = {names[index]: confidence for index, confidence in confidences.items()}
        is_lone = not any(confidences.values())
        values = self._values(confidences, is_lone)
        if review_id in self._answered:
            raise _Refused(Fault.DUPLICATE)
        self._answered.add(review_id)
        return Answer(number, review_id, values, frozenset(confidences), is_lone)

    def _metadata(self, content: object) -> Mapping[str, Any]:
        if not isinstance(content, dict):
            raise _Refused(Fault.WRONG_TYPE)
        if content.get("type") != TASK_TYPE:
            raise _Refused(Fault.WRONG_TYPE)
        if content.get("human-annotated") != "yes":
            raise _Refused(Fault.NOT_HUMAN)
        job_name = content.get("job-name")
        if not isinstance(job_name, str) or job_name not in self._jobs:
            raise _Refused(Fault.FOREIGN_JOB)
        return content

    def _names(self, class_map: object) -> Mapping[str, str]:
        """Return the label of each index, as this line has it: indices need not be in our order."""
        if not isinstance(class_map, dict) or not all(isinstance(name, str) for name in class_map.values()):
            raise _Refused(Fault.BAD_CLASS_MAP)
        if not set(class_map.values()) <= self._labels:
            raise _Refused(Fault.UNKNOWN_LABEL)
        if len(set(class_map.values())) != len(class_map):
            raise _Refused(Fault.BAD_CLASS_MAP)
        return class_map

    def _values(self, confidences: Mapping[str, float], is_lone: bool) -> dict[str, bool | None]:
        # A lone annotator's confidences are all 0.00, so what was chosen is all there is.
        sure = {label for label, confidence in confidences.items() if is_lone or confidence >= self._threshold}
        if NONE in sure and len(sure) > 1:
            raise _Refused(Fault.CONTRADICTION)
        return {name: (name in sure or None) if name in confidences else False for name in self._categories}


def _parse(line: bytes) -> Mapping[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise _Refused(Fault.TOO_LONG)
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _Refused(Fault.BAD_CONFIDENCE if _NOT_A_NUMBER.search(line) else Fault.NOT_JSON) from None
    if not isinstance(content, dict):
        raise _Refused(Fault.NOT_AN_OBJECT)
    if not content.keys() <= _KEYS:
        raise _Refused(Fault.FOREIGN_KEY)
    return content


def _chosen(indices: object, names: Mapping[str, str]) -> set[str]:
    """Return the indices of the labels that any annotator chose, as the maps write them."""
    if not isinstance(indices, list) or any(type(index) is not int for index in indices):
        raise _Refused(Fault.BAD_CLASS_MAP)
    if not indices:
        raise _Refused(Fault.NOT_ANNOTATED)
    chosen = {str(index) for index in indices}
    if len(chosen) != len(indices) or not chosen <= names.keys():
        raise _Refused(Fault.BAD_CLASS_MAP)
    return chosen


def _confidences(chosen: set[str], confidence_map: object) -> Mapping[str, float]:
    if not isinstance(confidence_map, dict) or confidence_map.keys() != chosen:
        raise _Refused(Fault.BAD_CONFIDENCE)
    if any(type(value) not in (int, float) or not 0 <= value <= 1 for value in confidence_map.values()):
        raise _Refused(Fault.BAD_CONFIDENCE)
    return confidence_map
