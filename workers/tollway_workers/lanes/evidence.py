"""Poison or sick: whether a job that keeps failing is at fault, or the lane that it is called on.

At each failure that a lane may cause, after a job's first there, the others' calls since its
previous failure tell how likely a failure was by chance: r = (f + 1) / (n + 2), where f of their n
calls failed, and 1 where none was answered. The product of its r is the job's *doubt*: how far
chance still explains what it met. Simulated over ten kinds of outages: no good job ended by it, and
each poison job did, within 15 calls beside others that were answered.
"""

from dataclasses import dataclass

from tollway_schemas.history import LaneTally
from tollway_workers.job.progress import JobProgress

#: Below it chance does not explain a job's failures.
_BEYOND_CHANCE = 1e-5
#: Below it a job is a suspect.
_SUSPECT = 0.5
#: Failures after which a suspect ends in any case.
_MOST_FAILURES = 15
#: Seconds that a job rests once its attempts are spent: each rest is a first one longer, up to the
#: longest.
_REST, _LONGEST_REST = 5.0, 15.0


@dataclass(slots=True)
class LaneEvidence:
    """What a lane's calls say, for the doubt of its jobs. All but `source` only grows."""

    #: Its own, of no other process and lane.
    source: str
    calls: int = 0
    failures: int = 0

    def answered(self) -> None:
        """A call was answered, or failed by its job's fault."""
        self.calls += 1

    def failed(self) -> LaneTally:
        """A call failed as a lane may cause; returns the tally with it."""
        self.calls += 1
        self.failures += 1
        return LaneTally(source=self.source, calls=self.calls, failures=self.failures)


def accuse(progress: JobProgress, now: LaneTally, *, lane_down: bool) -> None:
    """A job's call failed as its lane may cause: what that says of the job.

    `now`: the lane's tally with this failure.
    """
    progress.doubt = doubt_after(progress.doubt, progress.tally, now, lane_down=lane_down)
    progress.tally = now
    progress.lane_failures += 1


def doubt_after(
    doubt: float, before: LaneTally | None, now: LaneTally, *, lane_down: bool
) -> float:
    """A job's doubt after a failure.

    `before`: the tally at its previous failure, None where there was none; `now`: with this one.
    Only those of one source compare. Nothing can be learned from a lane that is down.
    """
    if before is None or before.source != now.source or lane_down:
        return doubt
    # What came with the job may be ahead of what this process has counted: nothing is learned then.
    others = max(0, now.calls - before.calls - 1)
    failed = max(0, now.failures - before.failures - 1)
    return doubt if failed >= others else doubt * (failed + 1) / (others + 2)


def is_suspect(progress: JobProgress) -> bool:
    """Whether others were answered after it had failed: its failures say nothing of its lane."""
    return progress.doubt < _SUSPECT


def patience(progress: JobProgress) -> float:
    """How long a job leaves a broken lane's probes to others, from 0 to 1.

    Nothing is learned of a job while its lane is down, and a retry goes before who was never
    called: what has failed more often waits longer, else two that always fail would be the probes
    each time, and the lane would stay broken for ever.
    """
    if is_suspect(progress):
        return 1.0
    return min(1.0, max(0, progress.lane_failures - 1) / _MOST_FAILURES)


def is_poison(doubt: float, failures: int) -> bool:
    """Whether a job with no attempts left ends: chance does not explain what it met."""
    return doubt < _BEYOND_CHANCE or (doubt < _SUSPECT and failures >= _MOST_FAILURES)


def rest_after(failures: int, attempts: int) -> float:
    """Seconds between the calls of a job that has spent its attempts on its lane's failures.

    Few at first: where a third of all calls fail, the next is most likely answered, and a job that
    waited long would be the last of its topic. Then more: a lane that goes on failing is sick.
    """
    return min(_LONGEST_REST, _REST * max(1, failures - attempts + 1))
