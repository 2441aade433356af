"""All workers' heartbeats together: which workers are alive, and the state of each lane. Pure.

Times are in seconds since 1970, on Kafka's clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_workers.job.envelopes import instant
from tollway_workers.lanes.lane_wait import BRIEF, waiting
from tollway_workers.lanes.live_beats import LiveBeats
from tollway_workers.lanes.state import LaneState

#: How instants are shown.
_MOMENT = "%Y-%m-%d %H:%M:%S UTC"
#: The worst that any worker says of a lane comes first.
_STATES = [state.value for state in LaneState]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """One limit of a lane over all workers."""

    name: str
    #: Units within the last period, or calls in flight.
    used: float
    #: What the shards that somebody owns allow; less while their lane is slowed.
    most: float
    #: Seconds; None for calls in flight.
    period: float | None
    #: Whether all lanes of the limit group use it together.
    shared: bool
    #: Whether calls wait for it.
    binds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitView:
    """Why a lane lets nothing through but single tries."""

    reason: str
    since: float | None
    #: None: a try may start, or is on its way.
    next_try: float | None
    #: Until when the provider asked to be left alone, where the next try is before that.
    asked_until: float | None
    #: Those that say so.
    workers: tuple[str, ...]
    #: Whether no job is there to try it with.
    idle: bool = False
    state: LaneState = LaneState.SLOWED

    def sentence(self, now: float) -> str:
        """The same in words."""
        seconds = None if self.idle else 0.0
        if self.next_try is not None:
            seconds = max(0.0, self.next_try - now)
        until = None if self.asked_until is None else f"{instant(self.asked_until):{_MOMENT}}"
        return waiting(self.reason, seconds, until=until, state=self.state)

    def is_brief(self, now: float) -> bool:
        """Whether it has just begun and is about to end: the usual pause after a 429."""
        begun = self.since is not None and now - self.since < BRIEF
        return begun and self.next_try is not None and self.next_try - now < BRIEF


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """One lane over all workers."""

    lane: str
    group: str
    state: str
    paused_until: float | None
    wait: WaitView | None
    #: Whether every worker that has something to do there waits; of its jobs in retry topics
    #: nobody has any, and then that is whether all of its owners wait.
    stuck: bool
    #: Routes whose jobs come to it first.
    routes: tuple[str, ...]
    in_flight: int
    waiting: int
    outstanding: int
    #: When the oldest job that is read and not finished was written.
    oldest: float | None
    limits: tuple[LimitView, ...]
    owners: tuple[str, ...]
    #: Jobs finished a second, over the last seconds; None: not known.
    rate: float | None
    #: Partitions that stand still behind an open transaction.
    behind_transactions: int = 0

    @property
    def binding(self) -> list[str]:
        """The limits that calls wait for."""
        return sorted({limit.name for limit in self.limits if limit.binds})

    @property
    def time_to_clear(self) -> float | None:
        """Seconds until all that is outstanding is finished at this rate; None: not known."""
        if self.outstanding == 0:
            return 0.0
        return self.outstanding / self.rate if self.rate else None


def state_rank(state: str) -> tuple[int, str]:
    """Sorts states, the worst first; those that this release does not know come last."""
    return (_STATES.index(state) if state in _STATES else len(_STATES), state)


class FleetView(LiveBeats):
    """What the heartbeats of the last seconds say of workers and lanes."""

    def behind(self, offset: int, now: float) -> list[str]:
        """Workers that are alive and have not said that they applied the command at `offset`."""
        return [beat.worker for beat in self.live(now) if beat.commands <= offset]

    def lanes(self, now: float) -> list[LaneView]:
        """Every lane that a worker which is alive knows, by name."""
        found: dict[str, list[tuple[LaneBeat, LaneBeat | None, float, Heartbeat]]]
        found = defaultdict(list)
        for heard in self.alive(now):
            first, last = heard[0], heard[-1]
            before = {each.lane: each for each in first.beat.lanes}
            seconds = last.at - first.at
            for each in last.beat.lanes:
                found[each.lane].append((each, before.get(each.lane), seconds, last.beat))
        return [_lane(name, said) for name, said in sorted(found.items())]


def _lane(name: str, said: list[tuple[LaneBeat, LaneBeat | None, float, Heartbeat]]) -> LaneView:
    beats = [each for each, _, _, _ in said]
    owned = [(beat.worker, lane) for lane, _, _, beat in said if beat.shards.get(lane.group, 0)]
    # A worker without a shard calls nobody: the lane's state there is out of date.
    present = [lane for _, lane in owned] or beats
    paused = [each.paused_until.timestamp() for each in beats if each.paused_until]
    rates = [
        max(0, last.finished - first.finished) / seconds
        for last, first, seconds, _ in said
        if first is not None and seconds > 0
    ]
    return LaneView(
        lane=name,
        group=beats[0].group,
        state=_worst(each.state for each in present),
        paused_until=max(paused, default=None),
        wait=_wait(owned),
        stuck=_stuck(present),
        routes=tuple(sorted({route for each in beats for route in each.routes})),
        in_flight=sum(each.in_flight for each in beats),
        waiting=sum(each.waiting for each in beats),
        outstanding=sum(each.outstanding for each in beats),
        oldest=min((each.oldest.timestamp() for each in beats if each.oldest), default=None),
        limits=_limits(beats),
        owners=tuple(worker for worker, _ in owned),
        rate=sum(rates) if rates else None,
        behind_transactions=sum(each.behind_transactions for each in beats),
    )


def _wait(said: Sequence[tuple[str, LaneBeat]]) -> WaitView | None:
    """The worst that workers say, and of equals what began first."""
    held = [each for _, each in said if each.reason is not None]
    if not held:
        return None
    worst = _worst(each.state for each in held)
    begun = [each for each in held if each.state == worst]
    first = min(begun, key=lambda each: each.since.timestamp() if each.since else 0.0)
    same = [(worker, each) for worker, each in said if each.reason == first.reason]
    tries = [each.next_try.timestamp() if each.next_try else None for _, each in same]
    if first.paused_until is not None:
        tries = [first.paused_until.timestamp()]
    return WaitView(
        reason=first.reason or "",
        since=None if first.since is None else first.since.timestamp(),
        next_try=None if None in tries else min(each for each in tries if each is not None),
        asked_until=None if first.asked_until is None else first.asked_until.timestamp(),
        workers=tuple(worker for worker, _ in same),
        idle=not any(each.waiting or each.in_flight for _, each in same),
        state=LaneState(worst) if worst in _STATES else LaneState.SLOWED,
    )


def _stuck(beats: Sequence[LaneBeat]) -> bool:
    busy = [each for each in beats if each.outstanding] or beats
    return all(each.reason is not None for each in busy)


def _limits(beats: Iterable[LaneBeat]) -> tuple[LimitView, ...]:
    uses: dict[tuple[str, bool], list[LimitUse]] = defaultdict(list)
    for beat in beats:
        for use in beat.limits:
            uses[use.name, use.shared].append(use)
    return tuple(
        LimitView(
            name=name,
            used=sum(use.used for use in each),
            most=sum(use.most for use in each),
            period=each[0].period,
            shared=shared,
            binds=any(use.binds for use in each),
        )
        for (name, shared), each in uses.items()
    )


def _worst(states: Iterable[str]) -> str:
    return min(states, key=state_rank)
