"""The broker and the names that every test is given."""

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def test_a_topic_of_a_tests_own_takes_a_record_and_gives_it_back(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await make_topic(partitions=3, config={"retention.ms": "600000"})
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(topic, b"a job")

    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    )
    async with consumer:
        record = await consumer.getone()
        partitions = consumer.partitions_for_topic(topic)

    assert record.value == b"a job"
    assert partitions == {0, 1, 2}
    assert topic.startswith(topic_prefix)
    assert await make_topic("named-" + topic_prefix) == "named-" + topic_prefix
