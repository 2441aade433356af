"""A job is called only where an answer could be one that it accepts."""

from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.config.shape.rungs import rungs_of, rungs_of_lane
from tollway_workers.forwarding.routing import towards
from tollway_workers.job.accepted import accepted, may_stand_in_at_last
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.outcome import Decision, StandIn
from tollway_workers.job.progress import JobProgress


def has_an_acceptable_rung(job: JobProgress, now: float) -> Decision | None:
    """A dead letter where no rung of its route is accepted. Where none of its lane is, it goes to a
    lane that has one, or to a stand-in: no call is paid for in vain.
    """
    route = job.route
    if route.accept is None and job.job.accept is None:
        return None
    wanted = accepted(job)
    if rungs_of_lane(route, job.lane) & wanted:
        return None
    for lane in route.lanes:
        if rungs_of_lane(route, lane) & wanted:
            return towards(job, lane, "accept")
    if may_stand_in_at_last(job):
        return StandIn(invalid_job(_nothing_stands_in(route)))
    return invalid_job(_none_of(job))


def _nothing_stands_in(route: RouteSettings) -> str:
    asked = [name for name, has in (("cache", route.cache.exact), ("rule", route.rule)) if has]
    have = "has no answer" if len(asked) == 1 else "have no answer"
    return f"accept: the route's {' and '.join(asked)} {have}, and nothing else will"


def _none_of(job: JobProgress) -> str:
    has = rungs_of(job.route)
    given = ", ".join(each.value for each in Provenance if each in has)
    return f"accept: nothing that route {job.job.route} can give is accepted ({given})"
