"""A lane's gate: slowed once a wave, parked for one probe at a time, opened by an answer."""

from itertools import pairwise

import pytest

from tollway_schemas.failure import FailureClass
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.lanes.gate import LaneGate
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.state import LaneState

_PARKING = [c for c, row in FAILURE_TABLE.items() if row.next is Next.PARK_LANE]


def test_a_new_gate_is_open() -> None:
    gate = LaneGate()

    assert (gate.state, gate.wait(10_000, 0.0)) == (LaneState.OPEN, 0.0)


def test_a_wave_of_rate_limits_halves_the_lane_once() -> None:
    gate = LaneGate()
    for in_flight in (10, 9, 8, 7):
        gate.on_failure(FailureClass.RATE_LIMIT, 2.0, in_flight, now=0.0)

    assert gate.state is LaneState.SLOWED
    assert gate.wait(0, 0.0) == 2.0
    assert gate.wait(4, 2.0) == 0.0
    assert gate.wait(5, 2.0) is None


def test_a_lane_that_was_very_busy_starts_again_with_few_calls() -> None:
    gate = LaneGate()

    gate.on_failure(FailureClass.RATE_LIMIT, 1.0, 2_000, now=0.0)

    assert gate.wait(7, 1.0) == 0.0
    assert gate.wait(8, 1.0) is None


def test_each_answer_lets_one_more_call_through_until_the_bound_binds_no_longer() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.RATE_LIMIT, 1.0, 4, now=0.0)
    bounds = []
    while gate.state is LaneState.SLOWED:
        bounds.append(next(n for n in range(100) if gate.wait(n, 1.0) is None))
        gate.on_answer()
        gate.lift(10, bounds[-1])

    assert bounds == list(range(2, 10))
    assert gate.wait(10_000, 1.0) == 0.0


def test_a_lane_without_concurrency_is_lifted_too() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.RATE_LIMIT, 1.0, 4, now=0.0)

    for _ in range(30):
        gate.on_answer()
        gate.lift(None, 3)

    assert gate.state is LaneState.OPEN


def test_rate_limits_that_name_no_wait_pause_longer_each_time() -> None:
    gate, now, pauses = LaneGate(), 0.0, []
    for _ in range(8):
        gate.on_failure(FailureClass.RATE_LIMIT, None, 4, now)
        pause = gate.wait(0, now)
        assert pause is not None
        pauses.append(pause)
        now += pause

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_longest_wait_of_a_wave_holds() -> None:
    gate = LaneGate()
    for asked in (2.0, 9.0, 1.0, None):
        gate.on_failure(FailureClass.RATE_LIMIT, asked, 4, now=0.0)

    assert gate.wait(0, 0.0) == 9.0


@pytest.mark.parametrize("failure_class", _PARKING)
def test_a_parked_lane_lets_one_probe_through_at_growing_intervals(
    failure_class: FailureClass,
) -> None:
    gate, now, waits = LaneGate(), 0.0, []
    for _ in range(12):
        gate.on_failure(failure_class, None, 1, now)
        wait = gate.wait(0, now)
        assert wait is not None
        waits.append(wait)
        now += wait
        assert gate.wait(0, now) == 0.0
        assert gate.wait(1, now) is None

    assert (gate.state, gate.parked_by) == (LaneState.PARKED, failure_class)
    assert waits[0] == 1.0
    assert waits[-1] == 300.0
    assert all(a <= b for a, b in pairwise(waits))


def test_calls_that_were_in_flight_when_a_lane_was_parked_say_nothing_new() -> None:
    gate = LaneGate()

    for in_flight in range(50, 0, -1):
        gate.on_failure(FailureClass.AUTH, None, in_flight, now=0.0)

    assert gate.wait(0, 0.0) == 1.0


def test_a_probe_that_gets_through_opens_the_lane_and_forgets_the_past() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.AUTH, None, 1, now=0.0)
    gate.on_failure(FailureClass.AUTH, None, 1, now=1.0)

    gate.on_answer()
    opened = gate.state
    gate.on_failure(FailureClass.AUTH, None, 1, now=100.0)

    assert opened is LaneState.OPEN
    assert gate.wait(0, 100.0) == 1.0


def test_a_failure_that_is_the_job_s_own_proves_that_the_lane_lives() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.AUTH, None, 1, now=0.0)

    gate.on_failure(FailureClass.CONTENT_POLICY, None, 1, now=1.0)

    assert gate.state is LaneState.OPEN


@pytest.mark.parametrize(
    "failure_class", [c for c, row in FAILURE_TABLE.items() if row.lane_fault and not row.slow_lane]
)
def test_a_failure_of_the_lane_never_opens_a_parked_one(failure_class: FailureClass) -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.AUTH, None, 1, now=0.0)

    gate.on_failure(failure_class, None, 1, now=1.0)

    assert gate.state is LaneState.PARKED


