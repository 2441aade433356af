"""Enqueue, collect, save, watch the workers and show how it goes: all at once, until the end."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from tollway_workers.cli.run.tally import Progress
from tollway_workers.cli.run.work import RunWork
from tollway_workers.cli.run.workers import RunWorkers

#: Seconds between two looks at the progress.
_SHOW_EVERY = 0.5
#: Seconds to wait for workers beside those of another run, which they are to succeed.
_READY_BESIDE_OTHERS = 10.0


class Conductor:
    """Plays one run. `play` once."""

    def __init__(
        self,
        work: RunWork,
        workers: RunWorkers | None,
        show: Callable[[Progress], None],
        *,
        total: int,
        beside_others: bool = False,
        drain_timeout: float = 0.0,
    ) -> None:
        self._work = work
        self._workers = workers
        self._show = show
        self._total = total
        self._beside_others = beside_others
        self._drain_timeout = drain_timeout
        self._in_flight: int | None = None

    async def play(self, stop: asyncio.Event) -> None:
        """Until every line has its ending, or `stop` is set and the workers have drained.

        Raises FleetError. Cancelled: at once; the state is that of the last second.
        """
        work = self._work
        collecting = _task(work.collect())
        enqueuing = _task(self._enqueue())
        watching = _task(self._workers.watch()) if self._workers else None
        background = [_task(work.keep_saving()), _task(self._keep_showing())]
        stopping = _task(stop.wait())
        guarded = {collecting, enqueuing, stopping, *background, *([watching] if watching else [])}
        try:
            await _until_one_of({collecting, stopping}, guarded)
            work.stopped = True
            if not stop.is_set():
                await enqueuing
            elif not enqueuing.done():
                await self._flush(enqueuing)
            if self._workers and watching:
                await self._drain(self._workers, watching)
            work.closing = True
            await collecting
            await work.finish()
        finally:
            await _end(guarded)
        self._show(self._progress())

    async def _enqueue(self) -> None:
        if self._workers:
            # Every member that joins later would move partitions from under calls.
            wait = _READY_BESIDE_OTHERS if self._beside_others else None
            # If they are not: another run's have their slots and answer, ours succeed them.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._workers.ready(), wait)
        if not self._work.stopped:
            await self._work.enqueue()

    async def _flush(self, enqueuing: asyncio.Task[Any]) -> None:
        """Stopped while it enqueues or waits for workers: only what was handed over counts."""
        if self._work.started is None:
            enqueuing.cancel()
            await asyncio.wait({enqueuing})
        else:
            await enqueuing

    async def _drain(self, workers: RunWorkers, watching: asyncio.Task[None]) -> None:
        workers.drain()
        try:
            await asyncio.wait_for(asyncio.shield(watching), self._drain_timeout)
        except TimeoutError:
            workers.kill()
            await watching

    async def _keep_showing(self) -> None:
        while True:
            if self._workers:
                self._in_flight = await self._workers.calls_in_flight()
            self._show(self._progress())
            await asyncio.sleep(_SHOW_EVERY)

    def _progress(self) -> Progress:
        started = self._work.started
        return Progress(
            total=self._total,
            tally=self._work.collector.tally,
            done=self._total - len(self._work.collector.missing),
            resumed=self._work.resumed,
            in_flight=self._in_flight,
            elapsed=0.0 if started is None else time.monotonic() - started,
        )


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


async def _until_one_of(ends: set[asyncio.Task[Any]], guarded: set[asyncio.Task[Any]]) -> None:
    """Return when one of `ends` has; raise what any of `guarded` raised."""
    pending = set(guarded)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if done & ends:
            return


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
