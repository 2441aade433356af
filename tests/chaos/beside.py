"""More fleets on one Kafka and one provider, each with topics and a name of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from account import RATES, Binding
from fleet import Fleet
from ground import Ground, Setting, configuration, make_topics
from judge import Call
from traffic import Traffic

from tollway_schemas.command import Action, Command
from tollway_schemas.topics import TopicNames
from tollway_workers.cli.saying import Saying
from tollway_workers.config.kafka import KafkaSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A fleet, the traffic of each prefix that it reads, and a name that its calls bear."""

    name: str
    servers: str
    workers: Fleet
    traffics: tuple[Traffic, ...]

    def is_of(self, call: Call) -> bool:
        """Whether a call is one of its."""
        return call.worker.startswith(f"{self.name}.")

    async def call_only(self, lane: Binding) -> None:
        """Pause the other lane and let this one go on, as an operator would."""
        await asyncio.gather(
            *(self._call_only(traffic.names.prefix, lane) for traffic in self.traffics)
        )

    async def _call_only(self, prefix: str, lane: Binding) -> None:
        saying = Saying(KafkaSettings(bootstrap_servers=self.servers, prefix=prefix))
        paused = await saying.commands()
        await saying.say([_pause(other) for other in RATES if other != lane])
        resumed = [key for key, command in paused.items() if command.lane == lane]
        if resumed:
            await saying.take_back(resumed)


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
        yield Beside(name=name, servers=here.servers, workers=workers, traffics=tuple(traffics))


def _pause(lane: str) -> Command:
    now = datetime.now(UTC)
    return Command(
        action=Action.PAUSE, lane=lane, issued_at=now, expires_at=now + timedelta(hours=1)
    )
