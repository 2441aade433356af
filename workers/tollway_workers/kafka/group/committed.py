"""Reads a group's commits with their metadata, without taking an error for "nothing committed"."""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, IllegalStateError, KafkaError

from tollway_workers.ownership.owned_partitions import Found
from tollway_workers.ownership.partition import Partition

log = structlog.get_logger(__name__)

#: Seconds between tries to read committed offsets while the broker is away.
_RETRY_WAIT = 0.5


async def commits_of(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Any]:
    """The group's commit for each of these partitions; offset -1: none yet.

    Raises KafkaError. A broker that is not (or not yet again) the group's coordinator answers with
    an error and no partitions, of which aiokafka returns the latter alone: `{}`. Taken for "nothing
    was committed", that would start every partition at its beginning and pay for every job again.
    """
    wanted = list(partitions)
    found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(
        group, partitions=wanted
    )
    if not found.keys() >= set(wanted):
        raise GroupCoordinatorNotAvailableError
    return found


async def left_at(
    consumer: AIOKafkaConsumer,
    admin: AIOKafkaAdminClient,
    group: str,
    partitions: Collection[TopicPartition],
) -> dict[Partition, Found]:
    """The last commit of each partition, else its beginning.

    The partitions must be assigned to `consumer`. Waits for a broker that is away.
    """
    while partitions:
        try:
            found = await commits_of(admin, group, partitions)
            fresh = [partition for partition in partitions if found[partition].offset < 0]
            if fresh:
                await consumer.seek_to_beginning(*fresh)
            beginnings = {partition: await consumer.position(partition) for partition in fresh}
        except KafkaError as error:
            log.warning(
                f"cannot read the group's committed offsets; trying again in {_RETRY_WAIT:g} s, "
                "new partitions wait",
                error=type(error).__name__,
            )
            await asyncio.sleep(_RETRY_WAIT)
            continue
        return {
            partition: Found(offset=beginnings[partition], fresh=True)
            if partition in beginnings
            else Found(offset=found[partition].offset, metadata=found[partition].metadata or "")
            for partition in partitions
        }
    return {}


async def position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Where reading goes on, past transaction markers and the like; None if it is not ours."""
    try:
        where: int = await consumer.position(partition)
    except IllegalStateError:
        return None
    return where
