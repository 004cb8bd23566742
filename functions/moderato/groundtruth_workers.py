"""What each of Ground Truth's annotators answered, from the files beside a job's output.

They lie under `annotations/worker-response/iteration-N/OBJECT/TIME.json`, where OBJECT counts the lines of the input
manifest from 0. https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html, "Annotations directory",
"Worker metadata"
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from moderato.groundtruth import NONE, Fault
from moderato.groundtruth_template import ELEMENT

MAX_RESPONSE_BYTES = 200_000
_OBJECT = re.compile(r"iteration-[0-9]{1,3}/([0-9]{1,6})/[A-Za-z0-9_=:+-][A-Za-z0-9_.=:+-]*\.json")
_ANNOTATOR = re.compile(r"[A-Za-z0-9_.:@|=+-]{1,128}")


class WorkerAnswer(msgspec.Struct, frozen=True):
    """One annotator's labels for one text, `none` among them where it was chosen."""

    annotator: str
    chosen: frozenset[str]

    @property
    def labels(self) -> list[str]:
        """The categories that the text belongs to, in alphabetical order."""
        return sorted(self.chosen - {NONE})


class WorkerAnswers(msgspec.Struct, frozen=True):
    """The answers of a text's annotators, and why others were not taken."""

    answers: list[WorkerAnswer]
    refused: list[Fault]


class _Choice(msgspec.Struct, frozen=True):
    labels: list[str]


class _Content(msgspec.Struct, frozen=True):
    choice: _Choice = msgspec.field(name=ELEMENT)


class _Identity(msgspec.Struct, frozen=True):
    sub: str | None = None


class _WorkerMetadata(msgspec.Struct, frozen=True, rename="camel"):
    identity_data: _Identity = _Identity()


class _Response(msgspec.Struct, frozen=True, rename="camel"):
    worker_id: str
    answer_content: _Content
    worker_metadata: _WorkerMetadata = _WorkerMetadata()

    @property
    def annotator(self) -> str:
        # The subject is the one that an annotator signs in to the console with, so that a reporter is known as one.
        return self.worker_metadata.identity_data.sub or self.worker_id


class _File(msgspec.Struct, frozen=True):
    answers: list[_Response]


_decoder = msgspec.json.Decoder(_File)


def object_of(name: str) -> int | None:
    """Return which line of the input manifest, from 0, a file of the worker-response folder answers."""
    match = _OBJECT.fullmatch(name)
    return int(match[1]) if match else None


def read_worker_responses(contents: Iterable[bytes], categories: Sequence[str]) -> WorkerAnswers:
    """Return who chose what for one text, from its files. An annotator's first answer is the one that stands."""
    labels = {*categories, NONE}
    answers: dict[str, WorkerAnswer] = {}
    refused: list[Fault] = []
    for content in contents:
        responses = _responses(content)
        if responses is None:
            refused.append(Fault.NOT_JSON)
            continue
        for response in responses:
            fault = _fault(response, labels, answers)
            if fault is None:
                chosen = frozenset(response.answer_content.choice.labels)
                answers[response.annotator] = WorkerAnswer(response.annotator, chosen)
            else:
                refused.append(fault)
    return WorkerAnswers(list(answers.values()), refused)


def _responses(content: bytes) -> list[_Response] | None:
    if len(content) > MAX_RESPONSE_BYTES:
        return None
    try:
        return _decoder.decode(content).answers
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _fault(response: _Response, labels: set[str], answers: dict[str, WorkerAnswer]) -> Fault | None:
    chosen = response.answer_content.choice.labels
    if not _ANNOTATOR.fullmatch(response.annotator):
        return Fault.UNKNOWN_ANNOTATOR
    if not chosen:
        return Fault.NOT_ANNOTATED
    if not set(chosen) <= labels:
        return Fault.UNKNOWN_LABEL
    if NONE in chosen and len(set(chosen)) > 1:
        return Fault.CONTRADICTION
    return Fault.DUPLICATE if response.annotator in answers else None
