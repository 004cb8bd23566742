"""Records and a logger for tests, with defaults for what a test does not care about."""

import itertools
from typing import Any, TextIO

from aws_lambda_powertools import Logger

from moderato.decisions import Decision, Feedback, ModelName, PolicyName
from moderato.policy import Action, Reason
from moderato.reviews import Review, ReviewReason, review_id_of
from moderato.telemetry import make_logger

_numbers = itertools.count()


def decision(**fields: Any) -> Decision:
    """Return a decision to review an insult."""
    defaults: dict[str, Any] = {
        "decision_id": "d_1",
        "text": "you fool",
        "scores": {"insult": 0.9, "threat": 0.1},
        "action": Action.REVIEW,
        "reasons": [Reason("insult", 0.9, 0.8, Action.REVIEW)],
        "model": ModelName("starter", "1.0.0"),
        "policy": PolicyName("default", 1),
        "created": "2026-11-21T12:00:00+00:00",
        "kept_because": "flagged",
    }
    return Decision(**(defaults | fields))


def feedback(**fields: Any) -> Feedback:
    """Return feedback that calls the decision `d_1` wrong."""
    defaults: dict[str, Any] = {
        "feedback_id": "f_1",
        "decision_id": "d_1",
        "moderator": "mia",
        "correct": False,
        "labels": None,
        "note": None,
        "text": None,
        "created": "2026-11-21T12:00:01+00:00",
    }
    return Feedback(**(defaults | fields))


def review(number: int = 1, **fields: Any) -> Review:
    """Return the review of an insult that waits since so many seconds after noon, with an id of its own."""
    defaults: dict[str, Any] = {
        "review_id": review_id_of(f"d_{number}", None),
        "text": f"you fool {number}",
        "reason": ReviewReason.DISAGREEMENT,
        "created": f"2026-11-21T12:{number // 60:02}:{number % 60:02}+00:00",
        "decision_id": f"d_{number}",
        "scores": {"insult": 0.9, "threat": 0.1},
        "action": Action.REVIEW,
        "reasons": [Reason("insult", 0.9, 0.8, Action.REVIEW)],
        "model": ModelName("starter", "1.0.0"),
        "policy": PolicyName("default", 1),
    }
    return Review(**(defaults | fields))


def logger_to(stream: TextIO) -> Logger:
    """Return a logger of its own: powertools hands out one a service, with the stream of its first use."""
    return make_logger(f"test-{next(_numbers)}", stream)
