"""What every broker must do for a worker: one suite, over the double and over the real thing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tollway_workers.clock import SystemClock
from tollway_workers.kafka.ports import OutgoingRecord, RecordSink, RecordSource, RecordTooLarge
from tollway_workers.kafka.settings import SinkSettings, SourceSettings
from tollway_workers.kafka.sink import KafkaSink
from tollway_workers.kafka.source import KafkaSource
from tollway_workers.policies import offset_map
from tollway_workers.policies.record import ReceivedRecord
from tollway_workers.testing.memory_broker import MemoryBroker, MemorySink, MemorySource

MakeTopic = Callable[..., Awaitable[str]]
Committed = dict[tuple[str, int], tuple[int, str]]

_MOST_BYTES = 100_000
_SESSION = 15.0
_DEADLINE = 20.0


class InMemory:
    """The double."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(most_bytes=_MOST_BYTES)
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
        return KafkaSink(SinkSettings(client=self._client, most_bytes=_MOST_BYTES), SystemClock())

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
        source._ready.clear()
        assert source._consumer is not None
        await source._consumer.stop()
        source._consumer = None
        await source.leave()


Broker = InMemory | OnKafka


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "memory":
        return InMemory()
    servers, prefix, make_topic = (
        request.getfixturevalue(each)
        for each in ("bootstrap_servers", "topic_prefix", "make_topic")
    )
    return OnKafka(servers, prefix, make_topic)


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


@pytest.fixture
async def opened(broker: Broker) -> AsyncIterator[Open]:
    opened = Open(broker)
    await opened.sink.start()
    yield opened
    await opened.close()


async def take(source: RecordSource, count: int, most: int = 100) -> list[ReceivedRecord]:
    """`count` records, or fewer once the deadline has passed."""
    taken: list[ReceivedRecord] = []
    until = time.monotonic() + _DEADLINE
    while len(taken) < count and time.monotonic() < until:
        taken += await source.poll(most)
    return taken


async def quiet(source: RecordSource, polls: int = 4) -> list[ReceivedRecord]:
    """What a few more polls bring."""
    return [record for _ in range(polls) for record in await source.poll(100)]


def values(records: list[ReceivedRecord]) -> list[int]:
    return sorted(int(record.value or b"-1") for record in records)


def complete(source: RecordSource, records: list[ReceivedRecord]) -> None:
    for record in records:
        source.complete(record)


async def test_each_record_comes_once_with_all_it_says(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 3)
    await opened.write(topic, range(50))
    await (
        await opened.sink.send(OutgoingRecord(topic, b"k", b"50", [("a", b"1"), ("a", b"2")], 2))
    )
    source = await opened.source("one", topic)

    taken = await take(source, 51) + await quiet(source)

    assert values(taken) == list(range(51))
    last = next(record for record in taken if record.value == b"50")
    assert (last.topic, last.partition, last.key) == (topic, 2, b"k")
    assert list(last.headers) == [("a", b"1"), ("a", b"2")]
    assert last.timestamp > 1_600_000_000


async def test_a_poll_brings_no_more_than_it_was_asked_for(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(20))
    source = await opened.source("one", topic)
    first = await take(source, 1, most=1)

    taken = [await source.poll(3) for _ in range(5)]
    none = await source.poll(0)

    assert len(first) == 1
    assert max(map(len, taken)) <= 3
    assert none == []


async def test_what_was_completed_behind_a_running_record_survives_a_crash(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 1)
    await opened.write(topic, range(10))
    source = await opened.source("one", topic)
    taken = await take(source, 10)
    complete(source, [record for record in taken if record.value not in (b"3", b"7")])
    await source.commit()

    await broker.crash(source)
    again = await opened.source("one", topic)
    after = await take(again, 2) + await quiet(again)

    assert values(after) == [3, 7]


async def test_what_was_not_committed_comes_again_after_a_crash(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(10))
    source = await opened.source("one", topic)
    complete(source, await take(source, 10))

    await broker.crash(source)
    again = await opened.source("one", topic)

    assert values(await take(again, 10)) == list(range(10))


