"""What an operator cancelled is not called."""

from dataclasses import dataclass

from tollway_workers.job.endings import cancelled
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.operators.commands import Commands


@dataclass(frozen=True, slots=True)
class NotCancelled:
    """A failure reply for a job that a command in force covers."""

    commands: Commands

    def __call__(self, job: JobProgress, now: float) -> Outcome | None:
        """See `Check`."""
        return cancelled(job.lane) if self.commands.is_cancelled(job, now) else None
