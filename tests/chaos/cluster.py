"""What Kafka itself says of brokers, leaders and the workers' group."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError
from eventually import eventually

from tollway_workers.local.kafka.probe import brokers_known_to

#: Seconds until a broker that was started serves clients.
_SERVES = 120.0

#: A topic and a partition.
Place = tuple[str, int]


@asynccontextmanager
async def admin(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for a few questions."""
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def coordinator_of(servers: str, group: str) -> int:
    """The node that looks after a group."""
    async with admin(servers) as client:
        return int(await client.find_coordinator(group))


async def leaders_of(servers: str, topic: str) -> dict[int, int]:
    """The leading node of each partition."""
    async with admin(servers) as client:
        described = await client.describe_topics([topic])
    return {each["partition"]: each["leader"] for each in described[0]["partitions"]}


async def records_in(servers: str, topic: str) -> int:
    """Records that were ever written to a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        places = [TopicPartition(topic, each) for each in await leaders_of(servers, topic)]
        return sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()


async def until_in_sync(servers: str, copies: int, *, patience: float) -> None:
    """Return when every partition has all its copies. Raises TimeoutError."""
    await eventually(lambda: _in_sync(servers, copies), patience)


async def _in_sync(servers: str, copies: int) -> bool:
    try:
        async with admin(servers) as client:
            described = await client.describe_topics()
    except KafkaError:
        return False
    return all(
        len(partition["isr"]) == copies for topic in described for partition in topic["partitions"]
    )


async def until_at_work(ports: list[int]) -> None:
    """Return when the first of these brokers serves clients.

    A broker that was started does that only when the controllers have a quorum again and let it
    in: it is then that leaders are elected.
    """

    async def one_serves() -> bool:
        known = await asyncio.gather(*(asyncio.to_thread(brokers_known_to, p) for p in ports))
        return any(known)

    await eventually(one_serves, _SERVES)


async def owners(servers: str, group: str) -> dict[Place, list[str]]:
    """The members that have each partition, by the group's own assignment."""
    async with admin(servers) as client:
        response: Any = (await client.describe_consumer_groups([group]))[0]
    found: dict[Place, list[str]] = {}
    # Error, name, state, protocol type, protocol, members.
    for member in response.groups[0][5]:
        if not member[-1]:
            continue
        assignment = ConsumerProtocolMemberAssignment.decode(bytes(member[-1]))
        for place in assignment.partitions():
            found.setdefault((place.topic, place.partition), []).append(str(member[0]))
    return found


async def job_places(servers: str, prefix: str) -> set[Place]:
    """Every partition that jobs may lie in."""
    async with admin(servers) as client:
        described = await client.describe_topics()
    return {
        (topic["topic"], partition["partition"])
        for topic in described
        if topic["topic"].startswith((f"{prefix}.jobs.", f"{prefix}.lanes."))
        for partition in topic["partitions"]
    }
