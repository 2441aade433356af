"""A dispatcher with one lane, what it did, and jobs that wait for it."""

from dataclasses import dataclass, field

from job_owner import JobOwnerDouble
from manual_clock import ManualClock
from samples import NOW, admission_of, job, progress

from tollway_schemas.job import Priority
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.checks.deadline import has_a_deadline_ahead
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import Fairness


@dataclass
class Desk:
    """A dispatcher with one lane, and what it did."""

    config: LaneConfig
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    barred: set[str] = field(default_factory=set)
    fairness: Fairness = field(default_factory=Fairness)

    def __post_init__(self) -> None:
        self.admission = admission_of(self.config, self.clock)
        self.owner = JobOwnerDouble(
            may=lambda each: each.job.id not in self.barred,
            known=lambda each: has_a_deadline_ahead(each, self.clock.now()),
        )
        self.dispatcher = Dispatcher(
            {"main": self.admission},
            self.clock,
            self.owner,
            self.fairness,
        )

    def offer(self, *waiting: JobProgress) -> None:
        for each in waiting:
            self.dispatcher.offer(each)
        self.dispatcher.pump("main")

    def end(self) -> None:
        """The oldest call ends."""
        next(permit for _, permit in self.started if permit._open).release()
        self.dispatcher.pump("main")

    @property
    def started(self) -> list[tuple[str, Permit]]:
        return [(each.job.id, permit) for each, permit in self.owner.started]

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.started]

    @property
    def forgotten(self) -> list[str]:
        return [each.job.id for each in self.owner.dropped]

    @property
    def expired(self) -> list[str]:
        return [each.job.id for each, _ in self.owner.ended]


def waiting(
    name: str,
    priority: Priority = Priority.BULK,
    *,
    seconds: float = 600,
    tenant: str | None = None,
) -> JobProgress:
    return progress(job(name, priority=priority, seconds=seconds, tenant=tenant))
