"""Threads for code of the operator's own: few, given back, and never waited for in vain."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from eventually import eventually

from tollway_workers.callables.harmless import CallableBroken
from tollway_workers.callables.threads import AllThreadsHang, OwnThreads


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs waits for this."""
    event = threading.Event()
    yield event
    event.set()


def hang(release: threading.Event) -> str:
    release.wait(30)
    return "late"


async def test_what_is_given_up_keeps_its_thread_until_it_returns(
    release: threading.Event,
) -> None:
    threads = OwnThreads("test", 1)

    with pytest.raises(TimeoutError):
        await threads.run(lambda: hang(release), 0.01)
    with pytest.raises(AllThreadsHang):
        await threads.run(lambda: "never")

    release.set()
    await eventually(lambda: repr(threads).startswith("<OwnThreads test [0 of 1 run, 0 given up"))
    assert await threads.run(lambda: "again") == "again"


async def test_who_waits_for_a_thread_is_told_as_soon_as_all_of_them_hang(
    release: threading.Event,
) -> None:
    threads = OwnThreads("test", 2)
    hanging = [asyncio.create_task(threads.run(lambda: hang(release), 0.05)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(threads.run(lambda: "never")) for _ in range(3)]

    ended = await asyncio.gather(*hanging, *waiting, return_exceptions=True)

    assert [type(each) for each in ended] == [TimeoutError] * 2 + [AllThreadsHang] * 3


async def test_a_call_that_is_cancelled_is_given_up_and_one_that_waits_takes_nothing(
    release: threading.Event,
) -> None:
    threads = OwnThreads("test", 2)
    running = [asyncio.create_task(threads.run(lambda: hang(release))) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(threads.run(lambda: "never"))
    await asyncio.sleep(0)

    waiting.cancel()
    running[0].cancel()
    await asyncio.wait({waiting, running[0]})

    assert repr(threads) == "<OwnThreads test [2 of 2 run, 1 given up | 0 wait]>"
    release.set()
    assert await running[1] == "late"
    await eventually(lambda: "[0 of 2 run, 0 given up" in repr(threads))


async def test_a_thread_that_was_given_to_who_is_cancelled_in_that_moment_is_given_on() -> None:
    threads = OwnThreads("test", 1)
    release = threading.Event()
    first = asyncio.create_task(threads.run(lambda: hang(release)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(threads.run(lambda: "never"))
    await asyncio.sleep(0)

    # As it ends, and before who waits for it has run.
    threads._release()
    waiting.cancel()
    await asyncio.wait({waiting})

    assert waiting.cancelled()
    async with asyncio.timeout(5):
        assert await threads.run(lambda: "second") == "second"
    release.set()
    await first


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        StopIteration(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_would_end_more_than_a_call_ends_the_call_alone(error: BaseException) -> None:
    threads = OwnThreads("test", 1)

    def fails() -> None:
        raise error

    with pytest.raises(CallableBroken, match=type(error).__name__):
        await threads.run(fails)
    assert await threads.run(lambda: "again") == "again"
