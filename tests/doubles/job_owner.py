"""Whose jobs a dispatcher holds, in a test: it keeps what it is told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.lookup import Following


@dataclass(slots=True)
class JobOwnerDouble:
    """Every job may start, unless `may` says otherwise; nothing is known of any but `known`."""

    may: Callable[[JobProgress], bool] = lambda job: True
    known: Callable[[JobProgress], Decision | Following | None] = lambda job: None
    started: list[tuple[JobProgress, Permit]] = field(default_factory=list)
    ended: list[tuple[JobProgress, Decision]] = field(default_factory=list)
    dropped: list[JobProgress] = field(default_factory=list)

    def look(self, job: JobProgress) -> Decision | Following | None:
        """See `JobOwner`."""
        return self.known(job)

    def may_start(self, job: JobProgress) -> bool:
        """See `JobOwner`."""
        return self.may(job)

    def start(self, job: JobProgress, permit: Permit) -> None:
        """See `JobOwner`."""
        self.started.append((job, permit))

    def end(self, job: JobProgress, outcome: Decision) -> None:
        """See `JobOwner`."""
        self.ended.append((job, outcome))

    def drop(self, job: JobProgress) -> None:
        """See `JobOwner`."""
        self.dropped.append(job)

    def count_ahead(self, lane: str) -> None:
        """See `JobOwner`."""
