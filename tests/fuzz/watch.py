"""What a case costs: how long the event loop stood still, and how much memory was taken."""

import asyncio
import resource
import sys
import time
from types import TracebackType
from typing import Self

import psutil

_TICK = 0.02
#: Seconds between two looks at the child processes: finding them takes milliseconds.
_LOOK = 0.25
_UNIT = 1 if sys.platform == "darwin" else 1024


class Watch:
    """A context manager within a running event loop.

    State: `pause`, the longest since `begin`; `memory`, the most above idle since it was entered.
    """

    def __init__(self) -> None:
        self.pause = 0.0
        self.memory = 0
        self._me = psutil.Process()
        self._last = time.monotonic()
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # The system's own mark of the most: no peak is too short for it, but those of what was
        # done before hide what is lower.
        self._idle, self._mark = self._me.memory_info().rss, _highest()
        self._children = self._looked = 0.0
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()

    def begin(self) -> None:
        """A case begins."""
        self.pause, self._last = 0.0, time.monotonic()

    def end(self) -> None:
        """It has ended: `pause` and `memory` are those of it too."""
        self._note_pause()
        highest = _highest()
        mine = highest if highest > self._mark else self._me.memory_info().rss
        self.memory = max(self.memory, int(mine - self._idle + self._children))

    def _note_pause(self) -> None:
        now = time.monotonic()
        self.pause, self._last = max(self.pause, now - self._last), now

    async def _tick(self) -> None:
        while True:
            self._note_pause()
            if self._last - self._looked > _LOOK:
                self._children = sum(map(_memory, self._me.children()))
                self._looked = self._last
            await asyncio.sleep(_TICK)


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0
