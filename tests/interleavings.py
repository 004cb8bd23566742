"""Several calls of a function at once, of which one moves at a time, from one step to the next, as a seed says."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any


class Killed(BaseException):
    """A process was ended here, as by kill -9: nothing that it does after gets through."""


class Walker:
    """One process: it waits for its turn before each of its calls, and may be killed there."""

    def __init__(self) -> None:
        """Wait for the first turn."""
        self.error: BaseException | None = None
        self.is_over = False
        self.is_killed = False
        self._steps = 1
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)

    def wrap(self, part: Any) -> Any:
        """Return a part of the function whose every call is a step of this process."""
        return _Stepwise(part, self)

    def pause(self) -> None:
        """Go on, if the turn is longer; else give it back, and go on at the next one."""
        if self.is_killed:
            raise Killed
        self._steps -= 1
        if self._steps > 0:
            return
        self._back.release()
        self._go.acquire()
        if self.is_killed:
            raise Killed

    def move(self, steps: int) -> None:
        """Let the process make so many steps, or go to its end."""
        self._steps = steps
        self._go.release()
        self._back.acquire()

    def run(self, call: Callable[["Walker"], None]) -> None:
        """Make the call, once it is this process' turn."""
        self._go.acquire()
        try:
            if not self.is_killed:
                call(self)
        except BaseException as error:  # noqa: BLE001  # looked at by whoever let it run
            self.error = error
        self.is_over = True
        self._back.release()


class _Stepwise:
    def __init__(self, part: Any, walker: Walker) -> None:
        self._part, self._walker = part, walker

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if name == "exceptions" or not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self._walker.pause()
            return attribute(*arguments, **named)

        return call


def interleave(
    pool: ThreadPoolExecutor,
    calls: Sequence[Callable[[Walker], None]],
    random: Random,
    between: Callable[[bool], None],
    kill: float = 0.0,
    stall: float = 0.0,
) -> list[Walker]:
    """Make the calls at once; chance draws whose turn it is, for how many steps, and with `kill` that it is the last.

    With the probability `stall` a process stands still after its turn until all others are over. `between` is called
    after each turn, with whether that has just happened. Every call is over at the end. The same seed, the same steps.
    """
    walkers = [Walker() for _ in calls]
    futures = [pool.submit(walker.run, call) for walker, call in zip(walkers, calls, strict=True)]
    standing: list[Walker] = []
    while left := [walker for walker in walkers if not walker.is_over]:
        walker = random.choice([one for one in left if one not in standing] or left)
        walker.is_killed = random.random() < kill
        walker.move(random.randint(1, 3))
        is_stalled = not walker.is_over and random.random() < stall
        standing += [walker] if is_stalled else []
        between(is_stalled)
    for future in futures:
        future.result()
    return walkers
