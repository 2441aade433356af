"""When a worker commits: often, as a commit is its lease, and soon after what must not repeat."""

import asyncio
from collections.abc import Callable

from tollway_workers.clock import Clock
from tollway_workers.job.ports import RecordSource

#: Seconds between commits: what is complete and may still be called twice after a crash is at most
#: this old. Their number grows with partitions, not with workers, so they may be frequent.
COMMIT_INTERVAL = 0.25
#: Seconds until what has left for elsewhere is committed: it would be called there and here.
_COMMIT_SOON = 0.02


class Commits:
    """State: whether a commit is due."""

    def __init__(self, source: RecordSource, clock: Clock, after: Callable[[], None]) -> None:
        """`after` is called after each: a commit renews the lease, without which nothing starts."""
        self._source = source
        self._clock = clock
        self._after = after
        self._due = asyncio.Event()

    def soon(self) -> None:
        """Something was sent on: until a commit says so, a crash would repeat it."""
        self._clock.call_later(_COMMIT_SOON, self._due.set)

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            timer = self._clock.call_later(COMMIT_INTERVAL, self._due.set)
            await self._due.wait()
            timer.cancel()
            self._due.clear()
            await self._source.commit()
            self._after()
