"""Replies on their way out of Kafka."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tollway.connection import KafkaConnection
from tollway.errors import RepliesUnreadable
from tollway.mailbox import Mailbox
from tollway_schemas import SchemaError
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord

log = logging.getLogger("tollway")

#: Milliseconds between two looks at whether to go on.
_POLL_MS = 500
#: Records taken at once, so that decoding them does not hold up the event loop.
_BATCH = 200
#: Seconds between attempts to connect.
_RETRY = 1.0
#: How far the clocks of workers, which date replies, may be behind this one.
_CLOCK_SKEW = timedelta(minutes=5)

#: Partition to the next offset to read.
Positions = dict[int, int]


class ReplyListener:
    """Reads partitions of the reply topic into a mailbox.

    By topic and partition, without a consumer group: nothing rebalances, nothing is committed, a
    broker's restart is only a pause. Records that cannot be decoded are counted and logged.
    """

    def __init__(self, connection: KafkaConnection, topic: str, mailbox: Mailbox) -> None:
        self._connection = connection
        self._topic = topic
        self._mailbox = mailbox
        self._own: asyncio.Task[None] | None = None
        self._search: asyncio.Task[None] | None = None
        self.skipped = 0

    def listen(self, positions: Positions) -> None:
        """Read on from `positions`, which are moved as it goes, until stopped. Idempotent."""
        if self._own is None or self._own.done():
            self._own = asyncio.create_task(self._listen(positions), name="tollway-replies")

    async def search(self) -> None:
        """Read all partitions for the reattached slots, until each has its reply.

        One search serves all that are waiting; a slot that came after it began starts it anew.
        """
        waiting = list(self._mailbox.reattached())
        if not waiting:
            return
        running = self._search is not None and not self._search.done()
        if running and all(slot.searched for slot in waiting):
            return
        await _cancel(self._search)
        for slot in waiting:
            slot.searched = True
        since = [slot.since for slot in waiting]
        earliest = None if None in since else min(filter(None, since), default=None)
        self._search = asyncio.create_task(self._find(earliest), name="tollway-search")

    async def stop(self) -> None:
        """Stop reading."""
        await _cancel(self._own)
        await _cancel(self._search)

    async def end_of(self, partition: int) -> int:
        """The offset that the partition's next record will have. Raises RepliesUnreadable."""
        tp = TopicPartition(self._topic, partition)
        # The first look-up learns the topic and waits this long before it asks.
        consumer = self._consumer(retry_backoff_ms=10)
        try:
            await consumer.start()
            ends: dict[TopicPartition, int] = await consumer.end_offsets([tp])
        except KafkaError as error:
            raise RepliesUnreadable(self._topic, _words(error)) from error
        finally:
            await consumer.stop()
        return ends[tp]

    async def _listen(self, positions: Positions) -> None:
        async def known(consumer: Any) -> Positions:
            return positions

        await self._survive(lambda: self._read(known, lambda: False))

    async def _find(self, since: datetime | None) -> None:
        async def located(consumer: Any) -> Positions:
            return await self._since(consumer, since)

        def enough() -> bool:
            return next(self._mailbox.reattached(), None) is None

        await self._survive(lambda: self._read(located, enough))

    async def _survive(self, read: Callable[[], Awaitable[None]]) -> None:
        """Read again while Kafka is away; tell those who wait if it does not let us read."""
        while True:
            try:
                return await read()
            except KafkaError as error:
                if not error.retriable:
                    return self._mailbox.fail(RepliesUnreadable(self._topic, _words(error)))
                await asyncio.sleep(_RETRY)
            except Exception as error:
                # A mistake of ours must not leave those who wait without a word.
                self._mailbox.fail(RepliesUnreadable(self._topic, type(error).__name__))
                raise

    async def _read(
        self,
        locate: Callable[[Any], Awaitable[Positions]],
        enough: Callable[[], bool],
    ) -> None:
        consumer = self._consumer()
        try:
            await consumer.start()
            positions = await locate(consumer)
            consumer.assign([TopicPartition(self._topic, each) for each in positions])
            for partition, offset in positions.items():
                consumer.seek(TopicPartition(self._topic, partition), offset)
            while not enough():
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
                for tp, records in batches.items():
                    for record in records:
                        self._take(record)
                    positions[tp.partition] = records[-1].offset + 1
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        if isinstance(record, UnreadableRecord):
            self.skipped += 1
            log.warning("skipped a reply: %s", record.why)
            return
        try:
            self._mailbox.deliver(record.key, record.value, record.headers)
        except SchemaError as error:
            self.skipped += 1
            place = f"{record.topic}-{record.partition} at offset {record.offset}"
            log.warning("skipped a reply that cannot be read (%s): %s", place, error)

    async def _since(self, consumer: Any, since: datetime | None) -> Positions:
        """Where each partition stood at that time."""
        # A look-up makes the consumer learn the topic; partition 0 there always is.
        await consumer.end_offsets([TopicPartition(self._topic, 0)])
        partitions = consumer.partitions_for_topic(self._topic) or ()
        tps = [TopicPartition(self._topic, each) for each in partitions]
        if since is None:
            begins = await consumer.beginning_offsets(tps)
            return {tp.partition: offset for tp, offset in begins.items()}
        milliseconds = int((since - _CLOCK_SKEW).timestamp() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(tps, milliseconds))
        ends = await consumer.end_offsets(tps)
        return {tp.partition: found[tp].offset if found.get(tp) else ends[tp] for tp in tps}

    def _consumer(self, retry_backoff_ms: int = 100) -> Any:
        return RecordConsumer(
            **self._connection.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            retry_backoff_ms=retry_backoff_ms,
        )


def _words(error: KafkaError) -> str:
    return f"{type(error).__name__}; this user needs to read and describe it"


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
