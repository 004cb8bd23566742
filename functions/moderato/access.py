"""Who may do what: the authorizer says who sent a request, and here each function decides what that lets them do.

The authorizer never refuses by itself: API Gateway would then answer `{"message": "Forbidden"}`, whatever format the
caller speaks. It hands on who was found, or why nobody was, as strings in the event; without them nobody gets in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from moderato.api import ADJUDICATORS, LOCAL_CALLER, Caller
from moderato.errors import BadCredential, Forbidden, NotSignedIn, RequestError


class Scope(StrEnum):
    """What a token or a key may be used for."""

    MODERATE = "moderation/moderate"
    FEEDBACK = "moderation/feedback"


class Refusal(StrEnum):
    """Why a request's sender is nobody."""

    MISSING = "missing"
    """Neither a token nor a key was sent."""
    INVALID = "invalid"
    """Malformed, forged, unknown, revoked, meant for others, or two that differ: which of them is nobody's business."""
    EXPIRED = "expired"
    """It was good once."""
    OTHER_TENANT = "other_tenant"
    """A key of another tenant than this deployment serves."""


KEY_SUBJECT = "key:"
"""How the subject of a platform key begins, before its id; no token's does."""


@dataclass(frozen=True)
class Identity:
    """Who sent a request: a token's subject, or `key:` and the id of a key."""

    subject: str
    scopes: frozenset[str]
    groups: frozenset[str] = frozenset()


SESSION_COOKIE = "__Host-moderato"
"""Holds the access token of whoever signed in to the deployed console."""

_ERRORS: Mapping[Refusal, tuple[type[RequestError], str]] = {
    Refusal.MISSING: (NotSignedIn, "neither a token nor a key was sent; send one as `Authorization: Bearer ...`"),
    Refusal.INVALID: (BadCredential, "this token or key is not valid here; send one that is, and only one"),
    Refusal.EXPIRED: (BadCredential, "this token or key has expired; ask for a new one"),
    Refusal.OTHER_TENANT: (Forbidden, "this key belongs to another tenant; use one of this deployment's"),
}

FEEDBACK_SEGMENTS = frozenset({"feedback", "decisions", "reviews", "loop", "labels.manifest"})
"""First segments of the paths that are about what moderators and annotators said."""

_REFUSALS: Mapping[object, Refusal] = {refusal.value: refusal for refusal in Refusal}
_FEEDBACK_PATHS = {"/v1alpha1/comments:suggestscore"}
_MODERATE_PATHS = {"/moderate", "/v1/moderations", "/v1alpha1/comments:analyze"}


def context_of(found: Identity | Refusal) -> dict[str, str]:
    """Return what the authorizer hands on of whom it found, or of why it found nobody."""
    if isinstance(found, Refusal):
        return {"refusal": found.value}
    return {"subject": found.subject, "scopes": _joined(found.scopes), "groups": _joined(found.groups)}


def identity_of(event: APIGatewayProxyEventV2) -> Identity:
    """Return who the authorizer says sent this event; raises NotSignedIn or Forbidden where it names nobody."""
    context = _context(event)
    if "refusal" in context:
        raise _error(context["refusal"])
    subject = context.get("subject")
    if not isinstance(subject, str) or not subject:
        raise _error(Refusal.MISSING)
    return Identity(subject, _names(context.get("scopes")), _names(context.get("groups")))


def scope_of(method: str, path: str) -> Scope | None:
    """Return the scope that a route demands; None where any valid token or key will do."""
    path = path.removesuffix("\n")  # the pattern of a route ends in `$`, which a line's end may follow
    if set(path.split("/")[1:2]) & FEEDBACK_SEGMENTS or path in _FEEDBACK_PATHS:
        return Scope.FEEDBACK
    return Scope.MODERATE if method == "POST" and path in _MODERATE_PATHS else None


def is_open(method: str, path: str) -> bool:
    """Return whether anybody may ask for this; the console's pages see for themselves who asks."""
    return (path == "/healthz" and method in ("GET", "HEAD")) or path == "/console" or path.startswith("/console/")


def require_access(event: APIGatewayProxyEventV2) -> None:
    """Raise NotSignedIn or Forbidden unless the sender of this event may use the route that it names."""
    # In capitals, as routes are matched: "post" is a POST.
    method, path = event.request_context.http.method.upper(), event.path
    if not is_open(method, path):
        _require(identity_of(event), scope_of(method, path))


def caller_of_authorizer(event: APIGatewayProxyEventV2) -> Caller:
    """Return who gives feedback, by the authorizer; raises NotSignedIn or Forbidden."""
    identity = identity_of(event)
    _require(identity, Scope.FEEDBACK)
    return Caller(identity.subject, is_adjudicator=ADJUDICATORS in identity.groups)


def caller_or_local(event: APIGatewayProxyEventV2) -> Caller:
    """Return who gives feedback, by the authorizer; "local" where none stands before the API, as on a laptop."""
    if event.raw_event.get("requestContext", {}).get("authorizer") is None:
        return Caller(LOCAL_CALLER, is_local=True)
    return caller_of_authorizer(event)


def _require(identity: Identity, scope: Scope | None) -> None:
    if scope is not None and scope not in identity.scopes:
        raise Forbidden(f"this token or key lacks the scope {scope}; use one that has it")


def _context(event: APIGatewayProxyEventV2) -> Mapping[str, object]:
    authorizer = event.raw_event.get("requestContext", {}).get("authorizer")
    context = authorizer.get("lambda") if isinstance(authorizer, Mapping) else None
    return context if isinstance(context, Mapping) else {}


def _error(refusal: object) -> RequestError:
    error, detail = _ERRORS[_REFUSALS.get(refusal, Refusal.INVALID)]
    return error(detail)


def _joined(names: Iterable[str]) -> str:
    # A name with a space in it would be read as two: "no adjudicators" is none of them.
    return " ".join(sorted(name for name in names if name.split() == [name]))


def _names(joined: object) -> frozenset[str]:
    return frozenset(joined.split()) if isinstance(joined, str) else frozenset()
