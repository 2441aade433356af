"""How late the event loop is: it is the heartbeat of everything a worker promises."""

import asyncio
from collections import deque

#: Seconds between two measurements.
_INTERVAL = 0.25
#: Measurements that count: the worst of the last five seconds.
_KEPT = 20


class LoopLag:
    """Measures while `run` runs; `worst` is in seconds."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self._lags.append(max(0.0, loop.time() - due))

    @property
    def worst(self) -> float:
        """The worst lag of the last seconds."""
        return max(self._lags, default=0.0)
