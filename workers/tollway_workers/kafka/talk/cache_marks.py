"""Writes marks of what is forgotten to the cache's topic, for `tollway cache forget`."""

from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tollway_schemas.cache import Forget
from tollway_schemas.codec import encode
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.kafka.read.log_reader import LogReader


class WrittenMarks(NamedTuple):
    """Where a mark stands."""

    #: By partition.
    offsets: dict[int, int]
    #: Kafka's time of the last one, in seconds since 1970.
    at: float


async def write_mark(client: dict[str, Any], topic: str, mark: Forget) -> WrittenMarks:
    """Write it to every partition. Raises BrokerUnavailable: then some of them may lack it."""
    partitions = await _partitions(client, topic)
    producer = AIOKafkaProducer(**client, acks="all", enable_idempotence=True)
    await started(producer, client)
    key, value = mark.record_key, encode(mark)
    try:
        written = [
            await producer.send_and_wait(topic, value, key, partition=number)
            for number in range(partitions)
        ]
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka does not take a record for {topic} ({type(error).__name__}), so that not all "
            "is forgotten: this user needs the right to write it; then give the command again"
        ) from error
    finally:
        await stopped(producer, STOP_TIMEOUT, "the writer of marks")
    offsets = {each.partition: each.offset for each in written}
    return WrittenMarks(offsets, max(each.timestamp for each in written) / 1000)


async def _partitions(client: dict[str, Any], topic: str) -> int:
    reader = LogReader(client)
    await reader.start()
    try:
        return len(await reader.ends([topic]))
    finally:
        await reader.stop()
