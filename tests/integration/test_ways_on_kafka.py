"""The ways a job takes besides its jobs topic, on a real broker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tollway_schemas import headers
from tollway_schemas.failure import Failure
from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import SystemClock
from tollway_workers.kafka.ports import OutgoingRecord
from tollway_workers.kafka.relay import Relay
from tollway_workers.kafka.settings import SinkSettings, SourceSettings
from tollway_workers.kafka.sink import KafkaSink
from tollway_workers.kafka.tiers import KafkaTierSource
from tollway_workers.policies.record import ReceivedRecord
from tollway_workers.policies.relay import Ways

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]
_TIERS = (2.0, 5.0)
_PARTITIONS = 4


async def _no_giving_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
    raise AssertionError(failure.message)


@dataclass
class Ground:
    """Retry topics, a lane's topic, and relays that end with their test."""

    client: dict[str, Any]
    ways: Ways
    sink: KafkaSink
    relays: list[tuple[Relay, KafkaTierSource, asyncio.Task[None]]] = field(default_factory=list)

    async def relay(self, name: str) -> tuple[Relay, KafkaTierSource]:
        settings = SourceSettings(
            client=self.client,
            topics=tuple(self.ways.names.retry(tier) for tier in self.ways.tiers),
            group=self.ways.names.relay_group,
            instance_id=name,
            session_timeout=6.0,
        )
        source = KafkaTierSource(settings, SystemClock())
        relay = Relay(source, self.sink, self.ways, SystemClock(), _no_giving_up)
        self.relays.append((relay, source, asyncio.create_task(relay.run())))
        return relay, source

    async def wait(self, tier: float, job: str, due: float) -> None:
        about = headers.encode(
            ((headers.LANE, "main"), (headers.PRIORITY, "bulk"), (headers.DUE, f"{due:.3f}"))
        )
        record = OutgoingRecord(self.ways.names.retry(tier), job.encode(), b"{}", about)
        await (await self.sink.send(record))

    async def back(self, count: int, seconds: float = 30.0) -> dict[bytes, list[float]]:
        """When each job came back, once `count` records have; more are waited for a moment."""
        topic = self.ways.names.lane("main", Priority.BULK)
        consumer = AIOKafkaConsumer(**self.client, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(topic, number) for number in range(_PARTITIONS)])
        found: dict[bytes, list[float]] = {}
        until = time.monotonic() + seconds
        try:
            while sum(map(len, found.values())) < count and time.monotonic() < until:
                _note(found, await consumer.getmany(timeout_ms=200))
            _note(found, await consumer.getmany(timeout_ms=1500))
        finally:
            await consumer.stop()
        return found

    async def left_to_do(self) -> int:
        """Records of retry topics that are not committed."""
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            commits = await admin.list_consumer_group_offsets(self.ways.names.relay_group)
        finally:
            await admin.close()
        consumer = AIOKafkaConsumer(**self.client)
        await consumer.start()
        try:
            places = [
                TopicPartition(self.ways.names.retry(tier), number)
                for tier in self.ways.tiers
                for number in range(_PARTITIONS)
            ]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
        done = {place: commit.offset for place, commit in commits.items()}
        return sum(end - max(done.get(place, 0), 0) for place, end in ends.items())

    async def close(self) -> None:
        for relay, source, running in self.relays:
            relay.stop()
            await asyncio.wait({running}, timeout=10)
            await source.leave()
        await self.sink.stop()


def _note(found: dict[bytes, list[float]], batches: dict[Any, list[Any]]) -> None:
    for records in batches.values():
        for record in records:
            found.setdefault(record.key, []).append(record.timestamp / 1000)


@pytest.fixture
async def ground(
    bootstrap_servers: str, topic_prefix: str, make_topic: MakeTopic
) -> AsyncIterator[Ground]:
    names = TopicNames(topic_prefix)
    for tier in _TIERS:
        await make_topic(names.retry(tier), _PARTITIONS)
    await make_topic(names.lane("main", Priority.BULK), _PARTITIONS)
    client = {"bootstrap_servers": bootstrap_servers}
    sink = KafkaSink(SinkSettings(client=client, most_bytes=100_000), SystemClock())
    await sink.start()
    ways = Ways(names=names, first_lanes={"r": "main"}, lanes=frozenset({"main"}), tiers=_TIERS)
    ground = Ground(client, ways, sink)
    yield ground
    await ground.close()


async def test_jobs_come_back_when_they_are_due_and_are_committed_at_once(ground: Ground) -> None:
    await ground.relay("one")
    due: dict[bytes, float] = {}
    for number in range(40):
        tier = _TIERS[number % 2]
        at = time.time() + tier
        due[str(number).encode()] = at
        await ground.wait(tier, str(number), at)

    back = await ground.back(40)

    assert {job: len(times) for job, times in back.items()} == dict.fromkeys(due, 1)
    late = [back[job][0] - due[job] for job in due]
    # Records carry the producer's time in whole milliseconds.
    assert min(late) > -0.002
    assert max(late) < 2.0
    assert await ground.left_to_do() == 0


async def test_relays_that_join_and_leave_put_nothing_back_twice(ground: Ground) -> None:
    first, _ = await ground.relay("one")
    for number in range(300):
        await ground.wait(2.0, str(number), time.time() + 2.0)
    await ground.relay("two")
    for number in range(300, 600):
        await ground.wait(2.0, str(number), time.time() + 1.0)
    first.stop()
    for number in range(600, 800):
        await ground.wait(2.0, str(number), time.time() + 0.5)

    back = await ground.back(800)

    assert len(back) == 800
    assert Counter(map(len, back.values())) == {1: 800}


async def test_after_a_crash_another_relay_goes_on_and_nothing_is_lost(ground: Ground) -> None:
    relay, source = await ground.relay("one")
    for number in range(50):
        await ground.wait(2.0, str(number), time.time())
    await ground.back(50)
    running = ground.relays[0][2]
    # As a killed process: it neither commits nor leaves.
    consumer, source._consumer = source._consumer, None
    running.cancel()
    await asyncio.wait({running})
    assert consumer is not None
    await consumer.stop()
    for number in range(50, 100):
        await ground.wait(2.0, str(number), time.time())

    await ground.relay("one")
    back = await ground.back(100)

    assert relay.relayed == 50
    assert len(back) == 100
    assert sum(map(len, back.values())) == 100
