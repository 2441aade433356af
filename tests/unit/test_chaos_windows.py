"""What sliding windows see: a judge that overlooks one would let a contract be passed."""

import pytest
from windows import busiest, most_beyond, spent


def test_the_busiest_minute_is_found_wherever_it_begins() -> None:
    calls = [(float(at), 1.0) for at in range(0, 300, 10)] + [(130.5, 4.0), (185.0, 2.0)]

    assert busiest(calls, 60.0) == 6 + 4 + 2
    assert busiest([(0.0, 1.0), (60.0, 1.0)], 60.0) == 1
    assert busiest([], 60.0) == 0


def test_what_passes_a_rate_is_found_in_windows_of_any_length() -> None:
    burst = [(100.0, 1.0)] * 5
    steadily_too_fast = [(n / 2, 1.0) for n in range(40)]

    assert most_beyond(burst, 1.0) == 5
    assert most_beyond(steadily_too_fast, 1.0) == pytest.approx(40 - 19.5)
    assert most_beyond(reversed(steadily_too_fast), 1.0) == pytest.approx(40 - 19.5)


def test_what_was_not_used_before_is_not_counted_against_what_comes() -> None:
    idle = [(0.0, 1.0), (1_000.0, 3.0), (1_001.0, 3.0)]

    assert most_beyond(idle, 1.0) == 3 - 1 + 3
    assert most_beyond([], 1.0) == 0


def test_what_is_spent_is_counted_from_the_beginning_until_before_the_end() -> None:
    assert spent([(0.9, 8.0), (1.0, 1.0), (1.5, 2.0), (2.0, 4.0)], 1.0, 2.0) == 3
