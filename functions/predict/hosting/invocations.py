"""What `POST /invocations` answers: one request as `POST /moderate` takes it, or many texts, one a line.

Nothing is stored here: there is no table, and whoever sends a batch has its texts already. Every result says so.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from aws_lambda_powertools import Logger
from msgspec import UNSET, UnsetType

from moderato.api import MAX_BODY_BYTES, parse_body
from moderato.contracts import (
    Identifier,
    ModerateItem,
    ModerateRequest,
    ModerateResponse,
    ModerateResult,
    ProblemDetails,
)
from moderato.decisions import ModelName, PolicyName
from moderato.errors import InvalidRequest, RequestError, TooLarge, UnsupportedMediaType
from moderato.formats import answer_to
from moderato.judge import Judge
from moderato.policy import Policy
from predict.app import DEFAULT_POLICY, items_of, policy_of, report

PATH = "/invocations"

MAX_LINES_BYTES = 6 * 1024 * 1024
"""What many texts may have together where nobody said otherwise: a real-time endpoint is never sent more."""

MAX_LINES = 100_000
"""How many lines those may be: results take more memory than what was asked, and even a bad line has one. A megabyte,
which Batch Transform is told to send, cannot have as many good ones."""

_BYTES_A_LINE = 64
"""Where somebody allowed more bytes, there may be a line for so many of them."""

_MEDIA_TYPE = re.compile(r'(?P<kind>[^;\s]+)\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)


class Kind(StrEnum):
    """What a body can be."""

    JSON = "application/json"
    LINES = "application/jsonlines"


class LineResult(ModerateResult, frozen=True, kw_only=True):
    """What was decided on the text of one line; a file of results names the model and the policy in each."""

    model: ModelName
    policy: PolicyName


class LineError(msgspec.Struct, frozen=True):
    """Why the text of one line was not scored; `id` is there when the line has one that can be read."""

    error: ProblemDetails
    id: str | UnsetType = UNSET


class Stopped(Exception):
    """Nobody waits for the answer any more."""


class _Named(msgspec.Struct, frozen=True):
    """The id of a line, whatever else is in it."""

    id: Identifier


@dataclass(frozen=True)
class Invocations:
    """Scores the bodies of invocations by one model; safe for threads."""

    judge: Judge
    policies: Mapping[str, Policy]
    logger: Logger
    max_lines_bytes: int = MAX_LINES_BYTES
    _encoder: msgspec.json.Encoder = field(default_factory=msgspec.json.Encoder)

    def max_bytes(self, kind: Kind) -> int:
        """Return how many bytes a body of this kind may have."""
        return MAX_BODY_BYTES if kind is Kind.JSON else self.max_lines_bytes

    @property
    def max_lines(self) -> int:
        """How many lines a body may have."""
        return max(MAX_LINES, self.max_lines_bytes // _BYTES_A_LINE)

    def __call__(self, kind: Kind, body: bytes, is_stopped: Callable[[], bool]) -> bytes:
        """Return the answer's body, of the same kind.

        Raises RequestError, or Stopped soon after `is_stopped` says so.
        """
        return self._moderate(body) if kind is Kind.JSON else self._moderate_lines(body, is_stopped)

    def _moderate(self, body: bytes) -> bytes:
        request = parse_body(body, ModerateRequest)
        policy = policy_of(request.policy, self.policies)
        outcomes = self.judge.each(items_of(request), policy, store=False, explain=request.explain)
        results = [outcome.result for outcome in outcomes]
        report(results, self.logger)
        return self._encoder.encode(
            ModerateResponse(self.judge.model, PolicyName(policy.name, policy.version), results)
        )

    def _moderate_lines(self, body: bytes, is_stopped: Callable[[], bool]) -> bytes:
        if not body.strip():
            raise InvalidRequest("the body is empty; send one JSON object with a `text` a line")
        if body.count(b"\n") > self.max_lines:
            raise TooLarge(f"a body may have at most {self.max_lines} lines here; send fewer at once")
        answers = [self._answer(line) for line in _lines(body, is_stopped)]
        results = [answer for answer in answers if isinstance(answer, LineResult)]
        report(results, self.logger)
        if len(results) < len(answers):
            self.logger.info("refused_lines", extra={"lines": len(answers) - len(results)})
        return self._encoder.encode_lines(answers)

    def _answer(self, line: bytes) -> LineResult | LineError:
        # A job of a million lines must not end for one of them: its error stands where its result would.
        policy = self.policies[DEFAULT_POLICY]
        try:
            (outcome,) = self.judge.each([parse_body(line, ModerateItem)], policy, store=False, explain=False)
        except RequestError as error:
            return _line_error(line, error)
        name = PolicyName(policy.name, policy.version)
        return LineResult(**msgspec.structs.asdict(outcome.result), model=self.judge.model, policy=name)


def kind_of(content_type: str) -> Kind:
    """Return what a body is by its header. Raises UnsupportedMediaType, which names the kinds that are right."""
    found = _MEDIA_TYPE.fullmatch(content_type.strip())
    try:
        return Kind(found["kind"].lower() if found else "")
    except ValueError:
        raise UnsupportedMediaType(
            f"the body must be JSON in UTF-8: one request, with the header Content-Type: {Kind.JSON}, "
            f"or one text a line, with {Kind.LINES}"
        ) from None


def too_large(limit: int) -> TooLarge:
    """Return the error about a body of more bytes than it may have."""
    return TooLarge(f"a body may have at most {limit} bytes here; send fewer texts at once")


def _lines(body: bytes, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
    # The last line may have an end or none; any other empty one is a line too, and keeps its place.
    for line in body.removesuffix(b"\n").split(b"\n"):
        if is_stopped():
            raise Stopped
        yield line


def _line_error(line: bytes, error: RequestError) -> LineError:
    body = answer_to(error, PATH).body
    assert isinstance(body, ProblemDetails)  # noqa: S101  # what this path speaks
    return LineError(body, _id_of(line))


def _id_of(line: bytes) -> str | UnsetType:
    try:
        return msgspec.json.decode(line, type=_Named).id
    except (msgspec.DecodeError, UnicodeError):
        return UNSET
