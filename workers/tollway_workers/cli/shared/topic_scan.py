"""Which Kafka a command looks at, and reading one of its topics from beginning to end."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tollway_workers.app.connection import client_options
from tollway_workers.cli.shared.output import say
from tollway_workers.config.load.environment import CONFIG_VARIABLE
from tollway_workers.config.load.layers import DEFAULT_FILE, build_fleet, load_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import LocalError
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.produce.partitioner import partition_of
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.local.kafka import LocalKafka
from tollway_workers.ownership.partition import Partition

Config = Annotated[
    Path | None,
    typer.Option(
        help="The fleet's TOML file. Default: what TOLLWAY_CONFIG names, else tollway.toml."
    ),
]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        help="Kafka, as host:port. Default: TOLLWAY_BOOTSTRAP_SERVERS, else the local one.",
    ),
]
Prefix = Annotated[
    str | None, typer.Option(help="First word of the fleet's topics. Default: tollway.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")]


@dataclass(frozen=True, slots=True)
class Place:
    """A Kafka, and the fleet on it as far as a configuration says."""

    kafka: KafkaSettings
    #: None where there is no configuration.
    fleet: FleetSettings | None = None


def place_of(config: Path | None, servers: str | None, prefix: str | None) -> Place:
    """The Kafka that is named; where none is, the local one if it runs, which is then said.

    A configuration is not needed. Raises ConfigError for one that cannot be used.
    """
    overrides = {"kafka.bootstrap_servers": servers, "kafka.prefix": prefix}
    environ: Mapping[str, str] = os.environ
    fleet = None
    if config or environ.get(CONFIG_VARIABLE) or DEFAULT_FILE.exists():
        fleet = load_fleet(config, environ=environ, overrides=overrides)
        kafka = fleet.kafka
    else:
        kafka = build_fleet({}, source="command line", environ=environ, overrides=overrides).kafka
    if kafka.bootstrap_servers is None and (local := _local_broker()) is not None:
        say(f"reading the Kafka on this machine, {local}", to_stderr=True)
        kafka = kafka.model_copy(update={"bootstrap_servers": local})
    return Place(kafka, fleet)


def place_options(
    config: Path | None, servers: str | None, prefix: str | None = None
) -> tuple[str, ...]:
    """The options that name the same fleet to another command."""
    given = {"--config": config, "--bootstrap-servers": servers, "--prefix": prefix}
    pairs = ((option, str(value)) for option, value in given.items() if value is not None)
    return tuple(word for pair in pairs for word in pair)


def kafka_of(config: Path | None, servers: str | None, prefix: str | None) -> KafkaSettings:
    """The Kafka of `place_of` alone."""
    return place_of(config, servers, prefix).kafka


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The records of a topic that are read."""

    records: AsyncIterator[LoggedRecord]
    #: How many there are at most.
    count: int
    #: The one partition they are in; None: all are read.
    partition: int | None


@asynccontextmanager
async def scanning(
    kafka: KafkaSettings, topic: str, *, since: float | None = None, key: bytes | None = None
) -> AsyncIterator[Scan]:
    """What the topic holds now, from `since` (seconds since 1970) on.

    With `key`, only the partition that Kafka's partitioner gives it. Raises ConfigError, or
    BrokerUnavailable, also where the topic is not there.
    """
    quieten_client_logs()
    reader = LogReader(client_options(kafka))
    await reader.start()
    try:
        ends = await reader.ends([topic])
        partition = None
        if key is not None:
            partition = partition_of(key, len(ends))
            ends = {(topic, partition): ends[topic, partition]}
        starts = await reader.starts(ends, since)
        yield Scan(
            records=reader.between(starts, ends), count=_count(starts, ends), partition=partition
        )
    finally:
        await reader.stop()


def _count(starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> int:
    return sum(max(0, end - starts[partition]) for partition, end in ends.items())


def _local_broker() -> str | None:
    try:
        running = LocalKafka().status()
    except LocalError:
        # Then none is used: who asks for none hears that none is named.
        return None
    return None if running is None else running.bootstrap_servers
