"""The next lane of a job that is forwarded. Pure."""

from tollway_schemas.failure import Failure, FailureClass
from tollway_workers.job.outcome import DeadLettered, Forwarded
from tollway_workers.job.progress import MOST_HOPS, JobProgress


def towards(progress: JobProgress, lane: str, reason: str) -> Forwarded | DeadLettered:
    """Forward to another lane; a dead letter after `MOST_HOPS` forwards."""
    if progress.job.hops < MOST_HOPS:
        return Forwarded(lane, reason, progress.not_before)
    return DeadLettered(
        Failure(
            failure_class=FailureClass.HOPS_EXHAUSTED,
            message=f"the job was forwarded {progress.job.hops} times, the most that are allowed, "
            "and no lane called it: see whether routes and lanes differ between workers",
            lane=progress.lane,
        )
    )


def unknown_route(progress: JobProgress) -> DeadLettered:
    """A dead letter: no configured route can answer the job."""
    return DeadLettered(
        Failure(
            failure_class=FailureClass.UNKNOWN_ROUTE,
            message=f"the job's route {progress.job.route!r} is not in the configuration any more",
            lane=progress.lane,
        )
    )
