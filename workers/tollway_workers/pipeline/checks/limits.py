"""A call that is larger than its lane ever lets through would wait for ever."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_workers.job.endings import beyond_limits
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Admission


@dataclass(frozen=True, slots=True)
class WithinLimits:
    """A dead letter for a job beyond its lane's limits. An uncounted prompt is within them."""

    admissions: Mapping[str, Admission]

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`."""
        why = self.admissions[job.lane].never(job)
        return None if why is None else beyond_limits(why, job.lane)
