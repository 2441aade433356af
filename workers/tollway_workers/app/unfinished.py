"""What is left to do by Kafka's own account, where no worker is there to say it."""

from tollway_schemas.topics import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.config.kafka import KafkaSettings
from tollway_workers.kafka.topics import existing_topics
from tollway_workers.kafka.unfinished import unfinished_records


async def unfinished_jobs(kafka: KafkaSettings) -> dict[str, int]:
    """How many jobs are not finished in each topic that has some, by the topic's name.

    Raises BrokerUnavailable, ConfigError.
    """
    client, names = client_options(kafka), TopicNames(kafka.prefix)
    existing = sorted(await existing_topics(client))
    found: dict[str, int] = {}
    for group, kinds in ((names.worker_group, ("jobs", "lanes")), (names.relay_group, ("retry",))):
        begins = tuple(f"{kafka.prefix}.{kind}." for kind in kinds)
        topics = [topic for topic in existing if topic.startswith(begins)]
        found |= await unfinished_records(client, group, topics)
    return {topic: count for topic, count in found.items() if count}
