"""Turns aiokafka's records into `ReceivedRecord`s."""

from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition

from tollway_schemas.reading.consumer import UnreadableRecord
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord, weight_of


def received(
    partition: TopicPartition, records: Iterable[Any], tracker: OffsetTracker
) -> list[ReceivedRecord]:
    """Records of one partition, in their order."""
    topic, number = partition
    return [
        ReceivedRecord(
            topic,
            number,
            record.offset,
            record.key,
            record.value,
            record.headers,
            record.timestamp / 1000,
            tracker,
            unreadable=record.why if isinstance(record, UnreadableRecord) else None,
            bytes_of=record.bytes_of if isinstance(record, UnreadableRecord) else None,
            weight=weight_of(record.key, record.value, record.headers),
        )
        for record in records
    ]
