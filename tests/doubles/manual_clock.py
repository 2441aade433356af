"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class ManualTimer:
    """Something due on a `ManualClock`."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call; idempotent."""
        self._callback = None

    def fire(self) -> None:
        """Call, unless it was cancelled."""
        if self._callback is not None:
            self._callback()


class ManualClock:
    """Wall time and monotonic time move together, by `advance` alone; sleeping costs nothing."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._start = now
        # Small, so that no wait is lost in the rounding of a large float.
        self._elapsed = 0.0
        self._due: list[tuple[float, int, ManualTimer]] = []
        self._order = count()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def boottime(self) -> float:
        """The same: it never sleeps."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return once `advance` has moved the clock by `seconds`."""
        woken = asyncio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> ManualTimer:
        """Call `callback` when `advance` has moved the clock by `seconds`."""
        timer = ManualTimer(callback)
        heapq.heappush(self._due, (self._elapsed + max(0.0, seconds), next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock; what falls due on the way is called in order."""
        until = self._elapsed + seconds
        while self._due and self._due[0][0] <= until:
            due, _, timer = heapq.heappop(self._due)
            self._elapsed = max(self._elapsed, due)
            timer.fire()
        self._elapsed = until
