"""The local Kafka for the time of a command: where it dies, it is started again on its data."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import FleetError, LocalError
from tollway_workers.local.fleet.endpoints import with_bootstrap_servers
from tollway_workers.local.fleet.progress_lines import once_each
from tollway_workers.local.kafka import LocalKafka, LocalKafkaGone, RunningBroker

Tell = Callable[[str], None]

#: Seconds between two looks at it.
_LOOK = 0.5
#: Deaths after which another start is no use, and the seconds within which they count together.
_MOST_DEATHS = 3
_TOGETHER = 60.0


@asynccontextmanager
async def broker(settings: FleetSettings, tell: Tell) -> AsyncIterator[FleetSettings]:
    """The fleet's settings with a broker that is at work: the one named, else the local one."""
    if settings.kafka.bootstrap_servers is not None:
        yield settings
        return
    async with local_broker(tell) as running:
        yield with_bootstrap_servers(settings, running.bootstrap_servers)


@asynccontextmanager
async def local_broker(tell: Tell) -> AsyncIterator[RunningBroker]:
    """The local Kafka, kept alive for the time of the block.

    Raises LocalError, which ends the block at once, where it cannot be.
    """
    kafka = LocalKafka(on_progress=once_each(tell))
    async with kafka.shared() as running, _beside(_keep_alive(kafka, running)):
        yield running


async def _keep_alive(kafka: LocalKafka, running: RunningBroker) -> None:
    """Until cancelled. Raises LocalError."""
    deaths: list[float] = []
    while True:
        await asyncio.sleep(_LOOK)
        found = kafka.status()
        if found is not None and found.started_at == running.started_at:
            continue
        now = time.monotonic()
        deaths = [*(each for each in deaths if now - each < _TOGETHER), now]
        if len(deaths) >= _MOST_DEATHS:
            raise LocalError(_why(kafka, running))
        try:
            running = await _again(kafka, running)
        except LocalKafkaGone:
            raise
        except LocalError:
            # It counts as one more death, at the next look; its log says why.
            continue


async def _again(kafka: LocalKafka, before: RunningBroker) -> RunningBroker:
    """At work again, where it was before."""
    found = await kafka.revived()
    if found.bootstrap_servers != before.bootstrap_servers:
        raise LocalKafkaGone(
            f"the local Kafka moved from {before.bootstrap_servers} to {found.bootstrap_servers} "
            "while this command used it: give the command again"
        )
    return found


def _why(kafka: LocalKafka, running: RunningBroker) -> str:
    last = next((line.strip() for line in reversed(kafka.logs()) if line.strip()), "")
    said = f"it said last: {last[:300]}" if last else "it said nothing"
    return (
        f"the local Kafka does not stay alive (it ended {_MOST_DEATHS} times within a minute); "
        f"{said}; its log is {running.log_file}; the same command goes on later"
    )


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do `work` for the time of the block; a FleetError of it ends the block, and is raised."""
    block = asyncio.current_task()
    failed: list[FleetError] = []

    async def guarded() -> None:
        try:
            await work
        except FleetError as error:
            failed.append(error)
            if block is not None:
                block.cancel()

    working = asyncio.create_task(guarded())
    try:
        yield
    except BaseException:
        if not failed:
            raise
        if block is not None:
            block.uncancel()
        raise failed[0] from None
    finally:
        working.cancel()
        await asyncio.wait({working})
