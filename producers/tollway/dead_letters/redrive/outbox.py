"""What is published on its way: gathered by route, written in short transactions, at a pace."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from tollway.dead_letters.redrive.transactions import (
    MOST_BYTES,
    MOST_LETTERS,
    Outgoing,
    RouteWriters,
)
from tollway.errors import BrokerUnreachable, Fenced, RedriveInterrupted

#: Bytes that wait at most, of all routes together.
_MOST_WAITING = 32 * 2**20
#: Items between two turns of the event loop.
_OFTEN = 10


@dataclass(frozen=True, slots=True)
class Item:
    """The records of one dead letter, which belong together."""

    route: str
    """The route of the letter: its transactions."""
    records: tuple[Outgoing, ...]

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return sum(len(each.value or b"") + len(each.key) + 300 for each in self.records)


class Pace:
    """At most so many letters a minute, evenly; any number if None."""

    def __init__(self, per_minute: float | None) -> None:
        self.chunk = MOST_LETTERS
        self._limiter: AsyncLimiter | None = None
        if per_minute is not None:
            self.chunk = max(1, min(MOST_LETTERS, int(per_minute / 60)))
            self._limiter = AsyncLimiter(self.chunk, 60 * self.chunk / per_minute)

    async def take(self, count: int) -> None:
        """Wait until so many may go; at most `chunk`."""
        if self._limiter is not None:
            await self._limiter.acquire(count)


class Outbox:
    """Writes items in order, a route's transactions one after the other.

    Mutable state: what waits, by route; the write that is under way, by route; how many are
    written. While a transaction is written, the next items are gathered.
    """

    def __init__(
        self, writers: RouteWriters, pace: Pace, on_written: Callable[[int], None]
    ) -> None:
        self._writers = writers
        self._pace = pace
        self._on_written = on_written
        self._waiting: dict[str, list[Item]] = {}
        self._bytes: dict[str, int] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._added = 0
        self.written = 0

    async def add(self, item: Item) -> None:
        """Take one; write where enough has come together. Raises what a writer raises."""
        waiting = self._waiting.setdefault(item.route, [])
        if waiting and self._bytes[item.route] + item.size > MOST_BYTES:
            await self._write(item.route)
            waiting = self._waiting.setdefault(item.route, [])
        waiting.append(item)
        self._added += 1
        if self._added % _OFTEN == 0:
            # What is under way goes on meanwhile.
            await asyncio.sleep(0)
        self._bytes[item.route] = self._bytes.get(item.route, 0) + item.size
        if len(waiting) >= self._pace.chunk:
            await self._write(item.route)
        elif sum(self._bytes.values()) > _MOST_WAITING:
            await self._write(max(self._bytes, key=self._bytes.__getitem__))

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """All that is added within is written when it ends.

        Raises Fenced and RedriveInterrupted, which say how many were written before.
        """
        try:
            yield
            await self.flush()
        except Fenced as error:
            raise Fenced(error.route, self.written) from None
        except BrokerUnreachable as error:
            raise RedriveInterrupted(self.written, str(error)) from error
        finally:
            await self._close()

    async def flush(self) -> None:
        """Write all that waits, and return when it is written."""
        for route in list(self._waiting):
            await self._write(route)
        for route in list(self._writing):
            await self._writing.pop(route)

    async def _close(self) -> None:
        """Leave what waits; end the writes that are under way."""
        tasks = list(self._writing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, route: str) -> None:
        """Begin to write what waits for a route, once its last write has ended."""
        if (before := self._writing.pop(route, None)) is not None:
            await before
        items = self._waiting.pop(route, [])
        self._bytes.pop(route, None)
        if items:
            # No transaction is open over this wait.
            await self._pace.take(len(items))
            self._writing[route] = asyncio.create_task(self._written(route, items))

    async def _written(self, route: str, items: Sequence[Item]) -> None:
        records = [record for item in items for record in item.records]
        await self._writers.of(route).write(records)
        self.written += len(items)
        self._on_written(self.written)
