"""Leave to call: all or nothing, given back on every path."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from manual_clock import ManualClock
from samples import admission_of, job, lane, progress

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.profiles import PROFILES, ProfileName
from tollway_workers.lanes.state import LaneState
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.unpaid import Wait
from tollway_workers.providers.rate_headers import RateHeaders

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def opened(**limits: Any) -> tuple[Admission, ManualClock]:
    clock = ManualClock()
    return admission_of(lane(**limits), clock), clock


def permit_of(admission: Admission) -> Permit:
    permit = admission.admit(progress())
    assert isinstance(permit, Permit)
    return permit


def wait_of(admission: Admission) -> float | None:
    wait = admission.admit(progress())
    assert isinstance(wait, Wait)
    return wait.seconds


def test_no_more_calls_are_in_flight_than_the_lane_allows() -> None:
    admission, _ = opened(concurrency=2)
    first, _second = permit_of(admission), permit_of(admission)

    refused = wait_of(admission)
    first.release()

    assert refused is None
    assert isinstance(admission.admit(progress()), Permit)


def test_a_permit_given_back_twice_counts_once() -> None:
    admission, _ = opened(concurrency=2)
    permit_of(admission)
    permit = permit_of(admission)

    permit.release()
    permit.release()

    assert admission.in_flight == 1


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
def test_a_permit_comes_back_however_its_call_ends(error: type[BaseException]) -> None:
    admission, _ = opened(concurrency=1)

    with pytest.raises(error), permit_of(admission):
        raise error

    assert admission.in_flight == 0


def test_what_is_refused_reserves_nothing() -> None:
    admission, clock = opened(requests_per_minute=60, tokens_per_minute=60_000, burst=1.0)
    permit_of(admission)
    waits = [wait_of(admission) for _ in range(50)]
    assert waits[0] is not None

    clock.advance(waits[0])

    assert set(waits) == {waits[0]}
    assert isinstance(admission.admit(progress()), Permit)


def test_a_closed_gate_says_how_long_and_takes_no_rate() -> None:
    admission, clock = opened(requests_per_minute=60, burst=1.0)
    admission.on_failure(FailureClass.RATE_LIMIT, 7.0, 0.0)

    waits = [wait_of(admission) for _ in range(3)]
    clock.advance(7.0)

    assert waits == [7.0, 7.0, 7.0]
    assert isinstance(admission.admit(progress()), Permit)


def test_tokens_are_estimated_once_for_each_request_a_job_makes() -> None:
    admission, _ = opened(tokens_per_minute=1e6)
    subject = progress(job())
    permit = admission.admit(subject)
    first = subject.cost

    subject.ask(subject.request.model_copy(update={"max_output_tokens": 9_000}), reasking=False)
    between = subject.cost
    admission.admit(subject)

    assert isinstance(permit, Permit)
    assert first is permit.cost
    assert between is None
    assert subject.cost is not None
    assert subject.cost.tokens == 9_000


def test_a_lane_without_token_limit_estimates_nothing() -> None:
    admission, _ = opened(concurrency=1)

    assert permit_of(admission).cost.tokens == 0


def test_settling_owes_what_was_underestimated() -> None:
    admission, _ = opened(tokens_per_minute=60_000, burst=1.0)
    permit = permit_of(admission)

    permit.settle(Usage(input_total=50_000, output_total=5_000))

    assert wait_of(admission) is not None


def test_prompt_tokens_from_a_cache_owe_nothing_where_the_provider_does_not_count_them() -> None:
    """Anthropic's limit of prompt tokens leaves out what its cache is read for."""
    waits = {}
    names: tuple[ProfileName, ...] = ("anthropic", "openai")
    for name in names:
        limits = {"input_tokens_per_minute": 60_000, "burst": 1.0}
        admission, _ = opened(**limits, token_rule="input", profile=PROFILES[name])
        permit = permit_of(admission)
        permit.settle(Usage(input_total=50_000, input_cached_read=49_990, output_total=5))
        waits[name] = isinstance(admission.admit(progress()), Wait)

    assert waits == {"anthropic": False, "openai": True}


def test_an_answer_opens_what_a_failure_closed() -> None:
    admission, _ = opened(concurrency=4)
    admission.on_failure(FailureClass.AUTH, None, 0.0)
    parked = admission.state

    admission.on_answer()

    assert (parked, admission.state) == (LaneState.PARKED, LaneState.OPEN)
    assert repr(admission) == "<Admission main [0 in flight | open]>"


def test_a_call_that_was_never_sent_gives_back_all_that_it_reserved() -> None:
    admission, _ = opened(requests_per_minute=60, burst=1.0, concurrency=1)
    permit_of(admission).withdraw()

    assert isinstance(admission.admit(progress()), Permit)


def test_a_call_that_was_not_sent_gives_nothing_back_that_has_come_back_by_itself() -> None:
    admission, clock = opened(requests_per_minute=60, burst=2.0)
    unsent = permit_of(admission)
    # The level is full again: with what the call gives back there would be three at once.
    clock.advance(2.0)
    permit_of(admission)
    permit_of(admission)

    unsent.withdraw()

    assert not isinstance(admission.admit(progress()), Permit)


