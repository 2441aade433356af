"""Brokers that the contract suites run over: the double, and the real thing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from memory_broker import MemoryBroker, MemorySink, MemorySource

from tollway_workers.clock import SystemClock
from tollway_workers.job.ports import OutgoingRecord, RecordSink, RecordSource
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.ownership.record import ReceivedRecord

MakeTopic = Callable[..., Awaitable[str]]
Committed = dict[tuple[str, int], tuple[int, str]]

MOST_BYTES = 100_000
_SESSION = 15.0
_DEADLINE = 20.0


class InMemory:
    """The double."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(most_bytes=MOST_BYTES)
        self.group = "workers"

    async def make_topic(self, name: str, partitions: int) -> str:
        return self.broker.create_topic(name, partitions)

    def source(self, instance_id: str, *topics: str) -> RecordSource:
        return MemorySource(self.broker, topics, group=self.group, instance_id=instance_id)

    def sink(self) -> RecordSink:
        return MemorySink(self.broker)

    async def committed(self) -> Committed:
        return self.broker.committed(self.group)

    async def crash(self, source: RecordSource) -> None:
        """It says nothing more."""


class OnKafka:
    """The real thing."""

    def __init__(self, servers: str, prefix: str, make_topic: MakeTopic) -> None:
        self._client: dict[str, Any] = {"bootstrap_servers": servers}
        self._make_topic = make_topic
        self.group = self._prefix = prefix

    async def make_topic(self, name: str, partitions: int) -> str:
        return await self._make_topic(f"{self._prefix}.{name}", partitions)

    def source(self, instance_id: str, *topics: str) -> RecordSource:
        settings = SourceSettings(
            client=self._client,
            topics=topics,
            group=self.group,
            instance_id=instance_id,
            session_timeout=_SESSION,
        )
        return KafkaSource(settings, SystemClock())

    def sink(self) -> RecordSink:
        return KafkaSink(SinkSettings(client=self._client, most_bytes=MOST_BYTES), SystemClock())

    async def committed(self) -> Committed:
        admin = AIOKafkaAdminClient(**self._client)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
        return {(at.topic, at.partition): (o.offset, o.metadata) for at, o in found.items()}

    async def crash(self, source: RecordSource) -> None:
        """Close its connections; a static member that merely stops says nothing to the group."""
        assert isinstance(source, KafkaSource)
        assert source._consumer is not None
        consumer, source._consumer = source._consumer, None
        await consumer.stop()
        await source.leave()


Broker = InMemory | OnKafka


class Open:
    """Sources and a sink that end with their test."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sources: list[RecordSource] = []
        self.sink = broker.sink()

    async def source(self, instance_id: str, *topics: str) -> RecordSource:
        source = self._broker.source(instance_id, *topics)
        self._sources.append(source)
        await source.start()
        return source

    async def write(self, topic: str, numbers: range, partition: int | None = None) -> None:
        for number in numbers:
            text = str(number).encode()
            await (await self.sink.send(OutgoingRecord(topic, text, text, [], partition)))

    async def close(self) -> None:
        for source in self._sources:
            await source.leave()
        await self.sink.stop()


async def turn(source: RecordSource, most: int = 100) -> list[ReceivedRecord]:
    """What a worker does all the time."""
    taken = await source.poll(most)
    await source.commit()
    return taken


async def take(source: RecordSource, count: int, most: int = 100) -> list[ReceivedRecord]:
    """`count` records, or fewer once the deadline has passed."""
    taken: list[ReceivedRecord] = []
    until = time.monotonic() + _DEADLINE
    while len(taken) < count and time.monotonic() < until:
        taken += await turn(source, most)
    return taken


async def quiet(source: RecordSource, turns: int = 4) -> list[ReceivedRecord]:
    """What a few more turns bring."""
    return [record for _ in range(turns) for record in await turn(source)]


async def together(
    first: RecordSource,
    second: RecordSource,
    until: Callable[[], bool] | None = None,
    *,
    turns: int = 1_000,
) -> list[ReceivedRecord]:
    """What two sources bring that work side by side, until something is so."""
    taken: list[ReceivedRecord] = []
    ends = time.monotonic() + _DEADLINE
    while turns and time.monotonic() < ends and not (until and until()):
        for some in await asyncio.gather(turn(first), turn(second)):
            taken += some
        turns -= 1
    return taken


def values(records: list[ReceivedRecord]) -> list[int]:
    return sorted(int(record.value or b"-1") for record in records)


def complete(source: RecordSource, records: list[ReceivedRecord]) -> None:
    for record in records:
        source.complete(record)
