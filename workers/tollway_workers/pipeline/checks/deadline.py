"""No call starts after a job's deadline, and no deadline is further away than any job's may be."""

from tollway_schemas.job import LONGEST_DEADLINE
from tollway_workers.job.endings import invalid_job
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.decide import out_of_time

#: Seconds that a deadline may be away, where the clock of who wrote it is 5 minutes ahead of ours.
_LONGEST = LONGEST_DEADLINE.total_seconds() + 300.0


def has_a_deadline_ahead(job: JobProgress, now: float) -> Decision | None:
    """A failure reply once it has passed, a dead letter where it is too far away."""
    if job.deadline <= now:
        return out_of_time(job)
    if job.deadline > now + _LONGEST:
        return invalid_job(f"deadline: is more than {LONGEST_DEADLINE} away, the longest allowed")
    return None
