"""Where a job waits for its next call: never early, in parts where rounding up takes too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.forwarding.tiers import LONGEST_IN_MEMORY, TierWait, tier_for

TIERS = (15.0, 60.0, 300.0, 1800.0)
FAR = 1_000_000.0


def after(wait: float, *, left: float = FAR, tiers: tuple[float, ...] = TIERS) -> TierWait | None:
    return tier_for(wait, deadline=left, now=0.0, tiers=tiers)


@pytest.mark.parametrize("wait", [-5.0, 0.0, 3.0, 10.0])
def test_a_short_wait_is_kept_in_memory(wait: float) -> None:
    assert after(wait) is None


@pytest.mark.parametrize(
    ("wait", "tier"), [(10.1, 15.0), (15.0, 15.0), (15.1, 60.0), (61.0, 300.0), (1800.0, 1800.0)]
)
def test_a_wait_is_rounded_up_to_a_tier(wait: float, tier: float) -> None:
    assert after(wait) == TierWait(tier=tier, due=tier, not_before=tier)


def test_a_wait_longer_than_every_tier_is_kept_in_the_longest_and_goes_on() -> None:
    assert after(4000.0) == TierWait(tier=1800.0, due=1800.0, not_before=4000.0)


def test_a_wait_that_rounding_up_would_take_past_the_deadline_is_kept_in_parts() -> None:
    assert after(50.0, left=58.0) == TierWait(tier=15.0, due=15.0, not_before=50.0)


def test_a_wait_past_the_deadline_ends_with_it() -> None:
    # The job is in a worker's memory again when it expires: it is answered within a second.
    assert after(400.0, left=70.0) == TierWait(tier=60.0, due=60.0, not_before=400.0)
    assert tier_for(400.0, deadline=70.0, now=60.0, tiers=TIERS) is None


def test_a_wait_below_the_first_tier_with_no_time_for_it_is_kept_in_memory() -> None:
    assert after(12.0, left=13.0) is None


def test_without_tiers_every_wait_is_kept_in_memory() -> None:
    assert after(4000.0, tiers=()) is None


waits = st.floats(0.0, 100_000.0)
tier_lists = st.lists(st.floats(10.0, 7200.0), max_size=5, unique=True).map(
    lambda tiers: tuple(sorted(tiers))
)


@given(not_before=waits, deadline=waits, tiers=tier_lists)
def test_stay_after_stay_a_job_is_called_neither_early_nor_after_its_deadline(
    not_before: float, deadline: float, tiers: tuple[float, ...]
) -> None:
    now, asked = 0.0, not_before
    while (stay := tier_for(not_before, deadline=deadline, now=now, tiers=tiers)) is not None:
        assert stay.due > now
        now, not_before = stay.due, stay.not_before

    # What is left is waited for in memory.
    assert max(now, not_before) >= asked
    assert now <= max(deadline, 0.0)
    left = min(not_before, deadline) - now
    assert left <= max(LONGEST_IN_MEMORY, *tiers[:1], 0.0) or not tiers
