"""The use of a limit within its last period, from a count that only grows. Pure."""

from collections import deque
from math import inf

#: Parts of a period that are told apart: what is older by less than one of them still counts.
_PARTS = 60


class RecentUse:
    """State: `_seen`, the count at moments of the last period and the last one before it."""

    def __init__(self, period: float) -> None:
        """`period`: seconds."""
        self._period = period
        # Nothing was counted before the first look.
        self._seen: deque[tuple[float, float]] = deque([(-inf, 0.0)])

    def within(self, count: float, now: float) -> float:
        """Units of the last period, where so many were counted until `now`; never below zero."""
        if now - self._seen[-1][0] >= self._period / _PARTS:
            self._seen.append((now, count))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._period:
            self._seen.popleft()
        return max(0.0, count - self._seen[0][1])