def test_a_job_that_the_limits_never_let_through_is_named_with_its_remedy() -> None:
    admission, _ = opened(tokens_per_minute=60_000, largest_request=8_000)
    fits, large = progress(), progress()
    large.ask(large.request.model_copy(update={"max_output_tokens": 8_001}), reasking=False)

    assert admission.never(fits) is None
    why = admission.never(large) or ""
    assert "the job needs 8,001 tokens at once" in why
    assert "tokens_per_minute of lane main" in why
    assert "raise largest_request" in why


def test_what_binds_is_known_while_it_binds() -> None:
    admission, clock = opened(requests_per_minute=60, concurrency=2, burst=1.0)
    first = permit_of(admission)
    admission.admit(progress())
    by_rate = admission.quota.binding
    clock.advance(2.0)
    second = permit_of(admission)
    free = admission.quota.binding
    admission.admit(progress())

    assert (by_rate, free, admission.quota.binding) == (
        "main:requests_per_minute",
        None,
        "main:concurrency",
    )
    first.release()
    second.release()


def test_a_provider_that_states_a_lower_limit_is_believed_until_it_states_another() -> None:
    admission, _ = opened(requests_per_minute=600, burst=1.0)
    rate = admission.quota.pools[0].rate

    admission.observe(RateHeaders(limit_requests=150), 1.0)
    lowered = admission.quota.pools[0].rate
    admission.observe(RateHeaders(remaining_requests=1_000), 1.0)
    still = admission.quota.pools[0].rate
    admission.observe(RateHeaders(limit_requests=10_000), 1.0)

    assert lowered == still == rate / 4
    assert admission.quota.pools[0].rate == rate


def test_what_remains_by_the_provider_s_count_lowers_a_level_and_never_raises_it() -> None:
    admission, _ = opened(requests_per_minute=600, burst=3.0)
    pool = admission.quota.pools[0]
    before = pool.level

    admission.observe(RateHeaders(remaining_requests=500), 0.0)
    kept = pool.level
    admission.observe(RateHeaders(remaining_requests=2), 0.5)

    assert kept == before
    # What came back while the answer was on its way.
    assert pool.level == pytest.approx(2 + 0.5 * pool.rate)


def test_headers_of_tokens_say_nothing_of_requests_nor_of_a_day() -> None:
    admission, _ = opened(requests_per_minute=600, requests_per_day=10_000)
    rates = [pool.rate for pool in admission.quota.pools]

    admission.observe(RateHeaders(limit_tokens=1, remaining_tokens=0), 0.0)
    admission.observe(RateHeaders(), 0.0)
    admission.observe(None, 0.0)

    assert [pool.rate for pool in admission.quota.pools] == rates


def test_a_wave_of_refusals_slows_a_lane_once_and_a_minute_brings_it_back() -> None:
    admission, clock = opened(requests_per_minute=600)
    pool = admission.quota.pools[0]
    rate = pool.rate
    clock.advance(10.0)

    for _ in range(20):
        admission.on_failure(FailureClass.RATE_LIMIT, 0.05, 5.0)
    slowed = pool.rate
    clock.advance(60.0)
    admission.admit(progress())

    assert slowed == pytest.approx(rate * 0.7)
    assert pool.rate == rate


def test_a_limit_that_a_provider_states_by_mistake_is_asked_about_again_within_minutes() -> None:
    admission, clock = opened(tokens_per_minute=600_000, burst=1.0)
    permit_of(admission).release()
    admission.observe(RateHeaders(limit_tokens=1, remaining_tokens=0), 0.0)

    wait = wait_of(admission)
    hold, state = admission.hold, admission.state
    clock.advance(300.0)
    while isinstance(again := admission.admit(progress()), Wait):
        assert again.seconds is not None
        assert again.seconds < 10.0
        clock.advance(again.seconds)
    beside = wait_of(admission)

    assert wait == 300.0
    assert hold is not None
    assert hold.reason == "the provider states a limit of 1 token a minute"
    assert (hold.next_try - hold.since, state) == (300.0, LaneState.SLOWED)
    assert isinstance(again, Permit)
    assert beside is None


def test_an_operator_opens_a_lane_whatever_its_provider_said() -> None:
    admission, _ = opened(tokens_per_minute=600_000, requests_per_minute=600)
    admission.observe(RateHeaders(limit_tokens=1), 0.0)
    admission.on_failure(FailureClass.RATE_LIMIT, 86_400.0, 0.0)

    admission.reopen()

    assert (admission.hold, admission.state) == (None, LaneState.OPEN)
    assert isinstance(admission.admit(progress()), Permit)


def test_why_a_lane_waits_is_logged_once_for_each_reason(logs: Logs) -> None:
    admission, clock = opened(concurrency=4)
    for reason in ("a", "a", "a", "b"):
        admission.on_failure(FailureClass.AUTH, None, 0.0, reason)
        clock.advance(10.0)
    admission.on_answer(clock.monotonic())

    assert [each["event"] for each in logs] == [
        "waiting: a; next try in 1 s",
        "waiting: b; next try in 8 s",
        "the lane starts calls again",
    ]


def test_the_short_pause_after_a_rate_limit_is_not_logged(logs: Logs) -> None:
    admission, clock = opened(concurrency=4)
    for _ in range(10):
        admission.on_failure(FailureClass.RATE_LIMIT, 1.0, clock.monotonic())
        clock.advance(1.0)
        admission.on_answer(clock.monotonic())

    assert logs == []
