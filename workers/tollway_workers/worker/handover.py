"""Lets go of jobs whose next call is another worker's: their partition goes there, or their lane
is in a limit group of which no shard is here (workers differ while a configuration is deployed).

What was never called is given back: whoever has the partition next reads it. What waits for its
next call goes to its lane's topic with its attempts, so that it need not be waited for. What runs
may end, within a bound; past it the call is broken off, its job goes the same two ways, and the
partition goes without a last word.
"""

from collections.abc import Mapping
from typing import Protocol

import structlog

from tollway_workers.clock import Clock
from tollway_workers.job.ports import RecordSource
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.pipeline.dispatch import Dispatcher

log = structlog.get_logger(__name__)

#: Seconds that a call may outlive its timeout before it is broken off to release its shard.
_GRACE = 1.0


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
        group_topics: Mapping[str, str],
        longest_call: float,
    ) -> None:
        """`calls`: those in flight; `group_topics`: by lane, a topic of its limit group.

        `longest_call`: seconds; calls may take so long, and a little more, once a release began.
        """
        self._source = source
        self._dispatcher = dispatcher
        self._calls = calls
        self._clock = clock
        self._group_topics = group_topics
        self._bound = longest_call + _GRACE
        self._since: dict[OffsetTracker, float] = {}

    def take(self) -> list[JobProgress]:
        """Break off what has run too long, and return what waits and is not to be called here."""
        if self._source.releasing:
            self._break_off()
        else:
            self._since.clear()
        foreign = {
            lane for lane, topic in self._group_topics.items() if not self._source.serves(topic)
        }
        if not foreign and not self._source.releasing:
            return []
        return self._dispatcher.take(lambda each: leaves(each) or each.lane in foreign)

    def _break_off(self) -> None:
        now = self._clock.monotonic()
        running = {p.record.tracker for p in self._calls if leaves(p)}
        self._since = {tracker: self._since.get(tracker, now) for tracker in running}
        late = {tracker for tracker, since in self._since.items() if now - since > self._bound}
        for progress, call in tuple(self._calls.items()):
            if progress.record.tracker in late:
                log.warning(
                    "a call ran longer than its shard's release may take: it is aborted, "
                    "and another worker calls its job again"
                )
                call.cancel()


def leaves(progress: JobProgress) -> bool:
    """Whether the partition that a job came from is to go to another worker."""
    return progress.record.tracker.releasing
