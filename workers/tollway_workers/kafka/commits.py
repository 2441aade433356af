"""Reading what a group committed, metadata included, without taking an error for "nothing"."""

from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError


async def commits_of(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Any]:
    """What the group committed for each of these partitions; offset -1: nothing yet.

    Raises KafkaError. A broker that is not (or not yet again) the group's coordinator answers with
    an error and no partitions, of which aiokafka returns the latter alone: `{}`. Whoever took that
    for "nothing was committed" would begin at the beginning and pay for every job again.
    """
    wanted = list(partitions)
    found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(
        group, partitions=wanted
    )
    if not found.keys() >= set(wanted):
        raise GroupCoordinatorNotAvailableError
    return found
