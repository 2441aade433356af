"""A source polls on, whatever else goes on: Kafka and the watchdog must see that it lives."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError
from manual_clock import ManualClock

from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.consume import source as source_module
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.ownership.owned_partitions import Found
from tollway_workers.ownership.user_data import Orders

_TOPIC = "tollway.jobs.extract.bulk"


class _Coordinator:
    """Counts how often its member id was forgotten."""

    forgotten = 0

    def reset_generation(self) -> None:
        self.forgotten += 1


class _Consumer:
    """Brings nothing, and commits only while Kafka is there."""

    def __init__(self) -> None:
        self.polls = self.woken = 0
        self.error: KafkaError | None = None
        self._coordinator = _Coordinator()
        self.kafka_is_there = asyncio.Event()
        self.assigned = {TopicPartition(_TOPIC, 0)}

    def assignment(self) -> set[TopicPartition]:
        return set(self.assigned)

    def pause(self, *partitions: TopicPartition) -> None:
        if not self.assigned.issuperset(partitions):
            raise IllegalStateError("No current assignment")

    def resume(self, *partitions: object) -> None: ...

    def paused(self) -> set[object]:
        return set()

    async def position(self, partition: object) -> int:
        return 0

    def last_stable_offset(self, partition: object) -> None: ...

    def highwater(self, partition: object) -> None: ...

    def last_poll_timestamp(self, partition: object) -> None: ...

    async def getmany(self, *partitions: object, **options: object) -> dict[Any, Any]:
        self.polls += 1
        if self.error is not None:
            raise self.error
        return {}

    def wake(self) -> None:
        self.woken += 1

    async def commit(self, offsets: object) -> None:
        await self.kafka_is_there.wait()


@pytest.fixture
def consumer() -> _Consumer:
    return _Consumer()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(consumer: _Consumer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> KafkaSource:
    """A source that was just given a partition."""
    monkeypatch.setattr(source_module, "_CLAIM_WAIT", 0.02)
    settings = SourceSettings(
        client={}, topics=(_TOPIC,), group="workers", instance_id="one", session_timeout=15.0
    )
    source = KafkaSource(settings, clock)
    untyped: Any = consumer
    source._consumer = untyped
    source.partitions.assign(
        {(_TOPIC, 0): Found(offset=0)}, Orders(partitions={_TOPIC: 1}), clock.boottime()
    )
    source.joined = True
    return source


async def test_a_poll_returns_while_kafka_takes_no_claim(
    source: KafkaSource, consumer: _Consumer
) -> None:
    async with asyncio.timeout(5):
        await source.poll(10)
        before = consumer.polls
        consumer.kafka_is_there.set()
        await source.poll(10)

    assert before == 1
    assert not source.partitions.unclaimed


async def test_a_worker_that_drains_does_not_wait_for_records(
    source: KafkaSource, consumer: _Consumer
) -> None:
    source.drain()

    assert consumer.woken == 1


async def test_a_full_source_that_is_woken_all_the_time_polls_all_the_same(
    source: KafkaSource, consumer: _Consumer, clock: ManualClock
) -> None:
    consumer.kafka_is_there.set()
    source.hold_back([_TOPIC])

    async with asyncio.timeout(5):
        for _ in range(100):
            asyncio.get_running_loop().call_later(0.001, source._room.set)
            await source.poll(10)
            clock.advance(0.1)

    assert 5 <= consumer.polls <= 15
    assert clock.monotonic() - source.last_poll < 2.0


async def test_a_full_source_polls_on_while_a_rebalance_takes_its_partitions(
    source: KafkaSource, consumer: _Consumer
) -> None:
    consumer.kafka_is_there.set()
    await source.commit()
    source.last_poll = float("-inf")
    polling = asyncio.create_task(source.poll(0))
    await asyncio.sleep(0)

    source.joined = False
    consumer.assigned.clear()
    source._room.set()

    async with asyncio.timeout(5):
        assert await polling == []
    assert consumer.polls == 1


@pytest.mark.parametrize(
    ("error", "joined", "forgotten"),
    [(KafkaError(), False, 1), (KafkaError(), True, 0), (KafkaConnectionError(), False, 0)],
    ids=["a join", "no join", "kafka away"],
)
async def test_a_join_that_kafka_has_no_word_for_is_made_anew(
    source: KafkaSource, consumer: _Consumer, error: KafkaError, joined: bool, forgotten: int
) -> None:
    consumer.kafka_is_there.set()
    consumer.error = error
    source.joined = joined
    clock = source._clock
    assert isinstance(clock, ManualClock)

    polling = asyncio.create_task(source.poll(10))
    async with asyncio.timeout(5):
        while not polling.done():
            clock.advance(0.1)
            await asyncio.sleep(0)

    assert consumer._coordinator.forgotten == forgotten
