"""When an event loop is so late that its worker should give its shards to others.

The event loop is the heartbeat of everything a worker promises: leases, deadlines, limits. One late
moment is no illness (a machine that slept, a frozen process: the lease sees to those); a loop that
is late again and again has more to do than it can.
"""

#: Seconds late from which on a moment counts.
MOST_LAG = 2.0
#: Late moments that make an illness, and the seconds within which they lie.
_MOMENTS = 2
_WITHIN = 30.0
#: Seconds after a release in which there is no other: it has to help first.
_REST = 120.0


class LagVerdict:
    """Weighs measurements in monotonic seconds. State: late moments, and the last release."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._released: float | None = None

    def measured(self, lag: float, now: float) -> bool:
        """Whether, with this measurement, the worker should release its shards."""
        if lag <= MOST_LAG:
            return False
        self._late = [moment for moment in self._late if now - moment <= _WITHIN] + [now]
        resting = self._released is not None and now - self._released < _REST
        if len(self._late) < _MOMENTS or resting:
            return False
        self._late, self._released = [], now
        return True