@pytest.mark.parametrize(("asked", "state"), [(None, LaneState.OPEN), (0.0, LaneState.SLOWED)])
def test_an_overloaded_provider_slows_a_lane_only_where_it_asks_for_a_wait(
    asked: float | None, state: LaneState
) -> None:
    gate = LaneGate()

    gate.on_failure(FailureClass.OVERLOADED, asked, 20, now=10.0)

    assert gate.state is state
    assert (gate.wait(19, 10.0) == 0.0) is (asked is None)


@pytest.mark.parametrize("failure_class", [FailureClass.QUOTA_EXHAUSTED, FailureClass.RATE_LIMIT])
def test_a_provider_that_asks_for_a_long_wait_is_asked_again_by_one_call_every_few_minutes(
    failure_class: FailureClass,
) -> None:
    gate, now, waits = LaneGate(), 0.0, []
    for _ in range(3):
        gate.on_failure(failure_class, 86_400.0, 40, now)
        waits.append(gate.wait(0, now))
        now += 300.0
        assert (gate.wait(0, now), gate.wait(1, now)) == (0.0, None)

    gate.on_answer(now)

    assert waits == [300.0] * 3
    assert gate.wait(3, now) == 0.0
    assert gate.hold(now) is None


def test_a_call_that_began_before_the_refusal_opens_nothing_when_it_is_answered() -> None:
    parked, slowed = LaneGate(), LaneGate()
    parked.on_failure(FailureClass.AUTH, None, 2, now=10.0)
    slowed.on_failure(FailureClass.RATE_LIMIT, 86_400.0, 2, now=10.0)

    for gate in (parked, slowed):
        gate.on_answer(started=9.0)

    assert parked.state is LaneState.PARKED
    assert slowed.wait(1, 400.0) is None


def test_a_gate_tells_why_it_holds_since_when_and_until_when() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.AUTH, None, 1, 10.0, "the provider refused the key (HTTP 401)")
    gate.on_failure(FailureClass.QUOTA_EXHAUSTED, 7_200.0, 1, 11.0)

    hold = gate.hold(12.0)
    gate.on_answer(started=311.0)

    assert hold == Hold(
        reason="the account's quota or credit is used up",
        since=10.0,
        next_try=311.0,
        asked_until=7_211.0,
        state=LaneState.PARKED,
    )
    assert gate.hold(312.0) is None


def test_a_rate_limit_holds_until_an_answer_or_the_end_of_its_wait() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.RATE_LIMIT, 2.0, 4, 0.0)
    unanswered = gate.hold(60.0)
    gate.on_answer(started=-1.0)

    assert unanswered is not None
    assert gate.hold(1.9) is not None
    assert gate.hold(2.0) is None


def test_an_operator_opens_a_gate_whatever_was_said() -> None:
    gate = LaneGate()
    gate.on_failure(FailureClass.RATE_LIMIT, 86_400.0, 40, 0.0)
    gate.on_failure(FailureClass.AUTH, None, 40, 0.0)

    gate.reopen()

    assert (gate.state, gate.wait(10_000, 0.0), gate.hold(0.0)) == (LaneState.OPEN, 0.0, None)


NO_COMPLETION, WRONG_ADDRESS = FailureClass.NO_COMPLETION, FailureClass.MODEL_NOT_FOUND


def test_an_address_that_never_answered_is_doubted_at_once() -> None:
    gate = LaneGate()

    assert [gate.judge(NO_COMPLETION, "a"), gate.judge(NO_COMPLETION, "a")] == [WRONG_ADDRESS] * 2


def test_an_address_that_had_answered_is_doubted_after_three_jobs_in_a_row() -> None:
    gate = LaneGate()
    gate.on_answer()

    judged = [gate.judge(NO_COMPLETION, job) for job in "aabbabcde"]
    gate.on_answer()

    assert judged == [NO_COMPLETION] * 6 + [WRONG_ADDRESS] * 3
    assert gate.judge(NO_COMPLETION, "f") is NO_COMPLETION


def test_a_job_that_alone_gets_no_completion_is_charged_for_it() -> None:
    gate, judged = LaneGate(), []
    for other in range(10):
        gate.on_answer()
        judged.append(gate.judge(NO_COMPLETION, "poison"))
        gate.on_failure(FailureClass.INVALID_REQUEST, None, 1, now=float(other))

    assert judged == [NO_COMPLETION] * 10


@pytest.mark.parametrize("failure_class", [c for c in FailureClass if c is not NO_COMPLETION])
def test_no_other_failure_is_judged_by_the_lane_s_others(failure_class: FailureClass) -> None:
    gate = LaneGate()

    assert [gate.judge(failure_class, job) for job in "abcd"] == [failure_class] * 4
