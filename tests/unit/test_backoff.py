"""How long to wait before trying again."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.job.backoff import doubling, full_jitter


@given(failures=st.integers(0, 10**6), seed=st.integers(0, 100))
def test_a_wait_is_never_above_its_bound_however_many_failures(failures: int, seed: int) -> None:
    wait = full_jitter(failures, initial=0.5, longest=8.0, rng=Random(seed))

    assert 0.0 <= wait <= min(8.0, 0.5 * 2.0 ** min(max(failures - 1, 0), 63))


def test_waits_are_spread_over_all_of_their_bound() -> None:
    rng = Random(1)

    waits = [full_jitter(9, initial=1.0, longest=8.0, rng=rng) for _ in range(1_000)]

    assert min(waits) < 0.1
    assert max(waits) > 7.9


def test_doubling_doubles_up_to_its_bound() -> None:
    waits = [doubling(n, initial=1.0, longest=10.0) for n in range(7)]

    assert waits == [1, 1, 2, 4, 8, 10, 10]
