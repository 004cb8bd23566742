"""Cursors: where a list goes on, opaque to whoever asks for the next page."""

import base64
import binascii

import msgspec

from moderato.errors import InvalidRequest

_MAX_CHARACTERS = 1000  # DynamoDB compares with a key of at most 1,024 bytes


def cursor_of(created: str, record_id: str) -> str:
    """Return the cursor behind the record that was made then and has this id."""
    return base64.urlsafe_b64encode(msgspec.json.encode((created, record_id))).decode()


def position_of(cursor: str) -> tuple[str, str]:
    """Return the time and the id of the record before the cursor; raise InvalidRequest when no list gave it."""
    if len(cursor) > _MAX_CHARACTERS:
        raise _not_given()
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=tuple[str, str])
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        raise _not_given() from None


def _not_given() -> InvalidRequest:
    return InvalidRequest("the cursor is none that a list gave; begin without one")
