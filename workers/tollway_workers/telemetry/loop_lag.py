"""Measures how late the event loop is: leases, deadlines and limits depend on it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from tollway_workers.health.lag import LagVerdict

log = structlog.get_logger(__name__)

#: Seconds between two measurements.
_INTERVAL = 0.25
#: Measurements that count: the worst of the last five seconds.
_KEPT = 20


class LoopLag:
    """Measures while `run` runs; `worst` is in seconds.

    `release` is called once the loop has been late so often that others should own the shards.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._lags: deque[float] = deque(maxlen=_KEPT)
        self._verdict = LagVerdict()
        self._release = release

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            # Not the loop's own time: uvloop looks at the clock once a round.
            due = time.monotonic() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            now = time.monotonic()
            self.measured(max(0.0, now - due), now)

    def measured(self, lag: float, now: float) -> None:
        """Take in that the loop was `lag` seconds late at monotonic `now`."""
        self._lags.append(lag)
        if self._verdict.measured(lag, now):
            log.warning(
                "the event loop was late several times: releasing all shards to other workers",
                lag=round(lag, 1),
            )
            self._release()

    @property
    def worst(self) -> float:
        """The worst lag of the last seconds."""
        return max(self._lags, default=0.0)
