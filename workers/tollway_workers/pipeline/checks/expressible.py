"""A job is called only where the lane's protocol has words for all that it asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_schemas.failure import Failure, FailureClass
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.job.outcome import DeadLettered, Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.ladder import given_up
from tollway_workers.pipeline.admit import Admission
from tollway_workers.providers.protocols import wire_format

_NONE: frozenset[str] = frozenset()
#: Of a failure, whose schema bounds them.
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Expressible:
    """A job goes to the first lane that can say it, or is a dead letter: nothing that it asks is
    dropped. Lanes that cannot are no rungs for it (`lanes/ladder.py`).
    """

    admissions: Mapping[str, Admission]

    def __call__(self, job: JobProgress, now: float) -> Decision | None:
        """See `Check`. The first time, it notes on the job which lanes of its route cannot."""
        if job.unfit is None:
            lanes = {job.lane, *job.route.lanes} & self.admissions.keys()
            job.unfit = frozenset(name for name in lanes if self._unsupported(job, name)) or _NONE
        if job.lane not in job.unfit:
            return None
        config = self.admissions[job.lane].lane
        return given_up(job, _invalid(config, self._unsupported(job, job.lane)))

    def _unsupported(self, job: JobProgress, lane: str) -> tuple[str, ...]:
        config = self.admissions[lane].lane
        return wire_format(config.protocol).unsupported(job.job.request, job.job.output, config)


def _invalid(lane: LaneConfig, problems: tuple[str, ...]) -> DeadLettered:
    message = (
        f"the job asks for what protocol {lane.protocol} cannot say: ask without it, or name a "
        "lane in its route that can"
    )
    failure = Failure(
        failure_class=FailureClass.INVALID_REQUEST,
        message=message,
        lane=lane.name,
        problems=problems[:_MOST_PROBLEMS],
    )
    return DeadLettered(failure, problems[0])
