"""The tasks of a worker that call or write, so that they can be waited for and ended."""

import asyncio
from collections.abc import Coroutine


class Tasks:
    """State: `_running`."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def go(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin something that nobody waits for."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self, patience: float) -> None:
        """Cancel all; what they begin at their end may take `patience` seconds."""
        await self._cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
            await self._cancel()

    def __len__(self) -> int:
        return len(self._running)

    def __repr__(self) -> str:
        return f"<Tasks [{len(self)} run]>"

    async def _cancel(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
