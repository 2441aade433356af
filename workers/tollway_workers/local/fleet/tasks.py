"""The tasks of a command that runs a fleet: what it waits for, and how it ends them."""

import asyncio
from typing import Any

from tollway_workers.local.fleet.workers import RunWorkers

#: Seconds that workers may take to end over their own drain.
DRAIN_MARGIN = 10.0


async def until_one_of(ends: set[asyncio.Task[Any]], guarded: set[asyncio.Task[Any]]) -> None:
    """Return when one of `ends` has ended; raise what any of `guarded` raised."""
    pending = set(guarded)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if done & ends:
            return


async def end_all(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when all have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def drain(workers: RunWorkers, watching: asyncio.Task[None], patience: float) -> None:
    """Let workers finish their calls, for `patience` seconds; `watching` ends with the last."""
    workers.drain()
    try:
        await asyncio.wait_for(asyncio.shield(watching), patience)
    except TimeoutError:
        workers.kill()
        await watching
