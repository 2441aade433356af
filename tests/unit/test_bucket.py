"""A lane's rates: never above the contract, nobody starved, settled by the provider's rule."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.config.provider import TokenRule
from tollway_workers.policies.bucket import Bucket, Cost, RateLimiter, token_cost
from tollway_workers.testing.samples import lane


@given(
    per_minute=st.floats(1, 100_000),
    burst=st.floats(0.1, 60),
    arrivals=st.lists(st.tuples(st.floats(0, 5), st.floats(1, 500)), min_size=1, max_size=60),
)
def test_no_window_ever_sees_more_than_burst_plus_rate(
    per_minute: float, burst: float, arrivals: list[tuple[float, float]]
) -> None:
    bucket, now, granted = Bucket(per_minute, burst, 0.0), 0.0, []
    for gap, amount in arrivals:
        now += gap
        bucket.refill(now)
        wait = bucket.wait(amount)
        now += wait
        bucket.refill(now)
        assert bucket.wait(amount) <= 1e-6
        bucket.take(amount)
        granted.append((now, amount))

    most = max(bucket.capacity, *(amount for _, amount in granted))
    for first, (start, _) in enumerate(granted):
        total = 0.0
        for at, amount in granted[first:]:
            total += amount
            # A request larger than the bucket passes as a whole, and is waited for afterwards.
            assert total <= bucket.capacity + most + bucket.rate * (at - start) + 1e-3


@given(amounts=st.lists(st.floats(1, 1000), min_size=1, max_size=50))
def test_over_time_the_rate_is_the_contract(amounts: list[float]) -> None:
    bucket, now = Bucket(6_000, 1.0, 0.0), 0.0
    for amount in amounts:
        now += bucket.wait(amount)
        bucket.refill(now)
        bucket.take(amount)

    assert sum(amounts) - amounts[-1] <= bucket.capacity + bucket.rate * now + 1e-3


def test_a_request_larger_than_the_bucket_is_granted_when_it_is_full_and_leaves_a_debt() -> None:
    bucket = Bucket(600, 1.0, 0.0)

    assert bucket.wait(1_000) == 0.0
    bucket.take(1_000)
    assert bucket.level == -990
    assert bucket.wait(1) == pytest.approx(99.1)


def test_a_large_request_at_the_head_is_served_in_bounded_time() -> None:
    limiter = RateLimiter(lane(tokens_per_minute=6_000, burst=1.0), 0.0)
    limiter.reserve(Cost(tokens=100))

    wait = limiter.wait(Cost(tokens=50_000), 0.0)

    assert 0 < wait <= 1.0


@pytest.mark.parametrize("levels", [(60, 60_000), (60_000, 60)])
def test_requests_and_tokens_are_reserved_together_or_not_at_all(
    levels: tuple[float, float],
) -> None:
    requests, tokens = levels
    limiter = RateLimiter(
        lane(requests_per_minute=requests, tokens_per_minute=tokens, burst=1.0), 0.0
    )
    cost = Cost(tokens=1)
    limiter.reserve(cost)

    waits = [limiter.wait(cost, now) for now in (0.0, 0.5, 1.0)]

    assert all(earlier > later for earlier, later in pairwise(waits))
    assert waits[-1] == 0.0


def test_a_lane_without_rates_never_waits() -> None:
    limiter = RateLimiter(lane(concurrency=1), 0.0)

    assert limiter.wait(Cost(tokens=1e12), 0.0) == 0.0
    assert not limiter.counts_tokens


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(60, 1.0, 100.0)
    bucket.take(1)

    bucket.refill(50.0)

    assert bucket.level == 0.0


@pytest.mark.parametrize(
    ("rule", "prompt", "limit", "reserved"),
    [
        ("openai_max", 100, 900, 900),
        ("openai_max", 900, 100, 900),
        ("sum", 100, 900, 1_000),
        ("input", 100, 900, 100),
    ],
)
def test_a_rule_reserves_what_its_provider_charges_at_admission(
    rule: TokenRule, prompt: int, limit: int, reserved: float
) -> None:
    assert token_cost(rule, prompt_tokens=prompt, output_limit=limit) == reserved


@pytest.mark.parametrize(
    ("rule", "reserved", "counted", "given_back"),
    [
        ("openai_max", 1_000, (10, 20), 0),
        ("openai_max", 1_000, (900, 300), -200),
        ("sum", 1_000, (10, 20), 0),
        ("sum", 1_000, (900, 300), -200),
        ("input", 1_000, (400, 9_999), 600),
        ("input", 1_000, (1_400, 0), -400),
    ],
)
def test_a_reservation_is_settled_by_the_provider_s_own_rule(
    rule: TokenRule, reserved: float, counted: tuple[int, int], given_back: float
) -> None:
    limiter = RateLimiter(lane(tokens_per_minute=60_000, token_rule=rule, burst=10.0), 0.0)
    cost = Cost(tokens=reserved)
    limiter.reserve(cost)
    tokens = limiter._tokens
    assert tokens is not None
    before = tokens.level

    limiter.settle(cost, input_tokens=counted[0], output_tokens=counted[1])

    assert tokens.level - before == given_back
