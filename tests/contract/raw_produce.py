"""Writes batches as they are: what no client makes, and Kafka takes."""

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

_TIMEOUT_MS = 10_000


async def produce_raw(servers: str, topic: str, partition: int, *batches: bytes) -> list[int]:
    """Kafka's error for each batch; 0 where it took it."""
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        (node,) = {
            each.leader
            for each in client.cluster._partitions[topic].values()
            if each.partition == partition
        }
        errors = []
        for batch in batches:
            request = ProduceRequest(
                transactional_id=None,
                required_acks=-1,
                timeout=_TIMEOUT_MS,
                topics=[(topic, [(partition, batch)])],
            )
            response = await client.send(node, request)
            ((_, ((_, error, *_),)),) = response.topics
            errors.append(error)
        return errors
    finally:
        await client.close()
