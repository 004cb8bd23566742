"""Every route of a deployment that is not open: openapi.json's, the foreign formats', and some unknown ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderato.access import Scope, is_open, scope_of

OPENAPI = Path(__file__).parents[2] / "openapi.json"

ELSEWHERE = [
    ("POST", "/v1/moderations"),
    ("POST", "/v1alpha1/comments:analyze"),
    ("POST", "/v1alpha1/comments:suggestscore"),
    ("GET", "/$discovery/rest"),
    ("GET", "/no-such-route"),
    ("GET", "/reviews/no/such/route"),
    ("GET", "/"),
]


@dataclass(frozen=True)
class Route:
    """A method and a path that a request can really have."""

    method: str
    path: str

    @property
    def scope(self) -> Scope | None:
        """The scope that it demands."""
        return scope_of(self.method, self.path)

    @property
    def body(self) -> object:
        """A body that a caller might send, for methods that take one."""
        return {"text": "nobody reads this"} if self.method == "POST" else None


def routes() -> list[Route]:
    """Return every route that is not open to everybody."""
    described: dict[str, dict[str, Any]] = json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"]
    pairs = [(method.upper(), path.replace("{id}", "d_1")) for path, methods in described.items() for method in methods]
    return [Route(method, path) for method, path in [*pairs, *ELSEWHERE] if not is_open(method, path)]


def is_in_the_callers_format(path: str, status: int, media_type: str, body: Any) -> bool:
    """Return whether an error's body is what a client of this path's format understands."""
    if path.startswith("/v1/"):
        error = body["error"]
        return set(error) == {"message", "type", "param", "code"} and error["code"] is not None
    if path.startswith(("/v1alpha1/", "/$discovery/")):
        error = body["error"]
        return bool(error["code"] == status and error["status"] in ("UNAUTHENTICATED", "PERMISSION_DENIED"))
    return bool(media_type == "application/problem+json" and body["status"] == status and body["type"])
