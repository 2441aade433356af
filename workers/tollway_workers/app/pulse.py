"""How a worker is at this moment, for its heartbeat. Reads, and changes nothing."""

from collections.abc import Mapping
from importlib.metadata import version
from math import inf
from typing import NamedTuple

from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_workers.app.gauges import Watched
from tollway_workers.clock import Clock
from tollway_workers.kafka.commands import CommandFollower
from tollway_workers.policies.commands import Commands
from tollway_workers.policies.outgoing import instant
from tollway_workers.policies.quota import LaneQuota

_PAUSED = "paused"


class LaneHome(NamedTuple):
    """Where a lane belongs."""

    #: Its limit group.
    group: str
    #: The topics that its jobs come from.
    topics: frozenset[str]


class Pulse:
    """State: `worker`, its instance id, and `left`, raised once when it has left."""

    def __init__(
        self,
        watched: Watched,
        homes: Mapping[str, LaneHome],
        follower: CommandFollower,
        commands: Commands,
        clock: Clock,
    ) -> None:
        self._watched = watched
        self._homes = homes
        self._follower = follower
        self._commands = commands
        self._clock = clock
        self._started_at = instant(clock.now())
        self._release = version("tollway")
        self.worker = ""
        self.left = False

    def beat(self) -> Heartbeat:
        """What holds now."""
        source, worker = self._watched.source, self._watched.worker
        return Heartbeat(
            worker=self.worker,
            started_at=self._started_at,
            release=self._release,
            shards=source.holdings.shards(),
            partitions=len(source.holdings),
            holds_lease=source.committer.holds_lease,
            releasing=source.holdings.releasing,
            draining=worker.draining,
            left=self.left,
            commands=self._follower.applied,
            lanes=tuple(self._lane(name) for name in sorted(self._watched.lanes)),
        )

    def _lane(self, name: str) -> LaneBeat:
        admission = self._watched.lanes[name].admission
        paused_until = self._commands.paused_until(name, self._clock.now())
        outstanding, finished, oldest = self._work(self._homes[name].topics)
        return LaneBeat(
            lane=name,
            group=self._homes[name].group,
            state=admission.state.value if paused_until is None else _PAUSED,
            paused_until=None if paused_until is None else instant(paused_until),
            in_flight=admission.in_flight,
            waiting=self._watched.worker.dispatcher.held(name),
            outstanding=outstanding,
            finished=finished,
            oldest=None if oldest == inf else instant(oldest),
            limits=limits_of(admission.quota),
            binding=admission.quota.binding,
        )

    def _work(self, topics: frozenset[str]) -> tuple[int, int, float]:
        """Outstanding and finished records of these topics, and the oldest one's time."""
        holdings, ends = self._watched.source.holdings, self._watched.backlog.ends
        outstanding, finished, oldest = 0, 0, inf
        for place in holdings:
            if place[0] in topics:
                tracker = holdings.tracker(place)
                # The reading of ends is some seconds old: what we have read since is there too.
                end = max(ends.get(place, 0), tracker.next_offset)
                outstanding += tracker.outstanding(end)
                finished += tracker.finished
                oldest = min(oldest, inf if tracker.oldest is None else tracker.oldest)
        return outstanding, finished, oldest


def limits_of(quota: LaneQuota) -> tuple[LimitUse, ...]:
    """Every limit that a call to a lane meets, with this worker's part of it and its use."""
    calls = (
        LimitUse(
            name="concurrency",
            shared=slots.limit.lane is None,
            most=slots.most,
            used=slots.used,
        )
        for slots in quota.slots
    )
    rates = (
        LimitUse(
            name=pool.limit.name,
            shared=pool.limit.lane is None,
            most=pool.rate * pool.limit.period,
            period=pool.limit.period,
            used=pool.spent,
        )
        for pool in quota.pools
    )
    return (*calls, *rates)
