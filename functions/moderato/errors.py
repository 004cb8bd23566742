"""What can go wrong, as one tree of exceptions; each class says what its reader can do next.

    ModeratoError
    ├── BrokenModel                 do not start: mend or replace the model directory
    ├── BrokenPolicy                do not start: mend the policy
    ├── UnknownJob                  the labeling job is none of ours: leave it alone
    └── RequestError                the caller's to mend; `moderato.api` answers it
        ├── InvalidRequest          400  mend the request
        ├── NotSignedIn             401  sign in
        │   └── BadCredential       401  use another token or key
        ├── Forbidden               403  ask somebody else to do it
        ├── UnknownRoute            404  mend the path
        ├── UnknownDecision         404  it was never kept, or is erased
        ├── UnknownFeedback         404  it was never given, or is erased
        ├── UnknownReview           404  it was never queued, is erased, or is expired
        ├── MethodNotAllowed        405  use a method of `allow`
        ├── Conflict                409  use a new idempotency key
        ├── TooLarge                413  send less
        └── UnsupportedMediaType    415  send JSON

No message holds user text: it names the kind of what was wrong, and what would be right.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request; `pointer` is a JSON pointer (RFC 6901) into its body."""

    pointer: str
    detail: str


class ModeratoError(Exception):
    """The root of every exception that Moderato raises on purpose."""


class BrokenModel(ModeratoError):
    """The model directory cannot be trusted: refuse to start. The message names file, expected and found."""


class BrokenPolicy(ModeratoError):
    """A policy cannot be applied to what the model scores: refuse to start. The message names policy and category."""


class UnknownJob(ModeratoError):
    """No batch of reviews was ever made for this labeling job."""


class RequestError(ModeratoError):
    """A request that cannot be answered as it is; raise a subclass, which fixes `status`, `title` and `slug`."""

    status: ClassVar[int]
    title: ClassVar[str]
    slug: ClassVar[str]

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        """Say in `detail` what is wrong and what would be right, and in `errors` which fields it concerns."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the answer."""
        return {}


class InvalidRequest(RequestError):
    """The body, a header or a parameter is not as the API describes it."""

    status = 400
    title = "Invalid request"
    slug = "invalid-request"

    @classmethod
    def of(cls, pointer: str, detail: str) -> "InvalidRequest":
        """Return the error about the one field at `pointer`."""
        return cls(f"{pointer}: {detail}", [FieldError(pointer, detail)])


class UnknownRoute(RequestError):
    """No route has this path."""

    status = 404
    title = "Unknown route"
    slug = "unknown-route"


class UnknownDecision(RequestError):
    """No such decision is stored: it was never kept, never made, or is erased."""

    status = 404
    title = "Unknown decision"
    slug = "unknown-decision"


class UnknownFeedback(RequestError):
    """No such feedback is stored: it was never given, or is erased."""

    status = 404
    title = "Unknown feedback"
    slug = "unknown-feedback"


class UnknownReview(RequestError):
    """No such review is stored: it was never queued, is erased, or is expired."""

    status = 404
    title = "Unknown review"
    slug = "unknown-review"


class NotSignedIn(RequestError):
    """Nobody is signed in, and this needs somebody."""

    status = 401
    title = "Not signed in"
    slug = "not-signed-in"
    challenge: ClassVar[str] = 'Bearer realm="moderato"'

    @property
    def headers(self) -> dict[str, str]:
        """How to sign in, which HTTP demands with a 401 (RFC 9110, 15.5.2; RFC 6750, 3)."""
        return {"WWW-Authenticate": self.challenge}


class BadCredential(NotSignedIn):
    """A token or a key was sent, and it opens nothing here."""

    title = "Bad credential"
    slug = "bad-credential"
    challenge = 'Bearer realm="moderato", error="invalid_token"'


class Forbidden(RequestError):
    """Whoever is signed in may not do this."""

    status = 403
    title = "Forbidden"
    slug = "forbidden"


class MethodNotAllowed(RequestError):
    """The route exists, with the methods of `allow` only."""

    status = 405
    title = "Method not allowed"
    slug = "method-not-allowed"

    def __init__(self, allow: Sequence[str]) -> None:
        """Name the methods that the route has."""
        self.allow = tuple(allow)
        super().__init__(f"this route answers {', '.join(self.allow)} only")

    @property
    def headers(self) -> dict[str, str]:
        """The `Allow` header, which HTTP demands with a 405 (RFC 9110, 15.5.6)."""
        return {"Allow": ", ".join(self.allow)}


class Conflict(RequestError):
    """The idempotency key already stands for another request."""

    status = 409
    title = "Conflict"
    slug = "conflict"


class TooLarge(RequestError):
    """The request has more bytes than one may have, or more for the model to read."""

    status = 413
    title = "Request too large"
    slug = "too-large"


class UnsupportedMediaType(RequestError):
    """The body is not declared as JSON."""

    status = 415
    title = "Unsupported media type"
    slug = "unsupported-media-type"
