"""A consumer that waits for records and is woken: it returns at once, and loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tollway_schemas.reading.consumer import RecordConsumer

pytestmark = pytest.mark.kafka

_RECORDS = 200


@pytest.fixture
async def topic(make_topic: Callable[..., Awaitable[str]], topic_prefix: str) -> str:
    return await make_topic(f"{topic_prefix}.woken", 1)


@pytest.fixture
async def consumer(bootstrap_servers: str, topic: str) -> AsyncIterator[RecordConsumer]:
    consumer = RecordConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    yield consumer
    await consumer.stop()


async def test_a_consumer_that_waits_returns_once_it_is_woken(consumer: RecordConsumer) -> None:
    consumer.wake()
    waiting = asyncio.create_task(consumer.getmany(timeout_ms=600_000))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done

    consumer.wake()
    consumer.wake()

    async with asyncio.timeout(30):
        assert await waiting == {}


async def test_a_consumer_that_is_woken_all_the_time_reads_each_record_once(
    bootstrap_servers: str, topic: str, consumer: RecordConsumer
) -> None:
    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
            for number in range(_RECORDS):
                await producer.send_and_wait(topic, str(number).encode())

    async def wake() -> None:
        while True:
            consumer.wake()
            await asyncio.sleep(0)

    waking, writing = asyncio.create_task(wake()), asyncio.create_task(write())
    found: list[int] = []
    async with asyncio.timeout(60):
        while len(found) < _RECORDS:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=3)).values():
                found += [int(record.value or b"") for record in records]
    waking.cancel()
    await writing

    assert found == [*range(_RECORDS)]
    assert await consumer.getmany(timeout_ms=300) == {}
