"""An event loop that never waits: two runs of one scenario take the same steps in the same order.

Its time jumps to whatever is due next, and what is sent to a thread is done on the spot.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class _Inline(ThreadPoolExecutor):
    """Threads without threads."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 it is the caller's to see
            done.set_exception(error)
        return done


class _Jumping(selectors.SelectSelector):
    """Moves the loop's time on instead of waiting for it."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and nothing will ever happen"
            self.passed += timeout
        return ready


class SteppedLoop(asyncio.SelectorEventLoop):
    """For `asyncio.Runner(loop_factory=SteppedLoop)`."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.set_default_executor(_Inline())

    def time(self) -> float:
        # A little more each time, or what is due at once would never be.
        self._jumping.passed += 1e-9
        return self._jumping.passed

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 asyncio's own signature
    ) -> None:
        # The loop's own starts a thread that waits for the others: with it the selector sees
        # nothing ready until the machine lets that thread run. Here there are none to wait for.
        pass
