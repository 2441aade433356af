"""The tasks of a worker that call or write, and the event loop that they share."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable

from tollway_workers.ownership.record import ReceivedRecord

#: Bytes in memory that are worked on before the event loop has its turn.
_MOST_AT_ONCE = 524_288


async def in_turns(records: Iterable[ReceivedRecord]) -> AsyncIterator[ReceivedRecord]:
    """The records; between large ones heartbeats and calls go on."""
    given = 0
    for record in records:
        yield record
        given += record.size
        if given > _MOST_AT_ONCE:
            given = 0
            await asyncio.sleep(0)


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
        # One that was only just begun must take its first step: it has things to give back.
        await asyncio.sleep(0)
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