async def test_an_idle_partition_commits_its_end(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(4), partition=1)
    source = await opened.source("one", topic)
    complete(source, await take(source, 4))
    await quiet(source, 1)

    await source.commit()

    assert await broker.committed() == {(topic, 0): (0, ""), (topic, 1): (4, "")}


async def test_the_map_can_be_read_back_from_outside(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 1)
    await opened.write(topic, range(6))
    source = await opened.source("one", topic)
    complete(source, [r for r in await take(source, 6) if r.offset in (0, 2, 4, 5)])

    await source.commit()

    offset, metadata = (await broker.committed())[topic, 0]
    assert (offset, offset_map.decode(offset, metadata)) == (1, {2, 4, 5})


async def test_a_topic_that_is_held_back_waits_and_the_other_goes_on(
    broker: Broker, opened: Open
) -> None:
    busy, free = await broker.make_topic("busy", 1), await broker.make_topic("free", 1)
    await opened.write(busy, range(100, 105))
    source = await opened.source("one", busy, free)
    await take(source, 5)

    source.hold_back([busy])
    await opened.write(busy, range(105, 110))
    await opened.write(free, range(5))
    while_held = await take(source, 5) + await quiet(source)
    source.hold_back([busy, free])
    all_held = await quiet(source, 2)
    source.hold_back([])
    released = await take(source, 5)

    assert values(while_held) == list(range(5))
    assert all_held == []
    assert values(released) == list(range(105, 110))


async def test_two_sources_share_the_partitions_and_what_stays_is_not_read_again(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 4)
    for partition in range(4):
        await opened.write(topic, range(10 * partition, 10 * partition + 5), partition)
    first = await opened.source("one", topic)
    before = await take(first, 20)

    second = await opened.source("two", topic)
    polling = asyncio.create_task(take(first, 1))
    moved = await take(second, 10)
    for partition in range(4):
        await opened.write(topic, range(10 * partition + 5, 10 * partition + 10), partition)
    moved += await take(second, 10)
    stayed = await polling
    stayed += await take(first, 10 - len(stayed))
    extra = await quiet(first) + await quiet(second)

    kept = {record.partition for record in stayed}
    assert len(kept) == 2
    assert values(moved) == sorted(10 * p + n for p in {0, 1, 2, 3} - kept for n in range(10))
    assert values(stayed) == sorted(10 * p + n for p in kept for n in range(5, 10))
    assert extra == []
    assert {r.partition for r in before if r.tracker.owned} == kept


async def test_leaving_gives_the_partitions_to_others_at_once(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 4)
    first = await opened.source("one", topic)
    second = await opened.source("two", topic)
    await asyncio.gather(quiet(first, 8), quiet(second, 8))
    await first.leave()
    started = time.monotonic()

    for partition in range(4):
        await opened.write(topic, range(partition, partition + 1), partition)
    taken = await take(second, 4)

    assert values(taken) == [0, 1, 2, 3]
    assert time.monotonic() - started < 5.0


async def test_a_record_over_the_limit_is_refused_and_the_sink_goes_on(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("replies", 1)
    source = await opened.source("one", topic)

    with pytest.raises(RecordTooLarge):
        await opened.sink.send(OutgoingRecord(topic, b"k", b"x" * _MOST_BYTES, []))
    await opened.write(topic, range(1))

    assert values(await take(source, 1)) == [0]


async def test_a_record_goes_to_the_partition_it_names_or_to_that_of_its_key(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("replies", 5)
    source = await opened.source("one", topic)
    to: list[tuple[bytes, int | None]] = [(b"1", 4), (b"1", None), (b"1", 17), (b"1", None)]

    for value, (key, partition) in enumerate(to):
        record = OutgoingRecord(topic, key, str(value).encode(), [], partition)
        await (await opened.sink.send(record))
    where = {int(r.value or b""): r.partition for r in await take(source, 4)}

    assert where[0] == 4
    assert where[1] == where[2] == where[3]


async def test_leaving_twice_and_stopping_twice_is_no_error(broker: Broker, opened: Open) -> None:
    source: Any = await opened.source("one", await broker.make_topic("jobs", 1))

    await source.leave()
    await source.leave()
    await opened.sink.stop()
    await opened.sink.stop()

    assert source.owned == 0
