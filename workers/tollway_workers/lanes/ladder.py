"""The degradation ladder: where a job goes that its lane does not answer. Pure.

Down by one rung at a time: to another lane of its route, to an answer past its age, to the route's
rule, and else it waits as lag. There is no loop: a job comes to each lane once, and returns to one
of them at most once, so it is forwarded as often as its route has lanes at most.
"""

from collections.abc import Callable
from enum import Enum

from tollway_workers.config.shape.route import DEFAULT_MAX_ATTEMPTS, Fallback
from tollway_workers.config.shape.rungs import rungs_of_lane
from tollway_workers.job.accepted import accepted, may_stand_in, may_stand_in_at_last
from tollway_workers.job.outcome import (
    DeadLettered,
    Decision,
    Failed,
    Forwarded,
    RetryLater,
    StandIn,
)
from tollway_workers.job.progress import MOST_HOPS, JobProgress

#: Seconds before a job's deadline, besides those that its rule may take, at which a job that leaves
#: late asks it: until then its lane may still answer.
RULE_MARGIN = 2.0


class Capacity(Enum):
    """What another lane has left for one job more."""

    FREE = "it may go there now"
    SOON = "the lane has a free rate, of which nothing is left at the moment"
    NONE = "the lane is not served, lets nothing through, or is busy"


def fallback_of(progress: JobProgress) -> Fallback:
    """When it may leave its lane."""
    given = progress.route.fallback
    if given != "auto":
        return given
    return "eager" if progress.interactive else "late"


def may_leave(progress: JobProgress, *, down: bool, turn: float) -> bool:
    """Whether a job that waits may go a rung down.

    `down`: whether its lane is broken or parked; `turn`: when the job would be called, in seconds
    since 1970, if the lane recovered now.
    """
    match fallback_of(progress):
        case "eager":
            return down
        case "late":
            return turn > progress.deadline
        case _:
            return False


def leaves_at_once(progress: JobProgress) -> bool:
    """Whether it goes a rung down as soon as its lane is broken or parked."""
    if fallback_of(progress) != "eager":
        return False
    return bool(lanes_to_go(progress)) or may_stand_in(progress)


def rung_below(
    progress: JobProgress, spare: Callable[[str], Capacity], now: float
) -> Forwarded | StandIn | None:
    """Where a job goes that may leave its lane; None where it waits. `spare`: of another lane."""
    waits = False
    for lane in lanes_to_go(progress):
        match spare(lane):
            case Capacity.FREE:
                return Forwarded(lane, "fallback")
            case Capacity.SOON:
                waits = True
            case Capacity.NONE:
                pass
    if waits or not may_stand_in(progress) or not _is_time_for_rule(progress, now):
        return None
    return StandIn(RetryLater(0.0, behind=True))


def lanes_to_go(progress: JobProgress) -> list[str]:
    """The lanes that a job may leave for: those that are new to it, then those it may return to."""
    been = [visit.lane for visit in progress.job.visits]
    new = untried(progress)
    if progress.job.hops >= MOST_HOPS or progress.lane in been or len(set(been)) < len(been):
        # It has returned once.
        return new
    back = [lane for lane in progress.route.lanes if lane in been and _suits(progress, lane)]
    return new + back


def untried(progress: JobProgress) -> list[str]:
    """The lanes still ahead of a job: it was on none of them, and takes their answers."""
    job, route = progress.job, progress.route
    if len(route.lanes) == 1 or job.hops >= MOST_HOPS:
        return []
    been = {progress.lane, *(visit.lane for visit in job.visits)}
    return [lane for lane in route.lanes if lane not in been and _suits(progress, lane)]


def attempts_here(progress: JobProgress) -> int:
    """The charged attempts that it may have spent when it leaves this lane: one is kept for each
    lane that is still ahead.
    """
    most = progress.route.retry.max_attempts or DEFAULT_MAX_ATTEMPTS
    return max(1, most - len(untried(progress)))


def given_up(progress: JobProgress, ending: DeadLettered) -> Decision:
    """In place of a dead letter for a failure that another lane would not repeat: the next lane,
    once and whatever its state; with none left the rungs below the lanes are asked.
    """
    ahead = untried(progress)
    if ahead:
        return Forwarded(ahead[0], ending.failure.failure_class.value)
    return at_last(progress, ending)


def at_last(progress: JobProgress, ending: DeadLettered | Failed | Forwarded) -> Decision:
    """In place of an ending without an answer: what stands in for one, where it may."""
    return StandIn(ending) if may_stand_in_at_last(progress) else ending


def _suits(progress: JobProgress, lane: str) -> bool:
    """Whether it can be asked there, and takes answers of this lane."""
    if progress.unfit and lane in progress.unfit:
        return False
    return not accepted(progress).isdisjoint(rungs_of_lane(progress.route, lane))


def _is_time_for_rule(progress: JobProgress, now: float) -> bool:
    if fallback_of(progress) == "eager":
        return True
    return progress.deadline - now <= progress.route.rule_timeout + RULE_MARGIN
