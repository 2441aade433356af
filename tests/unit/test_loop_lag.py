"""A worker whose event loop is late again and again gives its shards to others."""

import asyncio
import time

import pytest

from tollway_workers.health.lag import LagVerdict
from tollway_workers.telemetry.loop_lag import LoopLag

pytestmark = pytest.mark.both_loops


def test_a_loop_that_is_late_twice_within_half_a_minute_releases() -> None:
    verdict = LagVerdict()

    assert not verdict.measured(2.5, now=10.0)
    assert verdict.measured(2.1, now=30.0)


@pytest.mark.parametrize(
    "moments",
    [
        [(2.0, 0.0), (2.0, 1.0), (2.0, 2.0)],
        [(60.0, 0.0)],
        [(9.0, 0.0), (9.0, 31.0), (9.0, 62.0)],
    ],
    ids=["never later than 2 s", "frozen once", "rarely"],
)
def test_a_loop_that_is_seldom_late_keeps_its_shards(moments: list[tuple[float, float]]) -> None:
    verdict = LagVerdict()

    assert not any(verdict.measured(lag, now) for lag, now in moments)


def test_a_release_has_two_minutes_to_help() -> None:
    verdict = LagVerdict()

    released = [now for now in range(0, 300, 3) if verdict.measured(2.5, float(now))]

    assert released == [3, 123, 243]


async def test_what_blocks_the_loop_is_measured() -> None:
    lag = LoopLag(lambda: None)
    measuring = asyncio.create_task(lag.run())
    await asyncio.sleep(0)

    time.sleep(0.4)  # noqa: ASYNC251 to hold up the loop is what is tried
    for _ in range(5):
        await asyncio.sleep(0)
    measuring.cancel()

    assert 0.1 < lag.worst < 2.0


def test_the_shards_are_released_by_what_is_measured() -> None:
    released: list[bool] = []
    lag = LoopLag(lambda: released.append(True))

    for now in range(5):
        lag.measured(3.0, float(now))

    assert released == [True]
    assert lag.worst == 3.0
