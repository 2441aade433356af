"""How long a call waits: for its end, its first token, and the one after."""

import asyncio
import time
from contextlib import suppress

import pytest

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.http.token_wait import TokenWait

#: Seconds: of what is to pass, and of what is not.
_SOON, _NEVER = 0.02, 60.0

pytestmark = pytest.mark.both_loops


async def _silence(wait: TokenWait) -> None:
    with wait:
        await asyncio.Event().wait()


async def test_what_is_not_whole_in_time_ends_and_its_task_is_not_cancelled() -> None:
    wait = TokenWait(_SOON, None, _NEVER)

    with pytest.raises(TimeoutError):
        await _silence(wait)

    task = asyncio.current_task()
    assert wait.ended is None
    assert task is not None
    assert task.cancelling() == 0


async def test_no_first_token_in_its_time_ends_the_wait_and_is_told_so() -> None:
    wait = TokenWait(_NEVER, _SOON, _NEVER)

    with pytest.raises(TimeoutError):
        await _silence(wait)

    assert wait.ended == (FailureClass.TIMEOUT_FIRST_TOKEN, _SOON)


async def test_the_next_token_may_be_due_before_the_first_one_was() -> None:
    wait = TokenWait(_NEVER, _NEVER, _SOON)

    with pytest.raises(TimeoutError), wait:
        wait.heard()
        await asyncio.Event().wait()

    assert wait.ended == (FailureClass.TIMEOUT_IDLE, _SOON)


async def test_a_wait_goes_on_as_long_as_tokens_come() -> None:
    loop = asyncio.get_running_loop()
    wait, last = TokenWait(_NEVER, 5 * _SOON, 5 * _SOON), asyncio.Event()

    def hear(left: int) -> None:
        wait.heard()
        if left:
            loop.call_later(_SOON, hear, left - 1)
        else:
            last.set()

    began = loop.time()
    with wait:
        hear(10)
        await last.wait()

    assert loop.time() - began > 5 * _SOON


async def test_tokens_do_not_move_the_end_of_all() -> None:
    wait = TokenWait(_SOON, _NEVER, _NEVER)

    with pytest.raises(TimeoutError), wait:
        wait.heard()
        await asyncio.Event().wait()

    assert wait.ended is None


async def test_a_call_that_is_cancelled_as_its_time_is_up_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(_silence(TokenWait(_SOON, None, _NEVER)))
    await asyncio.sleep(0)

    loop.call_later(_SOON, task.cancel)
    # Both are due in one turn of a loop that was busy.
    time.sleep(3 * _SOON)  # noqa: ASYNC251 the loop is to stand still
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_went_on_after_a_cancellation_meets_the_timeout_of_its_call() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await _silence(TokenWait(_SOON, None, _NEVER))

    assert task.cancelling() == 1
    task.uncancel()


async def test_an_error_that_is_met_as_the_time_is_up_is_not_lost() -> None:
    task = asyncio.current_task()
    assert task is not None

    with pytest.raises(ValueError, match="met"), TokenWait(_SOON, None, _NEVER):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("met") from None

    assert task.cancelling() == 0


async def test_a_call_that_ended_in_time_is_not_cancelled_later() -> None:
    with TokenWait(_SOON, None, _NEVER):
        pass

    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * _SOON, passed.set)
    await passed.wait()
