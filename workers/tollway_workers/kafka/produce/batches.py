"""Batches of records of one partition, sent and acknowledged together.

aiokafka's `send` costs more than the rest of sending a small record: a future for each, and a dozen
steps to find the batch of the last record. Here a batch fills while the one before it is on its way
(an idempotent producer sends one at a time), and one acknowledgement stands for all its records.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from tollway_workers.clock import Clock
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.produce.topic_limits import TopicLimits
from tollway_workers.ownership.partition import Partition


class Batch:
    """Records on their way. Any number of tasks may await it; each may be cancelled alone.

    Awaiting it gives where its first record lies (aiokafka's RecordMetadata), and raises what
    Kafka's client said if the batch was not written.
    """

    __slots__ = ("_builder", "_ended", "_waiting", "_written", "error", "records", "size")

    def __init__(self, builder: BatchBuilder) -> None:
        self._builder = builder
        #: Records in it, and their bytes.
        self.records = self.size = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = False
        #: Why it is not written, as far as is known here.
        self.error: BaseException | None = None
        self._written: Any = None

    def __await__(self) -> Generator[Any, None, Any]:
        if not self._ended:
            # One future each: cancelling one waiter leaves the others.
            ended = asyncio.get_running_loop().create_future()
            self._waiting.append(ended)
            yield from ended
        if self.error is not None:
            raise self.error
        return self._written

    def add(self, record: OutgoingRecord, size: int, most: int) -> bool:
        """Whether there was room for it within `most` bytes; there always is for the first."""
        if self.records and self.size + size > most:
            return False
        added = self._builder.append(
            timestamp=None, key=record.key, value=record.value, headers=record.headers
        )
        if added is None:
            return False
        self.records += 1
        self.size += size
        return True

    async def write(self, producer: AIOKafkaProducer, partition: Partition) -> None:
        """Write it, and wake all that await it. Nothing may be added from here on.

        It waits however long Kafka takes: an abandoned batch may be written all the same.
        """
        topic, number = partition
        try:
            sent = await producer.send_batch(self._builder, topic, partition=number)
            self._written = await sent
        except asyncio.CancelledError:
            self.abandon()
            raise
        except Exception as error:  # noqa: BLE001 those who await it are told, whatever it is
            self._end(error)
        else:
            self._end(None)

    def abandon(self) -> None:
        """Fail all that await it: it is not written, as far as is known here."""
        self._end(ConnectionAbortedError("the batch was abandoned"))

    def _end(self, error: BaseException | None) -> None:
        self._ended, self.error = True, error
        for ended in self._waiting:
            if not ended.done():
                ended.set_result(None)
        self._waiting.clear()


class Batches:
    """The batches of one producer, by partition: one on its way, those behind it still filling.

    State: `_filling` (a partition is in it as long as a task of `_writing` works on it), `_sent`
    (since when the batch of a partition is on its way), `_retired`, `broken`, `written_at` (when
    the last one was acknowledged, in monotonic seconds).
    """

    def __init__(self, producer: AIOKafkaProducer, limits: TopicLimits, clock: Clock) -> None:
        self._producer = producer
        self._limits = limits
        self._clock = clock
        self._filling: dict[Partition, deque[Batch]] = {}
        self._sent: dict[Partition, float] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._retired = False
        #: Whether a batch was not written: aiokafka does not mend a broken sequence itself.
        self.broken = False
        self.written_at = float("-inf")

    def add(self, partition: Partition, record: OutgoingRecord, size: int) -> Batch:
        """The batch that the record, of `size` bytes, travels in."""
        most = self._limits.of_batch(partition[0])
        filling = self._filling.get(partition)
        if filling is None:
            filling = self._filling[partition] = deque()
            task = asyncio.create_task(self._write(partition, filling), name="batches")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        elif filling and filling[-1].add(record, size, most):
            return filling[-1]
        batch = Batch(self._producer.create_batch())
        batch.add(record, size, most)
        filling.append(batch)
        return batch

    def retire(self) -> None:
        """Hand over nothing more: what waits is abandoned, what is on its way may still arrive."""
        self._retired = True

    def drop(self) -> None:
        """Give up what is on its way too; it may arrive all the same."""
        self._retired = True
        for task in self._writing:
            task.cancel()

    async def flush(self) -> None:
        """Return when everything added has been written, or has failed."""
        while self._writing:
            await asyncio.wait(self._writing)

    @property
    def oldest(self) -> float | None:
        """Monotonic seconds: since when Kafka owes an answer; None where it owes none."""
        return min(self._sent.values(), default=None)

    async def _write(self, partition: Partition, filling: deque[Batch]) -> None:
        try:
            while filling and not self._retired:
                self._sent[partition] = self._clock.monotonic()
                batch = filling.popleft()
                await batch.write(self._producer, partition)
                if batch.error is not None:
                    self._failed(partition, batch)
                else:
                    self.written_at = self._clock.monotonic()
        finally:
            del self._filling[partition]
            self._sent.pop(partition, None)
            for behind in filling:
                behind.abandon()

    def _failed(self, partition: Partition, batch: Batch) -> None:
        self.broken = True
        if isinstance(batch.error, MessageSizeTooLargeError):
            self._limits.refused(partition[0], batch.size, batch.records)


@dataclass(frozen=True, slots=True)
class Producing:
    """A producer and what is on its way through it: replaced together."""

    producer: AIOKafkaProducer
    batches: Batches
