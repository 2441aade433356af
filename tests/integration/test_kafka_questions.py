"""What a worker asks Kafka besides its work: how it is, and what a topic takes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import TopicPartition

from tollway_workers.clock import SystemClock
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.consume.backlog import Backlog
from tollway_workers.kafka.probe import ProbeSettings, kafka_is_well
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.produce.topic_limits import topic_limits

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]


def probe(servers: str, *topics: str, min_insync: int = 1) -> ProbeSettings:
    return ProbeSettings(
        client={"bootstrap_servers": servers},
        group="probed.workers",
        topics=topics,
        min_insync_replicas=min_insync,
    )


async def test_a_broker_with_our_topics_is_well(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic(None, 4)

    async with asyncio.timeout(30):
        # A broker that was never asked for a coordinator first makes the topic of commits.
        while not await kafka_is_well(probe(bootstrap_servers, topic)):
            continue


async def test_a_broker_that_lacks_a_topic_of_ours_is_not_well(
    bootstrap_servers: str, topic_prefix: str
) -> None:
    assert not await kafka_is_well(probe(bootstrap_servers, f"{topic_prefix}-not-there"))


async def test_where_nobody_listens_kafka_is_not_well() -> None:
    assert not await kafka_is_well(probe("127.0.0.1:9", "any"))


async def test_the_limit_of_a_topic_is_read_where_it_may_be(
    bootstrap_servers: str, make_topic: MakeTopic, topic_prefix: str
) -> None:
    topic = await make_topic(None, 1, {"max.message.bytes": "70000"})
    client = {"bootstrap_servers": bootstrap_servers}

    found: dict[str, int] = {}
    async with asyncio.timeout(20):
        # The broker that is asked may not have heard of the topic yet.
        while not found:
            found = await topic_limits(client, [topic, f"{topic_prefix}-not-there"])

    assert found == {topic: 70_000}
    assert await topic_limits(client, []) == {}


async def test_the_ends_of_the_partitions_that_are_ours_are_read(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    client = {"bootstrap_servers": bootstrap_servers}
    ours = [TopicPartition(await make_topic(None, 2), 1)]
    sink = KafkaSink(SinkSettings(client=client, most_bytes=1_000), SystemClock())
    await sink.start()
    for _ in range(3):
        await (await sink.send(OutgoingRecord(ours[0].topic, b"key", b"value", [], 1)))
    await sink.stop()

    backlog = Backlog(client, lambda: ours, SystemClock())
    reading = asyncio.create_task(backlog.run())
    deadline = asyncio.get_running_loop().time() + 20.0
    while not backlog.ends:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    assert backlog.ends == {ours[0]: 3}
