"""Limits that a provider states far below the lane's own: they hold for minutes, then are probed.

Otherwise a wrong header (`x-ratelimit-limit-tokens: 1`) would stop a lane for hours, and no further
answer could correct it.
"""

from math import inf

from tollway_workers.config.shape.contract import Resource
from tollway_workers.lanes.gate import LONGEST_PROBE
from tollway_workers.lanes.lane_wait import Hold, stated_limit
from tollway_workers.limits.pool import Pool


class StatedLimits:
    """State: why and since when the next call waits for one, None where it does not, and when the
    provider said so last. Times are monotonic seconds."""

    __slots__ = ("_at", "_holds")

    def __init__(self) -> None:
        self._holds: tuple[str, float] | None = None
        self._at = -inf

    def note(self, now: float) -> None:
        """An answer's headers have just said that a limit is less than ours."""
        self._at = now

    def wait(self, pool: Pool | None, wait: float, now: float) -> float | None:
        """Seconds until a call that has to wait so long for the pool; None: ask the provider again.

        A limit of the lane's own holds however long it is.
        """
        if pool is None or pool.borne >= 1.0:
            return wait
        if self._holds is None:
            self._holds = _reason(pool), now
        left = self._at + LONGEST_PROBE - now
        return min(wait, left) if left > 0.0 else None

    @property
    def hold(self) -> Hold | None:
        """Why the lane lets nothing through; None where it is not for what was stated."""
        if self._holds is None:
            return None
        reason, since = self._holds
        return Hold(reason=reason, since=since, next_try=self._at + LONGEST_PROBE)

    def forget(self) -> None:
        """Nothing waits for what was stated."""
        self._holds = None


def _reason(pool: Pool) -> str:
    amount = pool.limit.amount * pool.borne
    noun = "request" if pool.limit.resource is Resource.REQUESTS else "token"
    return stated_limit(amount, noun if round(amount) == 1 else f"{noun}s")
