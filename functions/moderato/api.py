"""The edge to HTTP: events in, typed requests out, and the one map from an error to its answer."""

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import ResponseBuilder, Route
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.contracts import (
    AdjudicationRequest,
    AnnotationRequest,
    FeedbackRequest,
    ModerateItem,
    ModerateRequest,
    parameters_of,
)
from moderato.errors import (
    FieldError,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    RequestError,
    TooLarge,
    UnknownRoute,
    UnsupportedMediaType,
)
from moderato.formats import ErrorAnswer, answer_to, answer_to_failure
from moderato.telemetry import Count, ignore

MAX_BODY_BYTES = 256 * 1024
LOCAL_CALLER = "local"
ADJUDICATORS = "adjudicators"
"""The group of a token whose members may adjudicate."""

_Request = TypeVar("_Request")
_Query = TypeVar("_Query", bound=msgspec.Struct)
_NOT_UTF8 = "the body is not valid UTF-8"
_MEDIA_TYPE = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
_MSGSPEC_PATH = re.compile(r"(?P<detail>.*?)(?: - at (?:`\$(?P<path>.*)`|.*))?", re.DOTALL)
_MSGSPEC_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_REQUESTS = (ModerateRequest, ModerateItem, FeedbackRequest, AnnotationRequest, AdjudicationRequest)
_FIELDS = {name for request in _REQUESTS for name in request.__struct_fields__}


@dataclass(frozen=True)
class Caller:
    """Who calls, and whether they may decide what annotators could not agree on."""

    name: str
    is_adjudicator: bool = False
    is_local: bool = False
    """Whether they call from the machine itself, where nobody has to say who they are."""

    @property
    def may_erase(self) -> bool:
        """Whether they may erase records: a moderator's token alone must not empty the store."""
        return self.is_adjudicator or self.is_local


Identify = Callable[[APIGatewayProxyEventV2], Caller]
"""Tells who sent an event; raises NotSignedIn where somebody must be."""

Guard = Callable[[APIGatewayProxyEventV2], None]
"""Looks at each event before any route does; raises the RequestError that keeps its sender out."""


