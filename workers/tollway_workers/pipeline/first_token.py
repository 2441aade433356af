"""The wait for a call's first token: how long it took, and whether it is too long by now."""

from collections.abc import Callable

from tollway_workers.clock import Clock


class FirstToken:
    """Watches one call from its start; `on_late` is called once, where there is no token in time.

    State: `after` (seconds until it came; None where it has not), `_timer` (until it is late).
    """

    def __init__(self, clock: Clock, late_after: float, on_late: Callable[[], None]) -> None:
        self.after: float | None = None
        self._clock = clock
        self._began = clock.monotonic()
        self._timer = clock.call_later(late_after, on_late)

    def came(self) -> None:
        """It is there."""
        self.after = self._clock.monotonic() - self._began
        self._timer.cancel()

    def over(self) -> None:
        """The call has ended, however it did; idempotent."""
        self._timer.cancel()
