"""The wait of a lane's calls for their first token: whether it is too long by now."""

from collections.abc import Callable

from tollway_workers.clock import Clock
from tollway_workers.pipeline.admit import Permit


class FirstTokens:
    """The calls of one lane that have no token yet; `on_late` is told, once, of each that has none
    in time.

    All are given the same time, so that one timer is enough: the oldest is late first.

    State: `_began` (when each call did, in that order), `_watched` (whether there is a timer; it
    runs on when no call waits, and is not set again then).
    """

    def __init__(self, clock: Clock, late_after: float, on_late: Callable[[Permit], None]) -> None:
        self._clock = clock
        self._late_after = late_after
        self._on_late = on_late
        self._began: dict[Permit, float] = {}
        self._watched = False

    def wait(self, call: Permit, began: float) -> None:
        """A call began then (monotonic seconds), and waits."""
        self._began[call] = began
        if not self._watched:
            self._look()

    def over(self, call: Permit) -> None:
        """Its token is there, or the call has ended; idempotent."""
        self._began.pop(call, None)

    def _look(self) -> None:
        """Tell what is late, and look again when the next call will be."""
        self._watched = False
        now = self._clock.monotonic()
        while self._began:
            call, began = next(iter(self._began.items()))
            left = began + self._late_after - now
            if left > 0.0:
                self._clock.call_later(left, self._look)
                self._watched = True
                return
            del self._began[call]
            self._on_late(call)
