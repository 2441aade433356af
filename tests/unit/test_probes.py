"""Which jobs are a broken lane's probes: those that failed least often, not the same ones again."""

from dispatcher_desk import Desk, waiting
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Permit

_SICK = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)
_OUTAGE, _ALL = 20, 300
_GOOD = {f"good-{number}" for number in range(9)}


def test_jobs_that_always_fail_keep_no_lane_broken_that_is_well_again() -> None:
    desk = Desk(lane(concurrency=4))
    desk.offer(*(waiting(f"poison-{n}") for n in range(4)), *map(waiting, sorted(_GOOD)))
    answered: set[str] = set()

    for second in range(_ALL):
        for job, permit in [each for each in desk.owner.started if each[1]._open]:
            if second < _OUTAGE or job.job.id not in _GOOD:
                _fail(desk, job, permit)
            else:
                permit.answered(desk.clock.monotonic())
                permit.release()
                answered.add(job.job.id)
        desk.dispatcher.pump("main")
        desk.clock.advance(1.0)

    assert answered == _GOOD


def test_a_suspect_that_is_alone_is_a_probe_two_seconds_later() -> None:
    desk = Desk(lane(concurrency=4))
    desk.admission.break_lane(5.0)
    alone = waiting("alone")
    alone.doubt, alone.lane_failures = 0.1, 20
    desk.offer(alone)

    desk.clock.advance(5.0)
    at_first = list(desk.order)
    desk.clock.advance(2.0)

    assert (at_first, desk.order) == ([], ["alone"])


def _fail(desk: Desk, job: JobProgress, permit: Permit) -> None:
    permit.failed(_SICK, job, desk.clock.monotonic(), "no")
    permit.release()
    # A retry goes before who was never called.
    desk.dispatcher.retry(job, 0.0)
