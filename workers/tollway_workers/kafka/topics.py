"""Reading and making topics. aiokafka returns errors of create and delete: it raises none."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, for_code

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started
from tollway_workers.policies.topic_plan import TopicPlan

#: Kafka's error code of a topic that somebody made in between.
_EXISTS = 36


async def existing_topics(client: dict[str, Any]) -> dict[str, int]:
    """Partition count of every topic that we may see. Raises BrokerUnavailable."""
    async with _Admin(client) as admin:
        described = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def apply(plan: TopicPlan, client: dict[str, Any]) -> None:
    """Make what a plan asks for.

    Raises:
        BrokerUnavailable: the broker is away, or refuses; the text says what to ask for.
    """
    async with _Admin(client) as admin:
        new = [
            NewTopic(
                topic.name,
                topic.partitions,
                topic.replication_factor,
                topic_configs=dict(topic.config),
            )
            for topic in plan.create
        ]
        if new:
            _check(await admin.create_topics(new))
        if plan.grow:
            await admin.create_partitions(
                {name: NewPartitions(count) for name, count in plan.grow.items()}
            )


def _check(response: Any) -> None:
    for topic, code, *rest in response.topic_errors:
        if code not in (0, _EXISTS):
            message = f": {rest[0]}" if rest and rest[0] else ""
            raise BrokerUnavailable(
                f"Kafka did not make topic {topic} ({for_code(code).__name__}{message}); "
                "ask its operators for what `tollway topics plan` prints"
            )


class _Admin:
    """An admin client for a few requests."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._client = client
        self._admin = AIOKafkaAdminClient(**client)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await started(self._admin, self._client)
        return self._admin

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._admin.close()
        if isinstance(error, KafkaError):
            raise BrokerUnavailable(
                f"Kafka refused a request about topics ({type(error).__name__}): "
                "check the rights of this user"
            ) from error
