"""A worker's state at this moment, for its heartbeat. It reads, and changes nothing."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from math import inf, isfinite, isnan
from typing import Any, NamedTuple

from tollway_schemas.heartbeat import MOST_COUNT, MOST_UNITS, Heartbeat, LaneBeat, LimitUse
from tollway_workers.app.gauges import Watched
from tollway_workers.app.work import Work, work_by_topic
from tollway_workers.clock import Clock
from tollway_workers.job.envelopes import instant
from tollway_workers.kafka.talk.command_log import CommandFollower
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.state import LaneState, shown
from tollway_workers.limits.pool import Pool
from tollway_workers.limits.quota import LaneQuota, Slots
from tollway_workers.limits.recent_use import RecentUse
from tollway_workers.operators.commands import Commands

_BY_OPERATOR = Hold(reason="an operator paused it", since=0.0, next_try=0.0)


class LaneDescription(NamedTuple):
    """What the configuration says of a lane, for its heartbeats."""

    #: Its limit group.
    group: str
    #: The topics that its jobs come from.
    topics: frozenset[str]
    #: Routes whose jobs come to it first.
    routes: tuple[str, ...] = ()


class Pulse:
    """State: `worker`, its instance id, `left`, raised once when it has left, and `_recent`, what
    was used of each rate limit within its last period."""

    def __init__(
        self,
        watched: Watched,
        descriptions: Mapping[str, LaneDescription],
        follower: CommandFollower,
        commands: Commands,
        clock: Clock,
    ) -> None:
        self._watched = watched
        self._descriptions = descriptions
        self._follower = follower
        self._commands = commands
        self._clock = clock
        self._started_at = instant(clock.now())
        self._release = version("tollway")
        self._recent: dict[Pool, RecentUse] = {}
        self.worker = ""
        self.left = False

    def beat(self) -> Heartbeat:
        """The heartbeat of this moment."""
        source, worker = self._watched.source, self._watched.worker
        work = work_by_topic(source.partitions, self._watched.backlog)
        return Heartbeat(
            worker=self.worker,
            started_at=self._started_at,
            release=self._release,
            configuration=self._watched.configuration(),
            shards={group: _count(own) for group, own in source.partitions.shards().items()},
            partitions=_count(len(source.partitions)),
            holds_lease=source.committer.holds_lease,
            releasing=_count(source.partitions.releasing),
            draining=worker.draining,
            left=self.left,
            commands=_count(self._follower.applied),
            lanes=(
                *(self._lane(name, work) for name in sorted(self._watched.lanes)),
                *self._retired(work),
            ),
            cache=None if self._watched.cache is None else self._watched.cache.told,
        )

    def _retired(self, work: Mapping[str, Work]) -> Iterator[LaneBeat]:
        """Lanes in no route any more that still hold something."""
        for name in self._watched.retired:
            described = self._descriptions[name]
            todo = Work.of(work[topic] for topic in described.topics & work.keys())
            if todo.outstanding:
                yield LaneBeat(
                    lane=name,
                    group=described.group,
                    state=LaneState.RETIRED.value,
                    outstanding=_count(todo.outstanding),
                    finished=_count(todo.finished),
                    oldest=None if todo.oldest == inf else instant(todo.oldest),
                )

    def _lane(self, name: str, work: Mapping[str, Work]) -> LaneBeat:
        admission, described = self._watched.lanes[name].admission, self._descriptions[name]
        paused_until = self._commands.paused_until(name, self._clock.now())
        waiting = self._watched.worker.dispatcher.held(name)
        todo = Work.of(work[topic] for topic in described.topics & work.keys())
        # A limit that bound the last call binds none where no job waits, or none may start.
        binds = waiting > 0 and paused_until is None
        return LaneBeat(
            lane=name,
            group=described.group,
            state=shown(admission.state, paused=paused_until is not None).value,
            paused_until=None if paused_until is None else instant(paused_until),
            **self._hold(admission.hold if paused_until is None else _BY_OPERATOR),
            routes=described.routes,
            in_flight=_count(admission.in_flight),
            call_seconds=_seconds(admission.call_seconds),
            waiting=_count(waiting),
            outstanding=_count(todo.outstanding),
            finished=_count(todo.finished),
            behind_transactions=sum(
                topic in described.topics for topic, _ in self._watched.source.transactions.stalled
            ),
            oldest=None if todo.oldest == inf else instant(todo.oldest),
            limits=self._limits(admission.quota, admission.quota.binding if binds else None),
        )

    def _hold(self, hold: Hold | None) -> dict[str, Any]:
        """Why a lane waits, in a heartbeat's fields: its times are those of the wall clock."""
        if hold is None or hold is _BY_OPERATOR:
            return {"reason": hold and hold.reason}
        now = self._clock.monotonic()
        behind = self._clock.now() - now
        asked = isfinite(hold.asked_until) and hold.asked_until > max(now, hold.next_try)
        return {
            "reason": hold.reason,
            "since": instant(hold.since + behind),
            "next_try": instant(hold.next_try + behind) if hold.next_try > now else None,
            "asked_until": instant(hold.asked_until + behind) if asked else None,
        }

    def _limits(self, quota: LaneQuota, binding: str | None) -> tuple[LimitUse, ...]:
        """`binding`: the key of the one that binds."""
        calls = (_calls(slots, binds=slots.key == binding) for slots in quota.slots)
        rates = (self._rate(pool, binds=pool.key == binding) for pool in quota.pools)
        return (*calls, *rates)

    def _rate(self, pool: Pool, *, binds: bool) -> LimitUse:
        recent = self._recent.setdefault(pool, RecentUse(pool.limit.period))
        return LimitUse(
            name=pool.limit.name,
            shared=pool.limit.lane is None,
            most=_units(pool.limit.amount * pool.part * min(pool.pace, pool.borne)),
            period=pool.limit.period,
            used=_units(recent.within(pool.spent, self._clock.boottime())),
            binds=binds,
        )


def _calls(slots: Slots, *, binds: bool) -> LimitUse:
    return LimitUse(
        name="concurrency",
        shared=slots.limit.lane is None,
        most=_units(slots.most),
        used=_units(slots.used),
        binds=binds,
    )


def _count(number: int) -> int:
    """A count within a heartbeat's bounds: a number beyond them must not stop heartbeats."""
    return min(max(number, 0), MOST_COUNT)


def _seconds(number: float | None) -> float | None:
    return None if number is None else _units(number)


def _units(number: float) -> float:
    """An amount within a heartbeat's bounds; NaN becomes 0."""
    return min(max(number, 0.0), MOST_UNITS) if not isnan(number) else 0.0
