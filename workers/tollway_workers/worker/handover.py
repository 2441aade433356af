"""Lets go of jobs whose next call is another worker's: their partition goes there, or their lane
is in a limit group of which no shard is here (workers differ while a configuration is deployed).

What was never called is unread: the partition's next owner reads it. What waits for its next call
is handed on to its lane's topic with its attempts, so that nothing need wait for it. What runs may
end, within a bound; past it the call is broken off, its job goes one of the same two ways, and the
partition goes without a final commit.
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
    """A call, or the asking of a rule, that can be broken off."""

    def cancel(self) -> object:
        """Break it off."""
        ...


class Releases:
    """State: `_since` (when a partition's release began, monotonic seconds), and `_lost` (how many
    partitions were lost when it last looked).
    """

    def __init__(
        self,
        source: RecordSource,
        dispatcher: Dispatcher,
        calls: Mapping[JobProgress, Cancellable],
        clock: Clock,
        *,
        topic_of_lane: Mapping[str, str],
        longest_call: float,
    ) -> None:
        """`calls`: those in flight, and what asks a stand-in.

        `topic_of_lane`: the owner of its shards may call the lane. `longest_call`: seconds; calls
        may take so long, and a little more, once a release began.
        """
        self._source = source
        self._dispatcher = dispatcher
        self._calls = calls
        self._clock = clock
        self._topic_of_lane = topic_of_lane
        self._bound = longest_call + _GRACE
        self._since: dict[OffsetTracker, float] = {}
        self._lost = 0

    def take_leaving(self) -> list[JobProgress]:
        """Break off what has run too long; remove and return what waits and is called elsewhere."""
        if self._source.releasing:
            self._break_off()
        else:
            self._since.clear()
        lost = self._take_lost()
        foreign = {
            lane for lane, topic in self._topic_of_lane.items() if not self._source.serves(topic)
        }
        if not foreign and not self._source.releasing:
            return lost
        return lost + self._dispatcher.take_queued(
            lambda each: is_leaving(each) or each.lane in foreign
        )

    def _take_lost(self) -> list[JobProgress]:
        """Jobs whose partition another worker owns, and reads anew: what they take is needed."""
        before, self._lost = self._lost, self._source.lost
        if before == self._lost:
            return []
        return self._dispatcher.take(lambda each: not each.owned)

    def _break_off(self) -> None:
        now = self._clock.monotonic()
        running = {p.record.tracker for p in self._calls if is_leaving(p)}
        self._since = {tracker: self._since.get(tracker, now) for tracker in running}
        late = {tracker for tracker, since in self._since.items() if now - since > self._bound}
        for progress, call in tuple(self._calls.items()):
            if progress.record.tracker in late:
                log.warning(
                    "a call or a rule ran longer than its shard's release may take: it is aborted, "
                    "and its job goes on without it"
                )
                call.cancel()


def is_leaving(progress: JobProgress) -> bool:
    """Whether the partition that a job came from is to go to another worker."""
    return progress.record.tracker.releasing
