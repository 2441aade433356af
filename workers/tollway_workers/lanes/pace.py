"""The pace of calls on a lane whose provider refuses without stating a limit.

Multiplicative decrease, additive recovery (RFC 5681's rule for congestion): each wave of refusals
takes three tenths of the pace, and a minute without any brings all of it back. A provider that
states its limit is believed instead.
"""

from dataclasses import dataclass

#: What a wave of refusals leaves of the pace.
_DECREASE = 0.7
#: The least: a lane that stood still would never learn that it may go on.
LEAST_PACE = 0.05
#: Seconds from the least pace to all of it.
RECOVERY = 60.0


@dataclass(slots=True)
class Pace:
    """State: `_pace` as of `_at` (monotonic seconds), which is when it was last lowered."""

    _pace: float = 1.0
    _at: float = float("-inf")

    def at(self, now: float) -> float:
        """The part of the limit to be used."""
        if self._pace >= 1.0:
            return 1.0
        recovered = (now - self._at) * (1.0 - LEAST_PACE) / RECOVERY
        return min(1.0, self._pace + recovered)

    def refused(self, started: float, now: float) -> None:
        """A call that was started at `started` was refused: calls of one wave count once."""
        if started >= self._at:
            self._pace, self._at = max(LEAST_PACE, self.at(now) * _DECREASE), now
