"""An AWS that answers from this process: real boto3 sessions sign and send, and what they send never leaves.

Answers are put in where HTTP would go out (botocore's `before-send`), so that requests are serialized and answers
parsed as ever. An operation that no test has given an answer for fails with its name.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.awsrequest import AWSPreparedRequest, AWSResponse  # type: ignore[import-untyped]  # it has no types
from botocore.loaders import create_loader  # type: ignore[import-untyped]  # it has no types

REGION = "eu-west-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/moderato-training"
BUCKET = "moderato-bucket"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/moderato-training:1"
DIGEST = "sha256:" + "0" * 64

_XML = {"sts", "iam", "s3", "cloudformation"}
_NAMES = {"cloudwatch-logs": "logs"}
_MODELS = create_loader()

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """An answer that is an error."""

    code: str
    status: int = 400
    message: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Mapping[str, Any] | Failed
Answering = Answer | Callable[[Request], Answer]


class Aws:
    """An account's services, what they were asked, and a boto3 session that reaches them."""

    def __init__(self, region: str | None = REGION, is_signed_in: bool = True) -> None:
        self.calls: list[str] = []
        """Every call in its order, as `sagemaker:CreateTrainingJob`."""
        self.objects: dict[str, bytes] = {}
        """What is in S3, by `bucket/key`."""
        self.buckets = {BUCKET: REGION}
        self._answers: dict[str, Answering] = {}
        self._requests: list[tuple[str, dict[str, Any]]] = []
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"} if is_signed_in else {}
        self.session = boto3.Session(region_name=region, **keys)
        # The models of AWS's services are large: one loader reads each of them once for all tests.
        self.session._session.register_component("data_loader", _MODELS)
        self.session.events.register("provide-client-params", self._note)
        self.session.events.register("before-send", self._send)
        self._settle()

    def answer(self, service: str, operation: str, answer: Answering) -> None:
        """Give an operation's answer: a dict as boto3 would return it, a failure, or what makes one of a request."""
        self._answers[f"{service}:{operation}"] = answer

    def requests(self, service: str, operation: str) -> list[dict[str, Any]]:
        """Return the requests of an operation, as its client was given them."""
        return [request for name, request in self._requests if name == f"{service}:{operation}"]

    def put(self, key: str, content: bytes = b"{}", bucket: str = BUCKET) -> None:
        """Put an object into S3."""
        self.objects[f"{bucket}/{key}"] = content

    def started(self) -> list[str]:
        """Return the calls that make something, which cost or last."""
        return [call for call in self.calls if ":Create" in call or ":Start" in call or ":Put" in call]

    def _settle(self) -> None:
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}]}
        role = {"RoleName": ROLE.rsplit("/", 1)[-1], "Arn": ROLE, "AssumeRolePolicyDocument": json.dumps(trust)}
        identity = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me", "UserId": "me"}
        self.answer("sts", "GetCallerIdentity", identity)
        self.answer("iam", "GetRole", {"Role": {**role, "Path": "/", "RoleId": "role", "CreateDate": "2026-11-22"}})
        self.answer("ecr", "DescribeImages", {"imageDetails": [{"imageDigest": DIGEST}]})
        self.answer("pricing", "GetProducts", priced("1.41"))

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        name = f"{_service(model.service_model.service_id.hyphenize())}:{model.name}"
        self._requests.append((name, dict(params)))

    def _send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        service, operation = event_name.split(".")[1:]
        service = _service(service)
        self.calls.append(f"{service}:{operation}")
        params = self._requests[-1][1]
        answer = self._s3(operation, params, request) if service == "s3" else self._answers.get(self.calls[-1])
        if answer is None:
            raise AssertionError(f"nobody said what {self.calls[-1]} answers to {params}")
        if callable(answer):
            answer = answer(params)
        return _response(service, operation, answer, request.url)

    def _s3(self, operation: str, params: Request, request: AWSPreparedRequest) -> Answering | None:
        """S3 as it is: buckets in regions, objects by their keys."""
        given = self._answers.get(f"s3:{operation}")
        if given is not None:
            return given
        region = self.buckets.get(params["Bucket"])
        if region is None:
            return Failed("404" if operation.startswith("Head") else "NoSuchBucket", 404)
        if operation == "HeadBucket":
            return {"headers": {"x-amz-bucket-region": region}}
        name = f"{params['Bucket']}/{params.get('Key', '')}"
        if operation == "PutObject":
            self.objects[name] = _unchunked(request.body.read())
            return {}
        if operation == "HeadObject":
            found = self.objects.get(name)
            return Failed("404", 404) if found is None else {"headers": {"content-length": str(len(found))}}
        if operation == "ListObjectsV2":
            start = f"{params['Bucket']}/{params.get('Prefix', '')}"
            keys = sorted(key.split("/", 1)[1] for key in self.objects if key.startswith(start))
            listed = keys[: params.get("MaxKeys", 1000)]
            return {"KeyCount": len(listed), "IsTruncated": False, "Contents": [{"Key": key} for key in listed]}
        return None


