"""Where time comes from, so that tests can own it."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something due that can be called off."""

    def cancel(self) -> None:
        """Do not call; idempotent."""
        ...


class Clock(Protocol):
    """Two readings and a sleep, all in seconds."""

    def now(self) -> float:
        """Wall time in seconds since 1970 (UTC): for deadlines that cross processes."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards: for durations and rates within a process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; cancellation ends the sleep at once."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `seconds` from now, unless the timer is cancelled before."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)
