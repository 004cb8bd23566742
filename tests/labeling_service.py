"""A labeling service for tests: SageMaker's labeling jobs, with every request held against botocore's own model."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # none of it has types
from botocore.errorfactory import ClientExceptionsFactory  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from botocore.model import ListShape, Shape, StringShape, StructureShape  # type: ignore[import-untyped]
from botocore.validate import ParamValidator  # type: ignore[import-untyped]

from moderato.objects import ObjectStore

MODEL = botocore.session.get_session().get_service_model("sagemaker")
ACCOUNT = "arn:aws:sagemaker:us-east-1:111122223333"
EXCEPTIONS = ClientExceptionsFactory().create_client_exceptions(MODEL)

_ELSEWHERE = timezone(timedelta(hours=2))  # botocore tells times in the zone of the machine

Choices = Mapping[str, Mapping[str, Sequence[str]]]
"""By review id and annotator, the labels that were chosen."""


class LabelingService:
    """Remembers labeling jobs, refuses what SageMaker would refuse, and writes the output of annotators."""

    def __init__(self, objects: ObjectStore, clock: Callable[[], datetime]) -> None:
        """Read and write what lies in `objects`, as the bucket of all jobs."""
        self.exceptions = EXCEPTIONS
        self.jobs: dict[str, dict[str, Any]] = {}
        self._objects, self._clock = objects, clock
        self._creating = threading.Lock()

    def create_labeling_job(self, **request: Any) -> dict[str, Any]:
        """CreateLabelingJob."""
        problems = [*problems_of(request), *self._missing(request)]
        if problems:
            raise _error("ValidationException", "; ".join(problems))
        name = request["LabelingJobName"]
        with self._creating:
            if name in self.jobs:
                raise self.exceptions.ResourceInUse(_response("ResourceInUse", "taken"), "CreateLabelingJob")
            now = self._clock()
            self.jobs[name] = request | {
                "LabelingJobStatus": "InProgress",
                "LabelingJobArn": arn(name),
                "CreationTime": now,
                "LastModifiedTime": now,
            }
        return {"LabelingJobArn": arn(name)}

    def describe_labeling_job(self, **request: Any) -> dict[str, Any]:
        """DescribeLabelingJob."""
        job = self.jobs.get(request["LabelingJobName"])
        if job is None:
            raise self.exceptions.ResourceNotFound(_response("ResourceNotFound", "none"), "DescribeLabelingJob")
        return job | {"LastModifiedTime": job["LastModifiedTime"].astimezone(_ELSEWHERE)}

    def finish(self, name: str, status: str) -> None:
        """Let a job end."""
        self.jobs[name] |= {"LabelingJobStatus": status, "LastModifiedTime": self._clock()}

    def texts(self, name: str) -> dict[str, str]:
        """Return the texts of a job by item id, in the order of its manifest."""
        key = _key(self.jobs[name]["InputConfig"]["DataSource"]["S3DataSource"]["ManifestS3Uri"])
        lines = self._objects.get(key).split(b"\n")
        return {item["item-id"]: item["source"] for item in (json.loads(line) for line in lines if line)}

    def labels(self, name: str) -> list[str]:
        """Return the labels that a job's annotators may choose."""
        content = json.loads(self._objects.get(_key(self.jobs[name]["LabelCategoryConfigS3Uri"])))
        return [label["label"] for label in content["labels"]]

    def complete(self, name: str, choices: Choices, *, with_responses: bool = True) -> None:
        """Write what annotators chose, as Ground Truth does, and complete the job."""
        lines = list(self._output(name, choices))
        self.write_output(name, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        if with_responses:
            for number, item_id in enumerate(self.texts(name)):
                for annotator, chosen in choices.get(item_id, {}).items():
                    self.write_response(name, number, annotator, worker_response(annotator, chosen))
        self.finish(name, "Completed")

    def write_output(self, name: str, content: bytes) -> None:
        """Write a job's output manifest."""
        self._objects.put(f"{self._folder(name)}/manifests/output/output.manifest", content)

    def write_response(self, name: str, number: int, annotator: str, content: bytes) -> None:
        """Write one annotator's answer to one line of the input manifest."""
        folder = f"{self._folder(name)}/annotations/worker-response/iteration-1/{number}"
        self._objects.put(f"{folder}/2026-11-21_12:00:00-{annotator}.json", content)

    def _folder(self, name: str) -> str:
        return _key(self.jobs[name]["OutputConfig"]["S3OutputPath"]).rstrip("/") + "/" + name

    def _output(self, name: str, choices: Choices) -> Iterator[dict[str, Any]]:
        labels = self.labels(name)
        for item_id, text in self.texts(name).items():
            line = {"source": text, "item-id": item_id}
            answers = choices.get(item_id, {})
            yield line | (annotated(name, labels, list(answers.values())) if answers else {})

    def _missing(self, request: Mapping[str, Any]) -> list[str]:
        uris = [
            request["InputConfig"]["DataSource"]["S3DataSource"]["ManifestS3Uri"],
            request["LabelCategoryConfigS3Uri"],
            request["HumanTaskConfig"]["UiConfig"]["UiTemplateS3Uri"],
        ]
        return [f"{uri}: no such object" for uri in uris if not self._objects.exists(_key(uri))]


def annotated(name: str, labels: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return what Ground Truth adds to a line, with the share of the annotators as the confidence of each label."""
    chosen = sorted({label for answer in answers for label in answer}, key=labels.index, reverse=True)
    share = {label: sum(label in answer for answer in answers) / len(answers) for label in chosen}
    index = {label: str(labels.index(label)) for label in chosen}
    return {
        "moderation": [labels.index(label) for label in chosen],
        "moderation-metadata": {
            "job-name": f"labeling-job/{name}",
            "class-map": {index[label]: label for label in chosen},
            "human-annotated": "yes",
            "creation-date": "2026-11-21T12:00:00.000201",
            "confidence-map": {index[label]: share[label] if len(answers) > 1 else 0.0 for label in chosen},
            "type": "groundtruth/text-classification-multilabel",
        },
    }


def worker_response(annotator: str, chosen: Sequence[str]) -> bytes:
    """Return the file of one annotator's answer to one text."""
    answer = {
        "acceptanceTime": "2026-11-21T11:58:00.000Z",
        "submissionTime": "2026-11-21T11:59:00.000Z",
        "timeSpentInSeconds": 40.543,
        "answerContent": {"crowd-classifier-multi-select": {"labels": list(chosen)}},
        "workerId": f"private.us-east-1.{annotator}",
        "workerMetadata": {
            "identityData": {
                "identityProviderType": "Cognito",
                "issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_123456789",
                "sub": annotator,
            }
        },
    }
    return json.dumps({"answers": [answer]}).encode()


def state_change(name: str, status: str) -> dict[str, Any]:
    """Return EventBridge's event of a labeling job's end."""
    return {
        "version": "0",
        "detail-type": "SageMaker Ground Truth Labeling Job State Change",
        "source": "aws.sagemaker",
        "account": "111122223333",
        "region": "us-east-1",
        "resources": [arn(name)],
        "detail": {"LabelingJobStatus": status},
    }


def arn(name: str) -> str:
    """Return a labeling job's ARN."""
    return f"{ACCOUNT}:labeling-job/{name}"


def problems_of(request: Mapping[str, Any]) -> list[str]:
    """Return what CreateLabelingJob's model has against a request: botocore's checks, and those it leaves to AWS."""
    shape = MODEL.operation_model("CreateLabelingJob").input_shape
    assert shape is not None
    report = ParamValidator().validate(dict(request), shape)
    return [report.generate_report()] if report.has_errors() else list(_breaches(request, shape, ""))


def _breaches(value: Any, shape: Shape, path: str) -> Iterator[str]:
    yield from (f"{path}: {breach}" for breach in _own_breaches(value, shape))
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            yield from _breaches(item, shape.members[name], f"{path}/{name}")
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value):
            yield from _breaches(item, shape.member, f"{path}/{number}")


def _own_breaches(value: Any, shape: Shape) -> Iterator[str]:
    size = value if isinstance(value, int) else len(value)
    if size < shape.metadata.get("min", size):
        yield f"less than {shape.metadata['min']}"
    if size > shape.metadata.get("max", size):
        yield f"more than {shape.metadata['max']}"
    if isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield "not one of the values"
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not re.fullmatch(_in_python(pattern), value):
        yield f"not {pattern}"


def _in_python(pattern: str) -> str:
    return pattern.replace(r"\p{L}", "A-Za-z").replace(r"\p{Z}", " ").replace(r"\p{N}", "0-9")


def _key(uri: str) -> str:
    return uri.removeprefix("s3://").split("/", 1)[1]


def _response(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}


def _error(code: str, message: str) -> ClientError:
    return ClientError(_response(code, message), "CreateLabelingJob")
