"""The console's pages: templates made into answers, and the static files beside them."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response

from feedback.console_security import PAGE_HEADERS
from feedback.console_text import excerpt_of, pieces_of, verbatim
from moderato.api import Caller
from moderato.clock import Clock
from moderato.definitions import DEFINITIONS

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_UNITS = (("year", 365 * 86_400), ("month", 30 * 86_400), ("day", 86_400), ("hour", 3600), ("minute", 60))


class Pages:
    """Renders the console's templates; one object serves any number of threads."""

    def __init__(self, clock: Clock, sign_in_url: str | None = None) -> None:
        """Load the static files; `sign_in_url` is where people sign in and out here, None where they do elsewhere."""
        self._clock = clock
        self._sign_in_url = sign_in_url
        self._static = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
        # A new version of a file has a new address, so browsers may keep each of them.
        self._version = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]

    def render(self, template: str, caller: Caller | None, status: int = 200, **context: object) -> Response[str]:
        """Return the page that a template makes, for whoever is signed in."""
        given = {"now": self._clock(), "sign_in_url": self._sign_in_url, "version": self._version, "caller": caller}
        body: str = _environment().get_template(template).render(**given, **context)
        media_type = "text/html; charset=utf-8"
        return Response(status_code=status, content_type=media_type, body=body, headers={**PAGE_HEADERS})

    def static(self, name: str) -> Response[str] | None:
        """Return a static file, or None where there is none of this name."""
        content = self._static.get(name)
        if content is None:
            return None
        headers = {**PAGE_HEADERS, "Cache-Control": "public, max-age=86400"}
        media_type = f"{_MEDIA_TYPES[Path(name).suffix]}; charset=utf-8"
        return Response(status_code=200, content_type=media_type, body=content.decode(), headers=headers)


def redirect(path: str, parameters: Mapping[str, str] | None = None) -> Response[str]:
    """Return the answer that sends a browser on to another page, by GET."""
    location = f"{path}?{urlencode(parameters)}" if parameters else path
    return Response(status_code=303, body="", headers={**PAGE_HEADERS, "Location": location})


def named(category: str) -> str:
    """Return a category as people read it."""
    return category.replace("_", " ")


def percent(share: float) -> str:
    """Return a share of 0..1 in whole percent; never 0 or 100 for what is not exactly that."""
    shown = round(100 * share)
    if shown == 0 and share > 0:
        return "< 1 %"
    if shown == 100 and share < 1:
        return "> 99 %"
    return f"{shown} %"


def age_of(created: str, now: datetime) -> str:
    """Return how long ago something was, in its largest unit."""
    seconds = (now - datetime.fromisoformat(created)).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


@cache
def _environment() -> "Environment":
    # Made once, as it keeps the compiled templates; and here, so that a function without a console does without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {"definitions": DEFINITIONS, "pieces_of": pieces_of}
    environment.filters |= {
        "age": age_of,
        "excerpt": excerpt_of,
        "named": named,
        "percent": percent,
        "verbatim": verbatim,
    }
    return environment
