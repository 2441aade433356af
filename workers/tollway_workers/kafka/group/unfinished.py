"""Unfinished records of topics, by the commits of their consumer group."""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started
from tollway_workers.kafka.group.committed import commits_of
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.remaining import Span
from tollway_workers.ownership.remaining import span as span_of

#: A cluster without consumer groups creates its offsets topic when first asked.
_TRIES, _SECONDS_BETWEEN = 20, 0.5


async def unfinished_records(
    client: dict[str, Any], group: str, topics: Collection[str]
) -> dict[str, int]:
    """For each topic, how many records the group has not completed. Raises BrokerUnavailable."""
    found = Counter(dict.fromkeys(topics, 0))
    for partition, span in (await unfinished_spans(client, group, topics)).items():
        found[partition[0]] += span.count
    return dict(found)


async def unfinished_spans(
    client: dict[str, Any], group: str, topics: Collection[str]
) -> dict[Partition, Span]:
    """By partition, the records that the group has not completed. Raises BrokerUnavailable."""
    if not topics:
        return {}
    reader = LogReader(client)
    await reader.start()
    try:
        ends = await reader.ends(topics)
        begins = await reader.starts(ends, since=None)
    finally:
        await reader.stop()
    commits = await _commits(client, group, [TopicPartition(*partition) for partition in ends])
    return {
        partition: span_of(
            begins[partition],
            end,
            commits[TopicPartition(*partition)].offset,
            commits[TopicPartition(*partition)].metadata,
        )
        for partition, end in ends.items()
    }


async def read_unfinished(
    client: dict[str, Any], group: str, topics: Collection[str], most: int
) -> list[LoggedRecord]:
    """Records that the group has not completed, `most` of them. Raises BrokerUnavailable."""
    spans = await unfinished_spans(client, group, topics)
    spans = {partition: span for partition, span in spans.items() if span.count}
    found: list[LoggedRecord] = []
    reader = LogReader(client)
    await reader.start()
    try:
        starts = {partition: span.first for partition, span in spans.items()}
        ends = {partition: span.end for partition, span in spans.items()}
        async for record in reader.between(starts, ends):
            if record.offset in spans[record.partition]:
                found.append(record)
            if len(found) >= most:
                break
    finally:
        await reader.stop()
    return found


async def _commits(
    client: dict[str, Any], group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Any]:
    admin = AIOKafkaAdminClient(**client)
    await started(admin, client)
    try:
        return await _answer(admin, group, partitions)
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka does not say what group {group} has done ({type(error).__name__}): "
            "check the rights of this user"
        ) from error
    finally:
        await admin.close()


async def _answer(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Any]:
    for _ in range(_TRIES):
        try:
            return await commits_of(admin, group, partitions)
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_SECONDS_BETWEEN)
    raise GroupCoordinatorNotAvailableError
