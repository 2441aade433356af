"""What a worker asks Kafka besides its work: how it is, and what a topic takes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tollway_workers.kafka.probe import ProbeSettings, kafka_is_well
from tollway_workers.kafka.topic_limits import topic_limits

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

    assert await topic_limits(client, [topic, f"{topic_prefix}-not-there"]) == {topic: 70_000}
    assert await topic_limits(client, []) == {}
