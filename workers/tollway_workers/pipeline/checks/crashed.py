"""A job that ran alone in several worker processes when they died is what ended them."""

from tollway_workers.job.endings import crashed
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress


def has_crashed_workers(job: JobProgress, now: float) -> Outcome | None:
    """A dead letter, where the commits of its partition name it at two deaths."""
    return crashed(job.record.deaths) if job.record.kills else None
