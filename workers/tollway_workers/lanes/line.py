"""The line of the jobs that wait for a lane: when it is each one's turn. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from tollway_workers.config.shape.contract import MINUTE, MOST_SHARE
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import LaneQuota

#: Seconds that a call takes where none was answered yet.
_CALL_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Line:
    """A line as it is walked from its head. State: `ahead`, the jobs that stay in it so far.

    Records that are not read yet count as if they went before: they do, of other tenants, and none
    of them can leave before it is read.
    """

    #: Jobs a second.
    speed: float
    #: Jobs not read yet.
    unread_interactive: int
    unread_bulk: int
    ahead: int = 0

    def turn(self, *, interactive: bool) -> float:
        """Seconds until the next job's turn, as if the lane recovered now."""
        unread = self.unread_interactive + (0 if interactive else self.unread_bulk)
        return (self.ahead + unread) / self.speed if self.speed > 0.0 else 0.0

    def longest(self, held: int) -> float:
        """Seconds until the turn of the last, where so many jobs are read."""
        everything = held + self.unread_interactive + self.unread_bulk
        return everything / self.speed if self.speed > 0.0 else 0.0


def speed(quota: LaneQuota, cost: Cost, call_seconds: float | None) -> float:
    """Jobs of this cost a second that this worker may call, where nothing holds its lane up."""
    speeds = [
        pool.limit.amount * MOST_SHARE * pool.part / MINUTE / cost[pool.resource]
        for pool in quota.pools
        if pool.limit.period == MINUTE and cost[pool.resource] > 0.0
    ]
    if quota.most_calls is not None:
        speeds.append(quota.most_calls / max(call_seconds or _CALL_SECONDS, 1e-3))
    return min(speeds, default=inf)


def usual(costs: Iterable[Cost]) -> Cost:
    """The mean of some costs; that of a call without tokens where there is none."""
    found = tuple(costs)
    if not found:
        return Cost()
    return Cost(*(sum(part) / len(found) for part in zip(*found, strict=True)))
