"""The change of the champion in a running server: loaded beside serving, then taken by every request that follows."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from local.champion import Champion, Champions
from local.server import Handler
from moderato.errors import BrokenModel

POLL_SECONDS = 1.0

Load = Callable[[Path], Handler]
"""Makes the handler of a model directory; raises whatever is wrong with it."""

Wait = Callable[[float], bool]
"""Waits so many seconds; says whether to stop."""


class Switch:
    """A handler that answers by another one, which may be exchanged at any time.

    A request that is under way finishes on the handler it began with.
    """

    def __init__(self, handler: Handler) -> None:
        """Begin with a handler."""
        self._handler = handler

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer by the handler of now."""
        return self._handler(event, context)

    def turn_to(self, handler: Handler) -> None:
        """Answer by another handler from now on."""
        self._handler = handler


class Watcher:
    """Looks once a second whether there is another champion, and turns the switch to it.

    Whatever is wrong with a new champion, the old one serves on; it is tried again when the pointer changes again.
    """

    def __init__(
        self, champions: Champions, serving: Champion | None, load: Load, switch: Switch, logger: Logger
    ) -> None:
        """Watch for another champion than the one that is `serving`."""
        self._champions = champions
        self._seen = _identity(serving)
        self._load = load
        self._switch = switch
        self._logger = logger

    def run(self, wait: Wait) -> None:
        """Look, and wait, until told to stop."""
        while not wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Take the champion of now, if it is another than at the last look."""
        seen = self._now()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            handler = self._load(self._champions.current())
        except Exception as error:  # noqa: BLE001  # whatever it is, the old champion serves on
            # The type only, as everywhere.
            self._logger.error("champion_refused", extra={"error_type": type(error).__name__})
            return
        self._switch.turn_to(handler)
        self._logger.info("champion_taken", extra={"champion": seen})

    def _now(self) -> str:
        try:
            return _identity(self._champions.pointer())
        except BrokenModel:
            return "unreadable"


def watching(watcher: Watcher) -> AbstractContextManager[None]:
    """Watch in a thread as long as the block runs."""
    return beside(watcher.run, "champion")


@contextmanager
def beside(work: Callable[[Wait], None], name: str) -> Iterator[None]:
    """Do work that waits now and then in a thread of its own, as long as the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop.wait,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _identity(champion: Champion | None) -> str:
    # Its time too: promoted again after it was mended, it is tried again.
    return "default" if champion is None else f"{champion.sha256} {champion.promoted}"
