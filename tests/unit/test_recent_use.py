"""What was used of a limit within its last period."""

from tollway_workers.limits.recent_use import RecentUse


def test_all_that_was_used_counts_until_a_period_has_passed() -> None:
    recent = RecentUse(60.0)
    used = [recent.within(10.0 * second, 100.0 + second) for second in range(61)]

    assert used == [10.0 * second for second in range(61)]


def test_what_is_older_than_a_period_counts_no_more() -> None:
    recent = RecentUse(60.0)
    used = [recent.within(10.0 * second, 100.0 + second) for second in range(121)]

    assert used[-1] == 600.0
    assert recent.within(1_200.0, 1_000.0) == 0.0


def test_what_was_used_before_the_first_look_counts() -> None:
    assert RecentUse(60.0).within(7.0, 5.0) == 7.0


def test_looks_that_come_often_are_not_all_kept() -> None:
    recent = RecentUse(86_400.0)
    for second in range(10_000):
        recent.within(float(second), float(second))

    assert len(recent._seen) < 20


def test_what_was_given_back_is_never_a_use_below_zero() -> None:
    recent = RecentUse(60.0)
    recent.within(100.0, 0.0)

    assert recent.within(90.0, 70.0) == 0.0
