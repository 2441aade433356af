"""A job goes where its route says: a lane that is in no route any more is called by nobody."""

from collections.abc import Mapping

from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.forwarding.routing import towards, unknown_route
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress


class LaneServed:
    """Sends a job on from a retired lane; a dead letter where the route itself is gone."""

    def __init__(self, routes: Mapping[str, RouteSettings]) -> None:
        self._routes = routes
        self._served = {lane for route in routes.values() for lane in route.lanes}

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`."""
        route = self._routes.get(job.job.route)
        if route is None:
            return unknown_route(job)
        if job.lane not in self._served:
            return towards(job, route.lanes[0], "retired")
        return None
