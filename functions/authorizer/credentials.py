"""Where a request may carry what says who sent it, and the one credential that it carries."""

from collections.abc import Iterator

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from moderato.access import SESSION_COOKIE, Refusal

MAX_CREDENTIAL_CHARACTERS = 8 * 1024
"""More than any key or token has; what is longer is not even parsed."""


class Malformed(Exception):
    """What was sent cannot be a credential. It says no more: nothing of what was sent may be told."""


def credential_of(event: APIGatewayProxyEventV2) -> str | Refusal:
    """Return the one token or key of a request, or why there is none; the same one sent twice is one.

    What is empty was not sent. Two that differ are refused: who picked one could be made to pick the wrong one.
    """
    try:
        sent = set(_sent(event))
    except Malformed:
        return Refusal.INVALID
    if len(sent) > 1:
        return Refusal.INVALID
    return sent.pop() if sent else Refusal.MISSING


def _sent(event: APIGatewayProxyEventV2) -> Iterator[str]:
    for name, value in (event.raw_event.get("headers") or {}).items():
        if name.lower() == "authorization":
            yield from map(_bearer, _parts(value))
        elif name.lower() == "x-api-key":
            yield from _parts(value)
    yield from _parts((event.raw_event.get("queryStringParameters") or {}).get("key", ""))
    for cookie in event.raw_event.get("cookies") or ():
        name, _, value = cookie.strip().partition("=")
        if name == SESSION_COOKIE:
            yield from _parts(value)


def _parts(value: str) -> list[str]:
    # API Gateway joins what comes several times by commas, and no credential of ours holds one.
    if len(value) > MAX_CREDENTIAL_CHARACTERS or not value.isascii():
        raise Malformed
    return [part.strip() for part in value.split(",") if part.strip()]


def _bearer(value: str) -> str:
    scheme, *credentials = value.split()
    if scheme.lower() != "bearer" or len(credentials) != 1:
        raise Malformed
    return credentials[0]
