"""When an event loop is so late that its worker should release its shards.

Leases, deadlines and limits all depend on the event loop. One late moment does no harm (after a
suspend or a freeze the lease has run out); a loop that is late repeatedly is overloaded.
"""

#: Seconds late from which on a moment counts.
MOST_LAG = 2.0
#: Late moments that count as overload, and the seconds within which they lie.
_MOMENTS = 2
_WITHIN = 30.0
#: Seconds after a release until the next one: the first has to take effect.
_REST = 120.0


class LagVerdict:
    """Weighs measurements in monotonic seconds. State: late moments, and the last release."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._released: float | None = None

    def measured(self, lag: float, now: float) -> bool:
        """Take a measurement in; whether the worker should release its shards."""
        if lag <= MOST_LAG:
            return False
        self._late = [moment for moment in self._late if now - moment <= _WITHIN] + [now]
        resting = self._released is not None and now - self._released < _REST
        if len(self._late) < _MOMENTS or resting:
            return False
        self._late, self._released = [], now
        return True
