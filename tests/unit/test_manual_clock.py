"""The clock that stands still."""

import asyncio

from manual_clock import ManualClock


async def test_both_times_move_together_and_only_when_told() -> None:
    clock = ManualClock(now=1_000.0)

    clock.advance(2.5)

    assert (clock.now(), clock.monotonic()) == (1_002.5, 2.5)


async def test_what_falls_due_on_the_way_is_called_in_order_and_at_its_time() -> None:
    clock, seen = ManualClock(), list[tuple[str, float]]()
    clock.call_later(3.0, lambda: seen.append(("third", clock.monotonic())))
    clock.call_later(1.0, lambda: seen.append(("first", clock.monotonic())))
    clock.call_later(1.0, lambda: seen.append(("second", clock.monotonic())))
    clock.call_later(9.0, lambda: seen.append(("late", clock.monotonic())))

    clock.advance(4.0)

    assert seen == [("first", 1.0), ("second", 1.0), ("third", 3.0)]


async def test_a_timer_that_was_cancelled_is_not_called() -> None:
    clock, seen = ManualClock(), list[str]()
    timer = clock.call_later(1.0, lambda: seen.append("called"))

    timer.cancel()
    timer.cancel()
    clock.advance(2.0)

    assert seen == []


async def test_a_sleeper_wakes_when_its_time_has_come() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(5.0))
    await asyncio.sleep(0)

    clock.advance(4.9)
    await asyncio.sleep(0)
    early = sleeper.done()
    clock.advance(0.1)
    await sleeper

    assert not early


async def test_a_wait_is_over_when_it_was_waited_for_however_late_the_hour() -> None:
    clock = ManualClock(now=1_700_000_000.0)
    until = clock.monotonic() + 0.1 + 0.2

    clock.advance(until - clock.monotonic())

    assert clock.monotonic() >= until
