"""What keeps the console safe: the headers of its pages, the refusal of foreign forms, and of foreign addresses."""

import re
from urllib.parse import urlsplit

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from moderato.errors import Forbidden

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every page: nothing from another host or from the page itself is run, and nothing is kept."""


FIRST_PAGE = "/console/reviews"
"""Where people are who asked for no page of their own."""

# Not those of the sign-in itself, which would lead round in circles.
_PAGE = re.compile(r"/console/(?!sign)[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*(?:\?[A-Za-z0-9_.~%&=+-]*)?")
_MAX_PAGE_CHARACTERS = 512


def page_after_sign_in(address: str) -> str:
    """Return the address, if it is that of a page of the console, and else that of its first page.

    Addresses come with links that anybody can make, and a redirect must not lead to another site.
    """
    return address if len(address) <= _MAX_PAGE_CHARACTERS and _PAGE.fullmatch(address) else FIRST_PAGE


def refuse_foreign(event: APIGatewayProxyEventV2) -> None:
    """Raise Forbidden for a form that a page of another site sent in the name of whoever is signed in here.

    Browsers say where a request comes from in Sec-Fetch-Site, older ones in Origin alone. Under our referrer policy
    their Origin is "null" (https://fetch.spec.whatwg.org/#append-a-request-origin-header), which then says nothing.
    """
    site = event.headers.get("sec-fetch-site")
    origin = event.headers.get("origin")
    if site not in (None, "same-origin", "none"):
        raise _foreign()
    if origin is not None and not _is_ours(origin, event) and not (origin == "null" and site is not None):
        raise _foreign()


def _is_ours(origin: str, event: APIGatewayProxyEventV2) -> bool:
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host != "" and host.lower() == event.headers.get("host", "").lower()


def _foreign() -> Forbidden:
    return Forbidden("this form was sent by another site; open the console and send it from there")
