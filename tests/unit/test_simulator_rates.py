"""The simulator's limits: the arithmetic is the whole point, so it is held to exact fractions."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.local.simulator.rates import Bucket, Charge, RateLimits, go_duration
from tollway_workers.local.simulator.wire.openai.errors import limits as headers_of

_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")

arrivals = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(1, 1_500)), min_size=1, max_size=60
)


class ExactBucket:
    """The definition of a token bucket, in exact fractions of seconds and tokens."""

    def __init__(self, limit: int, window: int, burst: int) -> None:
        self.rate = Fraction(limit, window)
        burst_size = self.rate * burst
        self.capacity = burst_size if burst_size > 1 else Fraction(1)
        self.level = self.capacity
        self.at = Fraction(0)

    def admits(self, amount: int, now: Fraction) -> bool:
        filled = self.level + (now - self.at) * self.rate
        self.level = filled if filled < self.capacity else self.capacity
        self.at = now
        if self.level < amount and self.level < self.capacity:
            return False
        self.level -= amount
        return True


@given(arrivals, st.integers(1, 2_000), st.integers(1, 60))
def test_the_bucket_admits_what_exact_arithmetic_admits(
    calls: list[tuple[int, int]], limit: int, burst: int
) -> None:
    # Powers of two: floats are exact, so the two must agree on every single call.
    exact = ExactBucket(limit, 64, burst)
    bucket = Bucket(limit, window_seconds=64, burst_seconds=burst)
    now = 0

    for gap, amount in calls:
        now += gap
        seconds = now / 1024
        admitted = bucket.wait(amount, seconds) == 0
        if admitted:
            bucket.take(amount, seconds)

        assert admitted == exact.admits(amount, Fraction(now, 1024))


@given(arrivals, st.integers(1, 2_000), st.integers(1, 60))
def test_no_window_sees_more_than_the_limit_and_one_burst(
    calls: list[tuple[int, int]], limit: int, burst: int
) -> None:
    bucket = Bucket(limit, window_seconds=60, burst_seconds=burst)
    admitted: list[tuple[float, int]] = []
    now = 0.0
    for gap, amount in calls:
        now += gap / 1000
        if not bucket.wait(amount, now):
            bucket.take(amount, now)
            admitted.append((now, amount))

    capacity = max(1.0, limit * burst / 60)
    largest = max((amount for _, amount in admitted), default=0)
    for start, _ in admitted:
        spent = sum(amount for at, amount in admitted if start <= at <= start + 60)
        assert spent <= limit + capacity + largest + 1e-6


@given(st.integers(1, 1_000), st.floats(0, 1_000))
def test_who_waits_as_long_as_asked_is_admitted(amount: int, now: float) -> None:
    bucket = Bucket(1_000, window_seconds=60, burst_seconds=60)
    bucket.take(1_000, now)

    wait = bucket.wait(amount, now)

    # The headers round up to a millisecond.
    assert wait > 0
    assert bucket.wait(amount, now + wait + 0.001) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.012, "12ms"),
        (1, "1s"),
        (179.56, "2m59.56s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (3661.5, "1h1m1.5s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.floats(0, 100_000))
def test_a_written_duration_is_never_shorter_and_at_most_a_millisecond_longer(
    seconds: float,
) -> None:
    match = _GO_DURATION.fullmatch(go_duration(seconds))

    assert match is not None
    hours, minutes, rest, milliseconds = (float(group or 0) for group in match.groups())
    written = hours * 3600 + minutes * 60 + rest + milliseconds / 1000
    assert -1e-6 <= written - seconds <= 0.001 + 1e-6


def test_a_call_refused_for_its_tokens_counts_as_a_request() -> None:
    limits = RateLimits(
        Bucket(2, window_seconds=60, burst_seconds=60),
        Bucket(10, window_seconds=60, burst_seconds=60),
    )

    assert limits.admit(Charge(tokens=10), 0.0) is None
    second, third = limits.admit(Charge(tokens=10), 0.0), limits.admit(Charge(tokens=1), 0.0)

    assert second and second.unit == "tokens" and not second.too_large
    assert second.retry_after_seconds == pytest.approx(60)
    assert third and third.unit == "requests"


def test_a_call_larger_than_the_limit_is_too_large_for_ever() -> None:
    limits = RateLimits(None, Bucket(100, window_seconds=60, burst_seconds=60))

    over = limits.admit(Charge(tokens=101), 0.0)

    assert over and over.too_large
    assert limits.admit(Charge(tokens=100), 0.0) is None


def test_headers_tell_limit_rest_and_time_to_full() -> None:
    limits = RateLimits(
        Bucket(60, window_seconds=60, burst_seconds=60),
        Bucket(6_000, window_seconds=60, burst_seconds=60),
    )
    limits.admit(Charge(tokens=1_000), 0.0)

    assert headers_of(limits.left(0.0), 0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5000",
        "x-ratelimit-reset-tokens": "10s",
    }


def test_a_limit_that_changes_holds_at_once_and_brings_nothing_at_once() -> None:
    bucket = Bucket(600, window_seconds=60, burst_seconds=6)

    bucket.change(150, 0.0)
    lowered = bucket.level(0.0)
    bucket.change(600, 0.0)

    assert lowered == 15
    assert bucket.level(0.0) == 15
    assert bucket.level(1.0) == 25
    assert bucket.limit == 600
