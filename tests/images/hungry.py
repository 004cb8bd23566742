"""The predict function with two appetites, to be put into its image: it eats all memory, or all time, when asked to."""

import threading
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from predict.main import handler as predict

MORE_THAN_THERE_IS = 3 * 1024**3


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer as the predict function does, unless the event is hungry."""
    if event.get("hungry_for") == "memory":
        len(b"x" * MORE_THAN_THERE_IS)
    if event.get("hungry_for") == "time":
        threading.Event().wait()
    return predict(event, context)
