"""Many things at once, in bounded memory: what `enqueue_many` and `map` have in common."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def each(items: Iterable[A] | AsyncIterable[A]) -> AsyncIterator[A]:
    """The items of either kind of iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


class Flow(Generic[A, B]):
    """Applies `do` to items, at most `limit` under way or not yet taken by the reader.

    Iterating yields results: in the order of the items, or as they finish. At the first error no
    further item is taken; what is under way is yielded first, then the error is raised. Leaving
    the iteration early, or cancelling it, cancels what is under way.
    """

    # Mutable state: the queue of tasks for the reader (None: no more), the tasks not yet done, and
    # the first error.
    def __init__(self, do: Callable[[A], Awaitable[B]], *, limit: int, ordered: bool) -> None:
        self._do = do
        self._ordered = ordered
        self._room = asyncio.Semaphore(limit)
        self._for_reader: asyncio.Queue[asyncio.Task[B] | None] = asyncio.Queue()
        self._running: set[asyncio.Task[B]] = set()

    async def over(
        self, items: AsyncIterator[A], *, idle_timeout: float | None = None
    ) -> AsyncIterator[B]:
        """The results. Raises TimeoutError if none comes for `idle_timeout` seconds."""
        pump = asyncio.create_task(self._pump(items), name="tollway-flow")
        try:
            first_error: BaseException | None = None
            taking = True
            while taking or self._running or not self._for_reader.empty():
                async with asyncio.timeout(idle_timeout):
                    task = await self._for_reader.get()
                    if task is not None and not task.done():
                        await asyncio.wait([task])
                if task is None:
                    taking = False
                    first_error = first_error or _error_of(pump)
                elif error := _error_of(task):
                    first_error = first_error or error
                    pump.cancel()
                else:
                    yield task.result()
                self._room.release()
            if first_error is not None:
                raise first_error
        finally:
            await self._abandon(pump)

    async def _pump(self, items: AsyncIterator[A]) -> None:
        try:
            async for item in items:
                await self._room.acquire()
                task: asyncio.Task[B] = asyncio.ensure_future(self._run(item))
                self._running.add(task)
                task.add_done_callback(self._finished)
                if self._ordered:
                    self._for_reader.put_nowait(task)
        finally:
            self._for_reader.put_nowait(None)

    async def _run(self, item: A) -> B:
        return await self._do(item)

    def _finished(self, task: asyncio.Task[B]) -> None:
        self._running.discard(task)
        if not self._ordered:
            self._for_reader.put_nowait(task)

    async def _abandon(self, pump: asyncio.Task[None]) -> None:
        tasks = [pump, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _error_of(task: asyncio.Task[B]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
