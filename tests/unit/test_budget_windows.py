"""Windows turn by UTC and Kafka's clock, and nothing is granted where nobody knows which it is."""

from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.budgets.windows import KafkaTime, window_at
from tollway_workers.config.shape.budget import Per

#: From 1970 on: what records can say.
moments = st.floats(min_value=86_400.0 * 31, max_value=4e9)
turning = st.sampled_from(["hour", "day", "week", "month"])


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "name", "begins", "ends"),
    [
        ("hour", "2026-12-31T23", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2026-12-31", "2026-12-31", "2027-01-01"),
        ("week", "2026-W53", "2026-12-28", "2027-01-04"),
        ("month", "2026-12", "2026-12-01", "2027-01-01"),
    ],
)
def test_a_window_has_the_name_of_its_utc_calendar(
    per: Per, name: str, begins: str, ends: str
) -> None:
    assert window_at(per, at("2026-12-31T23:59:59")) == (name, at(begins), at(ends))


@given(turning, moments)
def test_every_moment_is_in_one_window_which_the_next_one_follows(per: Per, moment: float) -> None:
    window = window_at(per, moment)

    assert window.begins <= moment < window.ends
    assert window_at(per, window.begins) == window
    following = window_at(per, window.ends)
    assert following.begins == window.ends
    assert following.name != window.name
    assert window_at(per, window.begins - 0.001).ends == window.begins


@pytest.mark.parametrize("per", ["total", "run"])
def test_a_window_for_ever_never_turns(per: Per) -> None:
    assert window_at(per, 1.0) == ("total", 0.0, inf) == window_at(per, 4e9)


def test_kafka_s_clock_lies_between_the_bounds_that_were_measured() -> None:
    kafka = KafkaTime()
    assert kafka.at(10.0) is None

    kafka.observe(sent=10.0, appended=1_000.0, read=10.2)

    bounds = kafka.at(10.2)
    assert bounds is not None
    assert bounds[0] == pytest.approx(1_000.0, abs=1e-6)
    assert bounds[1] == pytest.approx(1_000.201, abs=1e-6)


@given(
    st.floats(min_value=-1e5, max_value=1e5),
    st.lists(
        st.tuples(
            st.floats(min_value=0.0, max_value=2.0),
            st.floats(min_value=0.0, max_value=1.0),
            st.floats(min_value=0.0, max_value=60.0),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_the_true_time_is_always_within_the_bounds(
    ahead: float, reads: list[tuple[float, float, float]]
) -> None:
    kafka, now = KafkaTime(), 1e6
    for took, part, pause in reads:
        appended = now + took * part + ahead + 1e9
        kafka.observe(now, int(appended * 1000) / 1000, now + took)
        now += took + pause
        bounds = kafka.at(now)
        assert bounds is not None
        assert bounds[0] - 1e-6 <= now + ahead + 1e9 <= bounds[1] + 1e-6


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    kafka = KafkaTime()
    kafka.observe(10.0, 1_000.0, 10.01)

    kafka.observe(20.0, 5_000.0, 20.01)

    bounds = kafka.at(20.01)
    assert bounds is not None
    assert bounds[0] == pytest.approx(5_000.0, abs=0.01)
