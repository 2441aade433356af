"""The clock: the source of time, so that tests can set it."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

#: Where there is no clock of that name (macOS), the monotonic one counts sleep.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Timer(Protocol):
    """Something due that can be called off."""

    def cancel(self) -> None:
        """Do not call; idempotent."""
        ...


class Clock(Protocol):
    """Three readings and a sleep, all in seconds."""

    def now(self) -> float:
        """Wall time in seconds since 1970 (UTC): for deadlines that cross processes."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards: for durations and rates within a process."""
        ...

    def boottime(self) -> float:
        """Seconds that go on while the machine sleeps: for leases, which others see run out."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; cancellation ends the sleep at once."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `seconds` from now, unless the timer is cancelled before."""
        ...


class SystemClock:
    """The machine's own time."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    boottime = staticmethod(partial(time.clock_gettime, _BOOTTIME))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)
