"""Lets go of the jobs of partitions that are to go to another worker.

What was never called is given back: whoever has the partition next reads it. What waits for its
next call goes to its lane's topic with its attempts, so that it need not be waited for. What runs
may end, within a bound; past it the call is broken off, and the partition goes without a last word.
"""

from collections.abc import Mapping
from typing import Protocol

import structlog

from tollway_workers.clock import Clock
from tollway_workers.dispatcher import Dispatcher
from tollway_workers.kafka.ports import RecordSource
from tollway_workers.policies.offsets import OffsetTracker
from tollway_workers.policies.progress import JobProgress

log = structlog.get_logger(__name__)


class Cancellable(Protocol):
    """A call that can be broken off."""

    def cancel(self) -> object:
        """Break it off."""
        ...


class Releases:
    """State: `_since` (when a partition's release began, monotonic seconds)."""

    def __init__(
        self,
        source: RecordSource,
        dispatcher: Dispatcher,
        calls: Mapping[JobProgress, Cancellable],
        clock: Clock,
        *,
        bound: float,
    ) -> None:
        """`calls`: those in flight; `bound`: seconds that they may take once a release began."""
        self._source = source
        self._dispatcher = dispatcher
        self._calls = calls
        self._clock = clock
        self._bound = bound
        self._since: dict[OffsetTracker, float] = {}

    def take(self) -> list[JobProgress]:
        """Break off what has run too long, and return what waits; cheap where nothing is to go."""
        if not self._source.releasing:
            self._since.clear()
            return []
        self._break_off()
        return self._dispatcher.take(_leaves)

    def _break_off(self) -> None:
        now = self._clock.monotonic()
        running = {p.record.tracker for p in self._calls if _leaves(p)}
        self._since = {tracker: self._since.get(tracker, now) for tracker in running}
        late = {tracker for tracker, since in self._since.items() if now - since > self._bound}
        for progress, call in tuple(self._calls.items()):
            if progress.record.tracker in late:
                log.warning("a call outlived the release of its shard: breaking it off")
                call.cancel()


def _leaves(progress: JobProgress) -> bool:
    return progress.record.tracker.releasing
