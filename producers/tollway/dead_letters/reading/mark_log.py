"""Reads the topic of marks into a table."""

import asyncio
from collections.abc import Callable

from tollway.connection import KafkaConnection
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.reading.reader import Partition, TopicReader
from tollway.errors import UnknownTopic
from tollway_schemas import TopicNames


async def read_marks(
    connection: KafkaConnection, names: TopicNames, table: MarkTable
) -> dict[Partition, int]:
    """Take every mark that was written before this call; where each partition ends.

    A fleet of an older release has no such topic, and no marks.
    """
    # The end of what is committed would lie before a mark that another route's open transaction
    # stands in front of.
    async with TopicReader(connection, committed=False) as behind:
        try:
            ends = await behind.ends(names.marks)
        except UnknownTopic:
            return {}
    async with TopicReader(connection) as reader:
        await reader.ends(names.marks)
        starts = await reader.starts(ends)
        async for record in reader.between(starts, ends):
            table.take(record.key, record.value)
    return ends


async def follow_marks(
    connection: KafkaConnection,
    ends: dict[Partition, int],
    table: MarkTable,
    enough: Callable[[], bool],
    seconds: float,
) -> bool:
    """Take marks as they come, from `ends` on, until they are enough; False: not in that time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with TopicReader(connection) as reader:
        reader.follow(ends)
        while not enough():
            if loop.time() > until:
                return False
            for record in await reader.read():
                table.take(record.key, record.value)
    return True
