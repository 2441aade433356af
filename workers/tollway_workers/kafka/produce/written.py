"""The partition and offset of a record that was handed to a sink."""

from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import KafkaError

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.ownership.partition import Partition


async def place_of(acknowledgement: Awaitable[Any]) -> tuple[Partition, int]:
    """The place, and an offset that the record does not lie before: that of its batch.

    Raises BrokerUnavailable if Kafka did not take it.
    """
    try:
        written = await acknowledgement
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka did not take a job ({type(error).__name__}): "
            "give the same command again once Kafka is well"
        ) from error
    return (written.topic, written.partition), written.offset
