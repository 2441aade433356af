"""More fleets on one Kafka and one provider, each with topics and a name of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fleet import Fleet
from ground import Ground, Setting, configuration, make_topics
from judge import Call
from traffic import Traffic

from tollway_schemas.job import Job
from tollway_schemas.topics import TopicNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A fleet, the traffic of each prefix that it reads, and a name that its calls bear."""

    name: str
    workers: Fleet
    traffics: tuple[Traffic, ...]

    def is_of(self, call: Call) -> bool:
        """Whether a call is one of its."""
        return call.worker.startswith(f"{self.name}.")

    async def publish(self, jobs: Sequence[Job]) -> None:
        """Hand the same work over to all that read."""
        await asyncio.gather(*(traffic.publish(jobs) for traffic in self.traffics))


@asynccontextmanager
async def beside(
    here: Ground, setting: Setting, name: str, alone: tuple[str, ...] = ()
) -> AsyncIterator[Beside]:
    """One fleet more, without workers yet. Workers that are `alone` are a fleet each: each knows
    nothing of the others and keeps the whole limit by itself."""
    folder = here.folder / name
    folder.mkdir()

    def config(worker: str) -> str:
        prefix = f"{name}-{worker}" if alone else name
        url = here.provider.base_url(f"{name}.{worker}")
        return configuration(setting, here.servers, url, prefix=prefix)

    prefixes = [f"{name}-{worker}" for worker in alone] or [name]
    await asyncio.gather(
        *(make_topics(folder, config(each), f"topics-{each}") for each in alone or ("all",))
    )
    async with AsyncExitStack() as stack:
        traffics = [
            await stack.enter_async_context(Traffic(here.servers, TopicNames(prefix)))
            for prefix in prefixes
        ]
        workers = await stack.enter_async_context(Fleet(folder, config))
        yield Beside(name=name, workers=workers, traffics=tuple(traffics))
