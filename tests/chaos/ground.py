"""What a scenario stands on: a Kafka, topics, a provider, a fleet and its traffic."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import Fleet
from provider import TOLLWAY, Behaviour, Provider, environment
from traffic import Traffic

from tollway_schemas.topics import TopicNames
from tollway_workers.local.kafka import BrokerOptions, LocalKafka

#: Seconds without any reply after which a run is given up.
PATIENCE = 60.0
#: Its instance ids must not meet those of another fleet on this machine.
PREFIX = "chaos"

_CONFIG = """
[kafka]
bootstrap_servers = "{servers}"
prefix = "{prefix}"
partitions = {partitions}
replication_factor = {copies}
min_insync_replicas = {in_sync}
session_timeout = {session}
[worker]
drain_timeout = 40.0
[telemetry]
log_format = "json"
[providers.simulator]
base_url = "{base_url}"
call_timeout = {call_timeout}
price = {{ input = "0.15", output = "0.60" }}
{lanes}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the runner gives to a scenario."""

    seed: int
    #: Logs and configurations: kept when a bound is broken.
    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scenario's ground is like."""

    #: TOML: lanes, limit groups and routes.
    lanes: str
    behaviour: Behaviour
    partitions: int = 12
    #: Seconds; six is the least that a broker takes.
    session: float = 6.0
    #: Seconds: the release bound too.
    call_timeout: float = 20.0
    nodes: int = 1
    #: Under whose name all workers call; None: each has an account of its own.
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All that a scenario uses."""

    folder: Path
    servers: str
    kafka: LocalKafka
    provider: Provider
    fleet: Fleet
    traffic: Traffic


@asynccontextmanager
async def ground(stage: Stage, setting: Setting, part: str = "run") -> AsyncIterator[Ground]:
    """Start everything but workers; end everything. Each part of a scenario has its own."""
    folder = stage.folder / part
    folder.mkdir()
    async with AsyncExitStack() as stack:
        stage.say("starting Kafka")
        options = BrokerOptions(
            nodes=setting.nodes,
            session_timeout_seconds=3.0 if setting.nodes > 1 else None,
        )
        kafka = LocalKafka(folder / "kafka", options)
        servers = (await stack.enter_async_context(kafka.shared())).bootstrap_servers
        provider = await stack.enter_async_context(Provider(folder, setting.behaviour))

        def config(worker: str) -> str:
            return configuration(setting, servers, provider.base_url(setting.account or worker))

        await make_topics(folder, config("topics"))
        traffic = await stack.enter_async_context(Traffic(servers, TopicNames(PREFIX)))
        fleet = await stack.enter_async_context(Fleet(folder, config))
        yield Ground(
            folder=folder,
            servers=servers,
            kafka=kafka,
            provider=provider,
            fleet=fleet,
            traffic=traffic,
        )


def configuration(setting: Setting, servers: str, base_url: str, *, prefix: str = PREFIX) -> str:
    """The file of one worker."""
    return _CONFIG.format(
        servers=servers,
        prefix=prefix,
        partitions=setting.partitions,
        copies=min(setting.nodes, 3),
        in_sync=2 if setting.nodes >= 3 else 1,
        session=setting.session,
        base_url=base_url,
        call_timeout=setting.call_timeout,
        lanes=setting.lanes,
    )


async def make_topics(folder: Path, config: str, name: str = "topics") -> None:
    """`tollway topics apply`."""
    file = folder / f"{name}.toml"
    file.write_text(config)
    process = await asyncio.create_subprocess_exec(
        *(*TOLLWAY, "topics", "apply", "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(folder),
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"tollway topics apply: {said.decode()}")
