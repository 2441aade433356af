"""A lane that fails is called no more, is tried by few, and comes back by degrees."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.lanes.breaker import Breaker, BreakerCall, BreakerState

_SICK = FailureClass.TRANSIENT


def breaker(**settings: float) -> Breaker:
    return Breaker(BreakerSettings.model_validate(settings), Random(1))


def next_try(subject: Breaker) -> float:
    """When a breaker that has just opened lets a probe through."""
    hold = subject.hold(1.0)
    assert hold is not None
    return hold.next_try


def fail(subject: Breaker, times: int, now: float, *, jobs: int = 100) -> None:
    for number in range(times):
        subject.failed(subject.start(now), _SICK, f"job-{number % jobs}", now)


def answer(subject: Breaker, times: int, now: float) -> None:
    for _ in range(times):
        subject.answered(subject.start(now), now)


def test_half_of_the_calls_failing_breaks_a_lane_and_says_why() -> None:
    subject = breaker()
    answer(subject, 20, 0.0)
    fail(subject, 19, 1.0)
    before = subject.state(1.0)
    fail(subject, 1, 1.0)

    assert (before, subject.state(1.0)) == (BreakerState.CLOSED, BreakerState.OPEN)
    assert subject.reason == "20 of 40 calls failed in 30 s, mostly transient"


def test_few_calls_break_a_lane_by_failures_in_a_row_of_two_jobs() -> None:
    one_job, two_jobs = breaker(), breaker()

    fail(one_job, 9, 0.0, jobs=1)
    fail(two_jobs, 5, 0.0, jobs=2)

    assert one_job.state(0.0) is BreakerState.CLOSED
    assert two_jobs.state(0.0) is BreakerState.OPEN
    assert two_jobs.reason == "5 calls in a row failed"


def test_good_calls_of_the_window_do_not_hide_that_none_is_answered_any_more() -> None:
    at_once, slowed_down = breaker(), breaker()
    for subject in (at_once, slowed_down):
        answer(subject, 1_000, 0.0)

    fail(at_once, 19, 0.1)
    before = at_once.state(0.1)
    fail(at_once, 1, 0.1)
    fail(slowed_down, 4, 0.1)
    fail(slowed_down, 14, 2.9)
    fast = slowed_down.state(2.9)
    fail(slowed_down, 1, 3.0)

    assert (before, fast) == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert at_once.state(0.1) is BreakerState.OPEN
    assert slowed_down.state(3.0) is BreakerState.OPEN
    assert slowed_down.reason == "19 calls in a row failed"


def test_what_left_the_window_says_nothing() -> None:
    subject = breaker(failures_in_row=1000)
    fail(subject, 19, 0.0)
    fail(subject, 19, 31.0)

    assert subject.state(31.0) is BreakerState.CLOSED


def test_calls_without_a_first_token_break_a_lane_before_they_end() -> None:
    subject = breaker()
    calls = [subject.start(0.0) for _ in range(20)]

    for call in calls:
        subject.slow(call, 10.0)
        subject.slow(call, 10.0)

    assert subject.state(10.0) is BreakerState.OPEN
    assert subject.reason == "20 of 20 calls were slow in 30 s"


def test_a_slow_call_that_is_answered_counts_once() -> None:
    subject = breaker(slow_ratio=1.0)
    answer(subject, 5, 0.0)
    for _ in range(20):
        call = subject.start(0.0)
        subject.slow(call, 10.0)
        subject.answered(call, 20.0)

    assert subject.state(20.0) is BreakerState.CLOSED


def test_one_failed_probe_more_than_answered_may_be_chance() -> None:
    flaky, down = breaker(), breaker()
    for subject in (flaky, down):
        fail(subject, 10, 0.0)
    now = max(next_try(flaky), next_try(down))

    fail(flaky, 1, now)
    answer(flaky, 1, now)
    fail(flaky, 1, now)
    answer(flaky, 2, now)
    fail(down, 1, now)
    first = down.state(now)
    fail(down, 1, now)

    assert flaky.state(now) is BreakerState.RAMPING
    assert (first, down.state(now)) == (BreakerState.HALF_OPEN, BreakerState.OPEN)


def test_pauses_grow_and_are_no_longer_than_the_longest() -> None:
    subject, now, pauses = breaker(), 0.0, []
    fail(subject, 10, now)
    for _ in range(8):
        wait = subject.wait(now)
        assert wait is not None
        pauses.append(wait)
        now += wait
        fail(subject, 2, now)

    assert [round(pause / 5.0) for pause in pauses[:3]] == [1, 2, 4]
    assert all(0.8 * 5 <= pause <= 1.2 * 120 for pause in pauses)


def test_a_provider_that_asks_to_be_left_alone_is_tried_no_sooner() -> None:
    subject = breaker()
    fail(subject, 4, 0.0)
    subject.failed(subject.start(0.0), FailureClass.OVERLOADED, "job", 0.0, retry_after=60.0)

    assert subject.wait(0.0) == 60.0


def test_one_probe_at_a_time_and_three_answers_bring_a_lane_back_by_degrees() -> None:
    subject = breaker()
    busy = [subject.start(0.0) for _ in range(40)]
    for number, call in enumerate(busy):
        subject.failed(call, _SICK, f"job-{number}", 0.0)
    now = next_try(subject)

    probe = subject.start(now)
    beside = subject.wait(now)
    subject.answered(probe, now)
    answer(subject, 2, now)

    assert beside is None
    assert subject.state(now) is BreakerState.RAMPING
    most = [subject.most_calls(now + seconds) for seconds in (0.0, 4.0, 8.0)]
    assert most == [4.0, 10.0, 20.0]
    assert subject.state(now + 12.0) is BreakerState.CLOSED


def test_a_lane_at_its_part_of_the_ramp_waits_for_the_next_step() -> None:
    subject = breaker()
    for number, call in enumerate([subject.start(0.0) for _ in range(20)]):
        subject.failed(call, _SICK, f"job-{number}", 0.0)
    now = next_try(subject)
    answer(subject, 3, now)

    running = [subject.start(now) for _ in range(2)]

    assert subject.wait(now + 1.0) == pytest.approx(3.0)
    subject.answered(running[0], now + 1.0)
    assert subject.wait(now + 1.0) == 0.0


def test_what_was_in_flight_when_a_lane_broke_neither_closes_nor_breaks_it() -> None:
    subject = breaker()
    old = [subject.start(0.0) for _ in range(30)]
    fail(subject, 10, 1.0)
    now = next_try(subject)
    for call in old[:15]:
        subject.answered(call, now)
    still = subject.state(now)
    answer(subject, 3, now)
    for number, call in enumerate(old[15:]):
        subject.failed(call, _SICK, f"late-{number}", now)

    assert (still, subject.state(now)) == (BreakerState.HALF_OPEN, BreakerState.RAMPING)


def test_an_operator_breaks_a_lane_and_closes_it() -> None:
    subject = breaker()

    subject.force_open(60.0, 0.0)
    broken = subject.state(0.0), subject.reason
    subject.close(1.0)

    assert broken == (BreakerState.OPEN, "an operator broke it")
    assert (subject.state(1.0), subject.wait(1.0)) == (BreakerState.CLOSED, 0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "answer", "fail", "slow", "ignore"]),
        st.floats(0.0, 20.0),
        st.integers(0, 30),
    ),
    max_size=200,
)


@given(STEPS, st.integers(1, 3))
def test_no_history_leaves_a_healthy_lane_closed_out_or_lets_more_probes_in(
    steps: list[tuple[str, float, int]], probes: int
) -> None:
    life = _Life(breaker(probes=probes), probes)
    for what, seconds, which in steps:
        life.step(what, seconds, which)
    for call in life.running:
        life.subject.answered(call, life.now)

    # From here on the lane is sound: it is closed again within a few pauses.
    for _ in range(100):
        life.now += life.subject.wait(life.now) or 1.0
        if life.subject.wait(life.now) == 0.0:
            answer(life.subject, 1, life.now)
    assert life.subject.state(life.now) is BreakerState.CLOSED


class _Life:
    """A breaker, and the calls that run."""

    def __init__(self, subject: Breaker, probes: int) -> None:
        self.subject, self.probes, self.now = subject, probes, 0.0
        self.running: list[BreakerCall] = []
        self.trying: set[BreakerCall] = set()

    def step(self, what: str, seconds: float, which: int) -> None:
        self.now += seconds
        if what == "start":
            self.start()
        elif self.running:
            self.end(what, self.running[which % len(self.running)], which)

    def start(self) -> None:
        if self.subject.wait(self.now) != 0.0:
            return
        call = self.subject.start(self.now)
        self.running.append(call)
        if self.subject.take_opened():
            # Probes of earlier times may run for longer.
            self.trying.clear()
        if call.probe:
            self.trying.add(call)
            assert len(self.trying.intersection(self.running)) <= self.probes

    def end(self, what: str, call: BreakerCall, which: int) -> None:
        if what == "slow":
            self.subject.slow(call, self.now)
            return
        self.running.remove(call)
        if what == "answer":
            self.subject.answered(call, self.now)
        elif what == "fail":
            self.subject.failed(call, _SICK, f"job-{which}", self.now)
        else:
            self.subject.ignored(call, self.now)
