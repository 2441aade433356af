"""Unfinished jobs by Kafka's commits, where no worker is alive to report them."""

from collections.abc import Iterable

from tollway_schemas.topics import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.group.unfinished import unfinished_records
from tollway_workers.kafka.topic_admin import existing_topics


async def unfinished_jobs(kafka: KafkaSettings) -> dict[str, int]:
    """How many jobs are not finished in each topic that has some, by the topic's name.

    Raises BrokerUnavailable, ConfigError.
    """
    existing = sorted(await existing_topics(client_options(kafka)))
    begins = tuple(f"{kafka.prefix}.{kind}." for kind in ("jobs", "lanes", "retry"))
    found = await unfinished_in(kafka, (name for name in existing if name.startswith(begins)))
    return {topic: count for topic, count in found.items() if count}


async def unfinished_in(kafka: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """For each of these topics of jobs, how many are not finished: by the group that reads it.

    Raises BrokerUnavailable, ConfigError.
    """
    client, names = client_options(kafka), TopicNames(kafka.prefix)
    relayed: list[str] = []
    worked: list[str] = []
    for topic in topics:
        (relayed if topic.startswith(f"{kafka.prefix}.retry.") else worked).append(topic)
    return {
        **await unfinished_records(client, names.worker_group, worked),
        **await unfinished_records(client, names.relay_group, relayed),
    }
