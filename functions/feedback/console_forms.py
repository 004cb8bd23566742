"""What people send to the console: form bodies and query strings, parsed strictly into typed values."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from moderato.api import MAX_BODY_BYTES
from moderato.contracts import MAX_NOTE_CHARACTERS
from moderato.errors import InvalidRequest, TooLarge, UnknownDecision, UnknownReview, UnsupportedMediaType
from moderato.review_queue import Filters
from moderato.reviews import ReviewReason

MAX_FIELDS = 200
"""A form has a field for each category, and a model has at most 50."""

MAX_AGE_DAYS = 3650

_MEDIA_TYPE = re.compile(r'application/x-www-form-urlencoded\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
_DECISION_ID = re.compile(r"d_[A-Za-z0-9_-]{1,64}")
_REVIEW_ID = re.compile(r"r_[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Form:
    """The fields of a form, in their order; one name may come several times, as checkboxes do."""

    fields: Sequence[tuple[str, str]]

    def one(self, name: str) -> str:
        """Return the one value of a field, empty where it is not there; InvalidRequest where it comes twice."""
        values = self.all(name)
        if len(values) > 1:
            raise InvalidRequest(f"the field `{name}` came more than once")
        return values[0] if values else ""

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for field, value in self.fields if field == name]


@dataclass(frozen=True)
class Answer:
    """What an annotator answered: categories, none of them (empty), or a skip (None)."""

    labels: list[str] | None
    note: str | None


def read_form(event: APIGatewayProxyEventV2) -> Form:
    """Return the event's form, or raise the RequestError that names what is wrong with it."""
    if not _MEDIA_TYPE.fullmatch(event.headers.get("content-type", "").strip()):
        raise UnsupportedMediaType("the body must be a form, with Content-Type: application/x-www-form-urlencoded")
    body = _bytes(event)
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the form has {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed")
    if not body:
        return Form([])
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:  # too many fields, a field without a value, or bytes that are no UTF-8
        raise InvalidRequest(f"the body is not a form of at most {MAX_FIELDS} fields, URL-encoded as UTF-8") from None
    return Form(fields)


def read_answer(form: Form, categories: Sequence[str]) -> Answer:
    """Return what an annotator answered; InvalidRequest when nothing was chosen, or both something and none."""
    note = read_note(form)
    if form.one("answer") == "skip":
        return Answer(None, note)
    return Answer(read_labels(form, categories), note)


def read_labels(form: Form, categories: Sequence[str]) -> list[str]:
    """Return the chosen categories, in the model's order, empty where none of them was chosen outright.

    InvalidRequest when nothing was chosen, both something and none, or a category that the model does not have.
    """
    chosen, is_none = _labels(form, categories), form.one("none") != ""
    if chosen and is_none:
        raise InvalidRequest("Choose categories or “none of these”, not both.")
    if not chosen and not is_none:
        raise InvalidRequest("Choose at least one category, or “none of these”.")
    return chosen


def read_note(form: Form) -> str | None:
    """Return the note, None where it is empty; InvalidRequest where it is too long."""
    # Browsers send line ends as CRLF (https://html.spec.whatwg.org/#converting-an-entry-list-to-a-list-of-name-value-pairs).
    note = form.one("note").replace("\r\n", "\n").strip()
    if len(note) > MAX_NOTE_CHARACTERS:
        raise InvalidRequest(f"The note has {len(note)} characters; at most {MAX_NOTE_CHARACTERS} are allowed.")
    return note or None


def read_filters(values: Mapping[str, str], categories: Sequence[str]) -> Filters:
    """Return which reviews to look at, from a query string or a form's fields; an empty value filters nothing."""
    reason, category, days = (values.get(name) or None for name in ("reason", "category", "older_than_days"))
    if reason is not None and reason not in list(ReviewReason):
        raise InvalidRequest(f"`reason` must be one of {', '.join(ReviewReason)}")
    if category is not None and category not in categories:
        raise InvalidRequest(f"`category` must be one of {', '.join(categories)}")
    return Filters(
        reason=None if reason is None else ReviewReason(reason),
        category=category,
        older_than_days=None if days is None else _days(days),
    )


def read_cursor(values: Mapping[str, str]) -> str | None:
    """Return the cursor of a list, as the page before gave it; None at the list's beginning."""
    return values.get("cursor") or None


def check_review_id(review_id: str) -> None:
    """Raise UnknownReview for what cannot be a review's id: a store need not be asked."""
    if not _REVIEW_ID.fullmatch(review_id):
        raise UnknownReview("no review has this id; a review's id begins with r_")


def check_decision_id(decision_id: str) -> None:
    """Raise UnknownDecision for what cannot be a decision's id: a store need not be asked."""
    if not _DECISION_ID.fullmatch(decision_id):
        raise UnknownDecision("no decision has this id; a decision's id begins with d_")


def _labels(form: Form, categories: Sequence[str]) -> list[str]:
    chosen = set(form.all("label"))
    if not chosen <= set(categories):
        raise InvalidRequest(f"unknown category; the model's are {', '.join(categories)}")
    return [category for category in categories if category in chosen]


def _days(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= len(value) <= 4 and 1 <= int(value) <= MAX_AGE_DAYS):
        raise InvalidRequest(f"`older_than_days` must be a whole number from 1 to {MAX_AGE_DAYS}")
    return int(value)


def _bytes(event: APIGatewayProxyEventV2) -> bytes:
    raw = event.body or ""
    try:
        encoded = raw.encode()
        return base64.b64decode(encoded, validate=True) if event.is_base64_encoded else encoded
    except binascii.Error:
        raise InvalidRequest("the event says that its body is base64, and it is not") from None
    except UnicodeError:
        raise InvalidRequest("the body is not valid UTF-8") from None
