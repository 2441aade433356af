"""A lane whose provider refuses slows at once, never stops, and is back within a minute."""

from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.lanes.pace import LEAST_PACE, RECOVERY, Pace


def test_each_wave_takes_three_tenths_and_its_calls_count_once() -> None:
    pace = Pace()

    pace.refused(started=0.0, now=1.0)
    for started in (0.1, 0.5, 0.9):
        pace.refused(started, now=1.5)
    first = pace.at(1.0)
    pace.refused(started=1.2, now=2.0)

    assert first == 0.7
    assert 0.49 < pace.at(2.0) < 0.51


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.booleans()), max_size=60))
def test_it_never_stops_never_passes_the_limit_and_is_back_within_a_minute(
    story: list[tuple[float, bool]],
) -> None:
    pace, now = Pace(), 0.0
    for wait, refused in story:
        now += wait
        before = pace.at(now)
        if refused:
            pace.refused(started=now, now=now)
            assert pace.at(now) <= before
        assert LEAST_PACE <= pace.at(now) <= 1.0

    assert pace.at(now + RECOVERY) == 1.0