def priced(dollars: str, instance_type: str = "ml.g5.xlarge") -> dict[str, Any]:
    """Return an answer of the price list: this instance type's training, and its hosting at ten times the price."""

    def product(usage: str, price: str) -> str:
        dimension = {"unit": "Hrs", "pricePerUnit": {"USD": price}}
        return json.dumps(
            {
                "product": {"attributes": {"usagetype": usage, "instanceName": instance_type, "regionCode": REGION}},
                "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
            }
        )

    usages = {f"EU-Host:{instance_type}": f"1{dollars}", f"EU-Train:{instance_type}": dollars}
    return {"FormatVersion": "aws_v1", "PriceList": [product(usage, price) for usage, price in usages.items()]}


def _unchunked(body: bytes) -> bytes:
    """What was sent in chunks (aws-chunked), each behind its length, with a digest after the last."""
    content, rest = b"", body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return content
        content, rest = content + rest[:length], rest[length + 2 :]


def _service(name: str) -> str:
    return _NAMES.get(name, name)


class _Raw(io.BytesIO):
    def stream(self, **_: object) -> Any:
        yield self.read()


def _response(service: str, operation: str, answer: Answer, url: str) -> AWSResponse:
    if isinstance(answer, Failed):
        return AWSResponse(url, answer.status, dict(answer.headers), _Raw(_failure(service, answer)))
    headers = dict(answer.get("headers", {}))
    body = {name: value for name, value in answer.items() if name != "headers"}
    if service not in _XML:
        return AWSResponse(url, 200, headers, _Raw(json.dumps(body, default=str).encode()))
    if service == "s3":
        root = {"ListObjectsV2": "ListBucketResult"}.get(operation, operation)
        content = "".join(_xml(name, value, is_flat=True) for name, value in body.items())
        return AWSResponse(url, 200, headers, _Raw(f"<{root}>{content}</{root}>".encode() if body else b""))
    inner = "".join(_xml(name, value) for name, value in body.items())
    result = f"<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>"
    return AWSResponse(url, 200, headers, _Raw(result.encode()))


def _failure(service: str, failed: Failed) -> bytes:
    if service not in _XML:
        return json.dumps({"__type": failed.code, "message": failed.message}).encode()
    error = f"<Code>{failed.code}</Code><Message>{escape(failed.message)}</Message>"
    if service == "s3":
        return b"" if failed.code.isdigit() else f"<Error>{error}</Error>".encode()
    return f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()


def _xml(name: str, value: Any, is_flat: bool = False) -> str:
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(_xml(key, each, is_flat) for key, each in value.items())}</{name}>"
    if isinstance(value, list) and is_flat:
        return "".join(_xml(name, each, is_flat) for each in value)
    if isinstance(value, list):
        return f"<{name}>{''.join(_xml('member', each) for each in value)}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(text)}</{name}>"
