"""An event loop for coroutines of the operator's own: what blocks it holds up nothing of ours."""

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

from tollway_workers.callables.harmless import harmless


class OwnLoop:
    """Runs in a daemon thread from the first coroutine on, so that clients that coroutines keep
    between calls stay on one loop.

    State: `_loop`, under `_lock`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def wait_for(self, said: Awaitable[Any], timeout: float) -> Any:
        """What is awaited, for a thread that waits for it; it is cancelled after so many seconds.

        Raises TimeoutError, CallableBroken and whatever it raises. One that goes on although it is
        cancelled is waited for: its thread counts it.
        """
        return asyncio.run_coroutine_threadsafe(_within(said, timeout), self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name=self._name, daemon=True).start()
                self._loop = loop
            return self._loop


async def _within(said: Awaitable[Any], seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        return await harmless(said)
