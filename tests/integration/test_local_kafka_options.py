"""What only tests ask of the local Kafka: three nodes, and a listener with TLS and SCRAM."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from tollway_workers.local.kafka import BrokerOptions, LocalKafka, RunningBroker

CreateTopics = Callable[..., Awaitable[None]]

#: Seconds. Three nodes share the cores of one machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Secure(Protocol):
    """What the `secure_kafka` fixture gives."""

    bootstrap_servers: str
    ca_file: Path
    username: str
    password: str


@pytest.fixture
def cluster(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> LocalKafka:
    options = BrokerOptions(nodes=3, session_timeout_seconds=2)
    return LocalKafka(tmp_path, options)


async def produce(broker: RunningBroker, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=10_000,
    )
    async with producer:
        for value in values:
            await producer.send_and_wait("copied", value)


async def leader_of_three(admin: AIOKafkaAdminClient) -> int:
    """Make the topic on three nodes, each of which must have been heard of, and name its leader."""
    while True:
        # Errors of both are returned, not raised: too few brokers yet, or no leader yet.
        await admin.create_topics([NewTopic("copied", 1, 3)])
        partitions = (await admin.describe_topics(["copied"]))[0]["partitions"]
        if partitions and partitions[0]["leader"] >= 0:
            return int(partitions[0]["leader"])
        await asyncio.sleep(0.1)


async def test_three_nodes_lose_nothing_when_one_is_killed_and_take_it_back(
    cluster: LocalKafka,
) -> None:
    async with cluster.shared() as broker:
        assert broker.bootstrap_servers.count(",") == 2
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        leader = await leader_of_three(admin)
        await admin.close()
        await produce(broker, [b"before"])

        await asyncio.to_thread(cluster.kill_node, leader)
        await produce(broker, [b"while one is away"])
        await asyncio.to_thread(cluster.start_node, leader)
        await produce(broker, [b"after"])

        consumer = AIOKafkaConsumer(
            "copied", bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            values = [(await consumer.getone()).value for _ in range(3)]
    assert values == [b"before", b"while one is away", b"after"]
    assert cluster.status() is None


def client_settings(secure: Secure, password: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": secure.bootstrap_servers,
        "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=str(secure.ca_file)),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": secure.username,
        "sasl_plain_password": password,
    }


async def test_the_secure_listener_lets_the_right_password_in(
    secure_kafka: Secure, create_topics: CreateTopics
) -> None:
    settings = client_settings(secure_kafka, secure_kafka.password)
    await create_topics("secret", **settings)

    async with AIOKafkaConsumer("secret", **settings) as consumer:
        assert consumer.assignment()


async def test_the_secure_listener_refuses_a_wrong_password(secure_kafka: Secure) -> None:
    producer = AIOKafkaProducer(**client_settings(secure_kafka, "wrong"))

    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()


async def test_the_secure_listener_is_not_trusted_without_its_authority(
    secure_kafka: Secure,
) -> None:
    settings = client_settings(secure_kafka, secure_kafka.password)
    settings["ssl_context"] = ssl.create_default_context()
    producer = AIOKafkaProducer(**settings)

    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()
