"""What a permit tells of its lane: the breaker, the evidence, and the lanes of one account."""

import pytest
from manual_clock import ManualClock
from samples import admission_of, job, lane, progress

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.state import LaneState
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.unpaid import Wait

F = FailureClass
_NO = ProviderFailure(failure_class=F.TRANSIENT, message="no", status=500)


def opened(clock: ManualClock, name: str = "main") -> Admission:
    return admission_of(lane(name, concurrency=100), clock)


def start(admission: Admission, subject: JobProgress | None = None) -> Permit:
    permit = admission.admit(subject or progress())
    assert isinstance(permit, Permit)
    return permit


def fail(admission: Admission, subject: JobProgress, failure: ProviderFailure = _NO) -> None:
    with start(admission, subject) as permit:
        permit.failed(failure, subject, permit.since, "it is so")


def answer(admission: Admission, times: int = 1) -> None:
    for _ in range(times):
        with start(admission) as permit:
            permit.answered(permit.since)


def broken(clock: ManualClock) -> Admission:
    admission = opened(clock)
    for number in range(5):
        fail(admission, progress(job(f"job-{number}")))
    return admission


def test_a_lane_whose_calls_fail_starts_none_until_its_pause_is_over() -> None:
    clock = ManualClock()
    admission = broken(clock)
    wait, hold = admission.admit(progress()), admission.hold
    state = admission.state
    assert isinstance(wait, Wait)
    assert wait.seconds is not None
    clock.advance(wait.seconds)

    permit = start(admission)

    assert (state, admission.state) == (LaneState.BROKEN, LaneState.PROBING)
    assert hold is not None
    assert hold.reason == "5 calls in a row failed"
    permit.release()


@pytest.mark.parametrize(
    "failure_class",
    [F.RATE_LIMIT, F.CONTEXT_LENGTH, F.INVALID_REQUEST, F.TRUNCATED],
)
def test_what_is_no_fault_of_the_lane_does_not_break_it(failure_class: FailureClass) -> None:
    clock = ManualClock()
    admission = opened(clock)

    for number in range(30):
        fail(
            admission,
            progress(job(f"job-{number}")),
            ProviderFailure(failure_class=failure_class, message="no", retry_after=0.0),
        )
        clock.advance(60.0)

    assert admission.breaker.hold(clock.monotonic()) is None


def test_a_job_that_fails_among_others_answers_is_a_suspect_and_breaks_no_lane() -> None:
    admission = opened(ManualClock())
    poison = progress(job("poison"))
    for _ in range(3):
        fail(admission, poison)
        answer(admission, 4)
    suspected = poison.doubt

    for _ in range(30):
        fail(admission, poison)
        fail(admission, progress(job("other")))
        answer(admission, 1)

    assert suspected < 0.5
    assert admission.state is LaneState.OPEN


def test_a_suspect_leaves_the_first_probes_to_others() -> None:
    clock = ManualClock()
    admission = broken(clock)
    suspect = progress(job("suspect"))
    suspect.doubt = 0.1
    hold = admission.hold
    assert hold is not None
    clock.advance(hold.next_try - clock.monotonic())

    passed_over = admission.admit(suspect)
    assert isinstance(passed_over, Wait)
    assert passed_over.seconds is not None
    clock.advance(passed_over.seconds)

    assert passed_over.passed_over
    assert isinstance(admission.admit(suspect), Permit)


def test_a_refused_key_parks_all_lanes_of_its_account_and_one_probe_opens_them() -> None:
    clock = ManualClock()
    one, two, other = opened(clock, "one"), opened(clock, "two"), opened(clock, "other")
    one.siblings, two.siblings = [two], [one]
    refused = ProviderFailure(failure_class=F.AUTH, message="no", status=401, scope=ErrorScope.KEY)
    fail(one, progress(), refused)
    parked = [each.state for each in (one, two, other)]
    clock.advance(1.0)

    answer(two)

    assert parked == [LaneState.PARKED, LaneState.PARKED, LaneState.OPEN]
    assert [each.state for each in (one, two)] == [LaneState.OPEN, LaneState.OPEN]
    assert (two.take_freed(), two.take_freed()) == (True, False)
    assert isinstance(one.admit(progress()), Permit)


def test_an_unknown_model_parks_its_own_lane_alone() -> None:
    clock = ManualClock()
    one, two = opened(clock, "one"), opened(clock, "two")
    one.siblings = [two]

    fail(
        one,
        progress(),
        ProviderFailure(failure_class=F.MODEL_NOT_FOUND, message="no", scope=ErrorScope.MODEL),
    )

    assert [each.state for each in (one, two)] == [LaneState.PARKED, LaneState.OPEN]
