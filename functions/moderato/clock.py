"""Time: UTC everywhere, and the moment from which a record counts as gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Tells the time, in UTC."""

KEEP_DAYS = 180
"""How long a text is kept by default: two quarters, so that a review can wait for annotators and be looked up after."""


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def expiry(now: datetime, days: int) -> int:
    """Return the second since 1970 from which a record made now has expired, as DynamoDB's TTL counts."""
    return int((now + timedelta(days=days)).timestamp())


def is_expired(expires: int | None, now: datetime) -> bool:
    """Return whether a record with this expiry counts as gone. DynamoDB still shows it for up to two days."""
    return expires is not None and expires <= now.timestamp()
