"""One limit's pool while its terms change: nothing is added, and what is lowered holds at once."""

from hypothesis import given
from hypothesis import strategies as st
from samples import lane, lane_contract

from tollway_workers.config.shape.contract import RateLimit
from tollway_workers.limits.pool import Pool


def tokens(amount: float) -> RateLimit:
    limits = lane(tokens_per_minute=amount, largest_request=10)
    return lane_contract(limits).rates[0]


def test_a_limit_that_is_raised_brings_no_burst() -> None:
    pool = Pool(tokens(1_000.0), 1, 0.0)
    pool.join(pool.capacity, 0.0)
    before = pool.level

    pool.adopt(tokens(100_000.0), 1, 0.0)

    assert pool.level == before
    assert pool.capacity > before


def test_a_limit_that_is_lowered_holds_at_once() -> None:
    pool = Pool(tokens(100_000.0), 1, 0.0)
    pool.join(pool.capacity, 0.0)

    pool.adopt(tokens(1_000.0), 1, 0.0)

    assert pool.level == pool.capacity == 50.0


@given(remaining=st.floats(0, 1e9), slices=st.integers(1, 4), latency=st.floats(0, 60))
def test_what_a_provider_says_is_believed_for_our_part_with_what_came_back_meanwhile(
    remaining: float, slices: int, latency: float
) -> None:
    pool = Pool(tokens(1_000.0), 4, 0.0)
    for _ in range(slices):
        pool.join(pool.capacity, 0.0)
    before = pool.level

    pool.believe(remaining, latency, 0.0)

    said = remaining * slices / 4
    assert min(before, said) <= pool.level <= min(before, said + latency * pool.rate + 1e-9)