class Resolver(APIGatewayHttpResolver):
    """Powertools' resolver for HTTP APIs, made safe for threads.

    Powertools keeps the event in a class attribute, shared by every resolver of the process: on a local server one
    request would read the body of another. Here each thread has its own event and context.
    """

    def __init__(self) -> None:
        """Make a resolver without routes."""
        self._of_thread = threading.local()
        self._building = threading.Lock()
        super().__init__()

    @property
    def current_event(self) -> APIGatewayProxyEventV2:  # type: ignore[override]  # an attribute there
        """The event that this thread answers."""
        event: APIGatewayProxyEventV2 = self._of_thread.event
        return event

    @property
    def context(self) -> dict[str, Any]:
        """What powertools notes about the request that this thread answers."""
        context: dict[str, Any] = self._of_thread.__dict__.setdefault("context", {})
        return context

    @context.setter
    def context(self, context: dict[str, Any]) -> None:
        self._of_thread.context = context

    def resolve(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer one event of API Gateway (HTTP API, payload 2.0)."""
        self._of_thread.event = APIGatewayProxyEventV2(dict(event))
        return super().resolve(event, context)

    def methods_of(self, path: str) -> list[str]:
        """Return the methods of the routes that match `path`."""
        routes = [*self._static_routes, *self._dynamic_routes]
        return sorted({route.method for route in routes if route.rule.match(path)})

    def _call_route(self, route: Route, route_arguments: dict[str, str]) -> ResponseBuilder[Any]:
        # Two threads that build a route's middleware at once would wrap it twice, and break it for good.
        with self._building:
            if not route._middleware_stack_built:  # noqa: SLF001  # powertools has no public way to build it early
                route._build_middleware_stack(self._router_middlewares, self)  # noqa: SLF001
        return super()._call_route(route, route_arguments)


def open_to_all(_event: APIGatewayProxyEventV2) -> None:
    """Keep nobody out: the guard of a laptop that only its own machine can ask."""


def create_resolver(logger: Logger, guard: Guard = open_to_all, count: Count = ignore) -> Resolver:
    """Return a resolver that lets in whom `guard` lets in, and answers every error in the format of its path."""
    resolver = Resolver()

    def refuse(error: RequestError) -> Response[str]:
        logger.info("refused", extra={"status": error.status, "problem": error.slug})
        return problem(error, resolver.current_event.path)

    def fail(error: Exception) -> Response[str]:
        # The type only: 14 of 18 common exceptions carry user text in their message.
        logger.error("failed", extra={"error_type": type(error).__name__})
        count("failed")
        return failure(resolver.current_event.path)

    def keep_out(_: Resolver, answer: Callable[[Resolver], Response[str]]) -> Response[str]:
        # Unknown paths too: what a stranger is told does not depend on which routes there are.
        guard(resolver.current_event)
        return answer(resolver)

    resolver.use([keep_out])
    resolver.not_found(lambda _: refuse(_no_route(resolver)))
    resolver.exception_handler(RequestError)(refuse)
    resolver.exception_handler(Exception)(fail)
    return resolver


def respond(
    body: msgspec.Struct | Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Response[str]:
    """Return the answer whose body is `body` as JSON."""
    encoded = msgspec.json.encode(body).decode()
    return Response(status_code=status, content_type=content_type, body=encoded, headers={**(headers or {})})


def problem(error: RequestError, path: str) -> Response[str]:
    """Return the answer to a request that its sender has to mend, in the format that `path` speaks."""
    return _error_answer(answer_to(error, path), error.headers)


def failure(path: str) -> Response[str]:
    """Return the answer to a request on which our side failed, in the format that `path` speaks."""
    return _error_answer(answer_to_failure(path), {})


def require_eraser(caller: Caller) -> None:
    """Raise Forbidden unless this caller may erase records."""
    if not caller.may_erase:
        raise Forbidden("only an adjudicator erases what is stored; ask one to do it")


def parse(event: APIGatewayProxyEventV2, request_type: type[_Request]) -> _Request:
    """Return the event's body as a `request_type`, or raise the RequestError that names what is wrong with it."""
    _require_json(event)
    return parse_body(_bytes(event), request_type)


def parse_body(body: bytes, request_type: type[_Request]) -> _Request:
    """Return a body as a `request_type`, or raise the RequestError that names what is wrong with it."""
    _require_text(body)
    request = _decode(body, request_type)
    _refuse_duplicates(body)
    return request


def parse_query(event: APIGatewayProxyEventV2, query_type: type[_Query]) -> _Query:
    """Return the event's query string as a `query_type`, or raise InvalidRequest that says which parameter is wrong."""
    # A platform key may come as `key`; the authorizer has looked at it, and no query of ours has one.
    parameters = {name: value for name, value in event.query_string_parameters.items() if name != "key"}
    known = query_type.__struct_fields__
    if not set(parameters) <= set(known):
        raise InvalidRequest(f"unknown query parameter; the known ones are {', '.join(known)}")
    for name, value in parameters.items():
        try:
            msgspec.convert({name: value}, query_type, strict=False)
        except msgspec.ValidationError:  # its message may hold the value
            right = parameters_of(query_type)[name]["description"]
            raise InvalidRequest(f"the query parameter {name} must be {right}") from None
    return msgspec.convert(parameters, query_type, strict=False)


def _error_answer(answer: ErrorAnswer, headers: Mapping[str, str]) -> Response[str]:
    return respond(answer.body, answer.status, headers, answer.media_type)


def _require_json(event: APIGatewayProxyEventV2) -> None:
    if not _MEDIA_TYPE.fullmatch(event.headers.get("content-type", "").strip()):
        raise UnsupportedMediaType("the body must be JSON in UTF-8, with the header Content-Type: application/json")


def _require_text(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeError:
        raise InvalidRequest(_NOT_UTF8) from None
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed: send fewer texts")
    if not body.strip():
        raise InvalidRequest("the body is empty; send a JSON object")
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidRequest("the body begins with a byte order mark; send UTF-8 without one")


def _bytes(event: APIGatewayProxyEventV2) -> bytes:
    raw = event.body or ""
    try:
        encoded = raw.encode()
        return base64.b64decode(encoded, validate=True) if event.is_base64_encoded else encoded
    except binascii.Error:
        raise InvalidRequest("the event says that its body is base64, and it is not") from None
    except UnicodeError:
        raise InvalidRequest(_NOT_UTF8) from None


def _decode(body: bytes, request_type: type[_Request]) -> _Request:
    # Types first: they are closed, so depth is bounded before the second pass reads the body.
    # `from None` throughout: a chained exception would carry pieces of the body into a traceback.
    try:
        return msgspec.json.decode(body, type=request_type)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), request_type) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidRequest(_syntax(error)) from None


def _syntax(error: Exception) -> str:
    position = re.search(r"byte \d+", str(error))
    where = f" at {position.group()}" if position else ""
    return f"the body is not valid JSON{where}; send one JSON object, without NaN, Infinity or lone surrogates"


def _invalid(message: str, request_type: type) -> InvalidRequest:
    match = _MSGSPEC_PATH.fullmatch(message)
    path = (match["path"] or "") if match else ""
    if not {name for name, _ in _MSGSPEC_STEP.findall(path) if name} <= _FIELDS:
        path = ""  # a field of the caller's can be named so that it looks like msgspec's path
    detail = _in_our_words(match["detail"] if match else "", request_type if not path else None)
    pointer = "".join(f"/{name or index}" for name, index in _MSGSPEC_STEP.findall(path))
    return InvalidRequest(f"{pointer or 'the body'}: {detail}", [FieldError(pointer, detail)])


def _in_our_words(detail: str, request_type: type | None) -> str:
    if detail.startswith("Object contains unknown field"):  # msgspec names the field, which is the caller's text
        known = ", ".join(getattr(request_type, "__struct_fields__", ()))
        return f"unknown field; {f'the known ones are {known}' if known else 'GET /openapi.json names the known ones'}"
    if detail == "Number out of range":
        return "number out of range, where none is expected"
    return detail


def _refuse_duplicates(body: bytes) -> None:
    # msgspec keeps the last of two equal names; a proxy before us may have read the first.
    json.loads(body, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise InvalidRequest("a field appears twice in one object; each may appear once")
    return unique


def _no_route(resolver: Resolver) -> RequestError:
    methods = resolver.methods_of(resolver.current_event.path)
    if methods:
        return MethodNotAllowed(methods)
    return UnknownRoute("no route has this path; GET /openapi.json lists the routes")
