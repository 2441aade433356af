"""The free rate of a lane: how many jobs of other lanes it has room for, by heartbeats. Pure.

A job takes so many seconds of that rate; an `Allowance` saves up seconds, one at most, and jobs
spend them. What went there already is in what the lane has used, and is given back here: else those
who send would halve their own share. Nothing is free while the lane has much to do, and where it
lets nothing through one job now and then tries whether that is over.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from tollway_schemas.heartbeat import Heartbeat, LaneBeat, LimitUse
from tollway_workers.config.shape.contract import MINUTE, Resource
from tollway_workers.config.shape.groups import RESOURCE_OF
from tollway_workers.lanes.state import LaneState
from tollway_workers.limits.call_cost import Cost

#: Seconds of work beyond which a lane has no room for jobs of others.
MOST_OUTSTANDING = 10.0
#: Seconds between two jobs that try a lane which lets nothing through and has no jobs of its own.
_TRIAL = 2.0
#: Seconds that may be saved up.
_MOST_SAVED = 1.0
#: Seconds that a call takes where nobody knows.
_CALL_SECONDS = 1.0

_WELL = (LaneState.OPEN, LaneState.SLOWED)
_DOWN = (LaneState.BROKEN, LaneState.PARKED, LaneState.PROBING)


@dataclass(frozen=True, slots=True)
class FreeRate:
    """What a lane has room for a second: jobs, and units of what its limits count."""

    jobs: float = inf
    units: tuple[tuple[Resource, float], ...] = ()

    def seconds(self, cost: Cost) -> float:
        """How much of it a job takes; infinite where it has no room for one."""
        worst = 1.0 / self.jobs if self.jobs > 0.0 else inf
        for resource, rate in self.units:
            if cost[resource] > 0.0:
                worst = max(worst, cost[resource] / rate if rate > 0.0 else inf)
        return worst


@dataclass(slots=True)
class Sent:
    """What this worker sent to a lane. State: the last minute by second, the oldest first."""

    _seconds: deque[tuple[int, Cost]] = field(default_factory=deque)

    def note(self, cost: Cost, now: float) -> None:
        """One job more; `now`: monotonic seconds."""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            _, before = self._seconds.pop()
            cost = Cost(*(a + b for a, b in zip(before, cost, strict=True)))
        self._seconds.append((second, cost))
        while self._seconds[0][0] <= second - MINUTE:
            self._seconds.popleft()

    def within(self, period: float, now: float) -> Cost:
        """All of the last `period` seconds, a minute at most."""
        recent = [cost for second, cost in self._seconds if second + 0.5 > now - period]
        return Cost(*(sum(part) for part in zip(*recent, strict=True))) if recent else Cost(0.0)


@dataclass(slots=True)
class Allowance:
    """Seconds of a free rate that are saved up. State: `level`, as of `_at` (monotonic seconds)."""

    level: float = 0.0
    _at: float | None = None

    def save(self, now: float) -> None:
        """Time has passed."""
        if self._at is not None:
            self.level = min(_MOST_SAVED, self.level + now - self._at)
        self._at = now

    def has(self, seconds: float) -> bool:
        """Whether a job may go that takes so much. What takes more than can be saved goes once all
        is saved, and the next waits for as long as it took.
        """
        return self.level >= min(seconds, _MOST_SAVED)

    def spend(self, seconds: float) -> None:
        """A job goes."""
        self.level -= seconds


def free_rate(
    lane: str, beats: Sequence[Heartbeat], cost: Cost, sent: Sent, sharers: int, now: float
) -> FreeRate | None:
    """The free rate of a lane for one of `sharers` workers; None where it has none.

    `cost`: of a usual job; `sent`: what this worker has sent there; `now`: monotonic seconds.
    """
    served = _Served(_of(lane, beats))
    if not served.well:
        return _trial(served.beats) if served.outstanding == 0 else None
    if served.seconds_of_work(cost) > MOST_OUTSTANDING:
        return None
    minute = sent.within(MINUTE, now)
    units = tuple(
        (rate.resource, rate.free(served.waiting * cost[rate.resource], minute, sharers))
        for rate in served.rates
    )
    jobs = inf
    if served.slots is not None and (served.timed or not units):
        window = max(served.call_seconds, _CALL_SECONDS)
        back = sent.within(window, now).requests
        room = max(0.0, (served.slots - served.outstanding) / sharers + back)
        jobs = min(served.slots / served.call_seconds, room / window)
    found = FreeRate(jobs, units)
    return found if found.seconds(cost) < inf else None


def sharers_of(sources: Collection[str], beats: Iterable[Heartbeat], *, down: bool) -> int:
    """Live workers that may send jobs of these lanes elsewhere, at least one: those whose own view
    is that one is broken or parked if `down`, else all that serve one.
    """
    return max(
        1,
        sum(
            any(
                each.lane in sources
                and beat.shards.get(each.group, 0) > 0
                and (not down or each.state in _DOWN)
                for each in beat.lanes
            )
            for beat in beats
        ),
    )


@dataclass(frozen=True, slots=True)
class _Rate:
    """One rate limit over all workers."""

    resource: Resource
    most: float
    used: float
    #: Seconds.
    period: float

    def free(self, waiting: float, sent: Cost, sharers: int) -> float:
        """Units a second for one of those who share it; `waiting`: what those that wait will use.

        What is left of a day may be used at any time.
        """
        room = max(0.0, (self.most - self.used - waiting) / sharers)
        if self.period != MINUTE:
            return room / MINUTE
        return min(self.most, room + sent[self.resource]) / MINUTE


class _Served:
    """A lane in the workers that serve it."""

    def __init__(self, beats: list[LaneBeat]) -> None:
        self.beats = beats
        self.well = [each for each in beats if each.state in _WELL]
        self.outstanding = sum(each.outstanding for each in beats)
        self.waiting = max(0, self.outstanding - sum(each.in_flight for each in beats))
        seconds = [each.call_seconds for each in self.well if each.call_seconds is not None]
        #: Whether it is known how long calls take.
        self.timed = bool(seconds)
        self.call_seconds = max(sum(seconds) / len(seconds), 1e-3) if seconds else _CALL_SECONDS
        self.rates: list[_Rate] = []
        self.slots: float | None = None
        for uses in _by_limit(self.well):
            self._add(uses)

    def _add(self, uses: list[LimitUse]) -> None:
        most, period = sum(use.most for use in uses), uses[0].period
        resource = RESOURCE_OF.get(uses[0].name)
        if period is None:
            self.slots = most if self.slots is None else min(self.slots, most)
        elif resource is not None:
            self.rates.append(_Rate(resource, most, sum(use.used for use in uses), period))

    def seconds_of_work(self, cost: Cost) -> float:
        """Until all that is outstanding is done, where nothing more comes."""
        speeds = [
            rate.most / cost[rate.resource] / MINUTE
            for rate in self.rates
            if rate.period == MINUTE and cost[rate.resource] > 0.0
        ]
        if self.slots is not None:
            speeds.append(self.slots / self.call_seconds)
        slowest = min(speeds, default=inf)
        return self.outstanding / slowest if slowest > 0.0 else inf


def _of(lane: str, beats: Iterable[Heartbeat]) -> list[LaneBeat]:
    """What the workers say of a lane that serve it."""
    return [
        each
        for beat in beats
        for each in beat.lanes
        if each.lane == lane and beat.shards.get(each.group, 0) > 0
    ]


def _trial(beats: Iterable[LaneBeat]) -> FreeRate | None:
    """A lane that nobody has a job for is never tried, and would be broken for ever."""
    due = any(each.state in _DOWN and each.next_try is None for each in beats)
    return FreeRate(1.0 / _TRIAL) if due else None


def _by_limit(beats: Iterable[LaneBeat]) -> list[list[LimitUse]]:
    found: dict[tuple[str, bool], list[LimitUse]] = {}
    for beat in beats:
        for use in beat.limits:
            found.setdefault((use.name, use.shared), []).append(use)
    return list(found.values())
