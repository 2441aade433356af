"""What a fleet has to answer for whose provider was down for a time. Pure.

The provider's books say what was called, Kafka's topics what came of each job, and the workers'
heartbeats since when their lane was not open. Times are unix seconds of one machine.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from judge import ARRIVAL, Call, Ending

#: Part by which a breaker's pause may be shorter or longer.
JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one heartbeat says of a lane that is not open."""

    worker: str
    #: `slowed`, `broken`, `probing`, `parked`.
    state: str
    since: float
    #: When the heartbeat was written.
    at: float
    #: When it is tried again; none where that is now.
    next_try: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long a lane that does not answer is left alone: pauses that double."""

    first: float
    longest: float
    #: Calls that try it after each; a breaker makes one more before it opens again.
    probes: int = 1
    jitter: float = 0.0

    def tries(self, seconds: float) -> int:
        """Most calls that try it within so many seconds, the pauses as short as they may be."""
        return len(self._pauses(seconds)) * self.probes

    def _pauses(self, seconds: float) -> list[float]:
        ended: list[float] = []
        while sum(ended) + (pause := self._pause(len(ended) + 1) * (1.0 - self.jitter)) < seconds:
            ended.append(pause)
        return ended

    def _pause(self, number: int) -> float:
        return float(min(self.longest, self.first * 2.0 ** (number - 1)))


def trips(told: Iterable[Told], begin: float, end: float) -> dict[str, float]:
    """When each worker stopped calling in an outage; a worker that never did is not in it.

    One whose lane was left alone before it began, and after, had stopped then. One that was trying
    it again had not: a growing part of its calls went on until a heartbeat said that it broke.
    """
    found: dict[str, float] = {}
    before: dict[str, str] = {}
    for each in sorted(told, key=lambda each: each.at):
        if each.at < begin:
            before[each.worker] = each.state
        elif each.worker in found or each.since >= end or each.state not in ("broken", "parked"):
            continue
        elif each.since >= begin:
            found[each.worker] = each.since
        else:
            left_alone = before.get(each.worker) in ("broken", "parked")
            found[each.worker] = begin if left_alone else each.at
    return found


def last_pause(told: Iterable[Told], end: float) -> float:
    """Seconds from the outage's end until the last pause was over that a worker had to wait."""
    over = [
        each.next_try - end
        for each in told
        if each.next_try is not None and each.state in ("broken", "parked", "slowed")
    ]
    return max(0.0, max(over, default=0.0))


def after(calls: Iterable[Call], trip: float, end: float) -> list[Call]:
    """Calls that started when every worker had stopped, but for what was on its way."""
    return [call for call in calls if trip + ARRIVAL < call.started < end]


def in_flight(calls: Iterable[Call], at: float) -> int:
    """Calls that ran at a moment."""
    return sum(
        call.started <= at + ARRIVAL and (call.ended is None or call.ended > at) for call in calls
    )


def over_the_limit(calls: Iterable[Call]) -> list[Call]:
    """Calls that the provider refused because there were too many, and not by script."""
    return [call for call in calls if call.ending == "429" and call.fault is None]


def not_answered_once(jobs: Collection[str], replies: Iterable[Ending]) -> Counter[str]:
    """Jobs that have no reply (0), or more than one."""
    counts = Counter(reply.job_id for reply in replies)
    return Counter({job: counts[job] for job in {*jobs, *counts} if counts[job] != 1})


def unanswered(jobs: Collection[str], replies: Iterable[Ending], at: float) -> set[str]:
    """Jobs that had no answer at a moment."""
    return set(jobs) - {
        reply.job_id for reply in replies if reply.at <= at and reply.status == "completed"
    }


def drained(jobs: Collection[str], replies: Sequence[Ending], since: float) -> float:
    """Seconds from then until the last of these jobs had its answer; for ever where one has none.

    Nothing where all had theirs before.
    """
    at = {reply.job_id: reply.at for reply in replies if reply.status == "completed"}
    if any(job not in at for job in jobs):
        return float("inf")
    return max(0.0, max((at[job] for job in jobs), default=since) - since)
