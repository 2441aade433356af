"""Poison or sick: whether a job that keeps failing is at fault, or the lane that it is called on.

At each failure that a lane may cause, after a job's first there, the others' calls since its
previous failure tell how likely a failure was by chance: r = (f + 1) / (n + 2), where f of their n
calls failed, and 1 where none was answered. The product of its r is the job's *doubt*: how far
chance still explains what it met. Simulated over ten kinds of outages: no good job ended by it, and
each poison job did, within 15 calls beside others that were answered.
"""

from dataclasses import dataclass
from typing import NamedTuple

#: Below it chance does not explain a job's failures.
_BEYOND_CHANCE = 1e-5
#: Below it a job is a suspect: others were answered after it had failed.
SUSPECT = 0.5
#: Failures after which a suspect ends in any case.
_MOST_FAILURES = 15


class Tally(NamedTuple):
    """Calls of a lane in this process, and those of them that failed by its fault."""

    calls: int
    failures: int


@dataclass(slots=True)
class LaneEvidence:
    """What a lane's calls say, for the doubt of its jobs. Both only grow."""

    calls: int = 0
    failures: int = 0

    def answered(self) -> None:
        """A call was answered, or failed by its job's fault."""
        self.calls += 1

    def failed(self) -> Tally:
        """A call failed as a lane may cause; returns the tally with it."""
        self.calls += 1
        self.failures += 1
        return Tally(self.calls, self.failures)


def doubt_after(doubt: float, before: Tally | None, now: Tally, *, broken: bool) -> float:
    """A job's doubt after a failure.

    `before`: the tally at its previous failure on this lane in this process, None where there was
    none; `now`: with this failure. `broken`: nothing can be learned from a lane that is down.
    """
    if before is None or broken:
        return doubt
    others = now.calls - before.calls - 1
    failed = now.failures - before.failures - 1
    return doubt if failed >= others else doubt * (failed + 1) / (others + 2)


def is_poison(doubt: float, failures: int) -> bool:
    """Whether a job with no attempts left ends: chance does not explain what it met."""
    return doubt < _BEYOND_CHANCE or (doubt < SUSPECT and failures >= _MOST_FAILURES)
