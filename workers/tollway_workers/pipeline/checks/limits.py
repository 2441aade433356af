"""A call that is larger than its lane ever lets through would wait for ever."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_workers.job.endings import beyond_limits
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.ladder import given_up
from tollway_workers.pipeline.admit import Admission


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """A job beyond its lane's limits goes to the next lane, or is a dead letter. An uncounted
    prompt is within them.
    """

    admissions: Mapping[str, Admission]

    def __call__(self, job: JobProgress, now: float) -> Decision | None:
        """See `Check`."""
        why = self.admissions[job.lane].never(job)
        return None if why is None else given_up(job, beyond_limits(why, job.lane))
