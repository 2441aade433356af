"""Outcomes to Kafka: one idempotent producer, acknowledged by all in-sync replicas."""

import asyncio
import random
from collections.abc import Awaitable
from functools import lru_cache

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from tollway_workers.clock import Clock
from tollway_workers.kafka.connect import STOP_TIMEOUT, given_up_after, started
from tollway_workers.kafka.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.kafka.settings import SinkSettings

log = structlog.get_logger(__name__)

#: Bytes. With the default of 16 kB every sender of a full batch wakes at once: at 2,000 calls in
#: flight and journal records of 3 kB that costs more than the rest of the job.
BATCH_BYTES = 1_048_576
#: Seconds between two renewals of a broken producer.
_RENEWAL_WAIT = 1.0


@lru_cache(maxsize=1024)
def _hash(key: bytes) -> int:
    """A job's journal record and reply have one key; hashing it takes 6 us in Python."""
    # Kafka's own default: murmur2 without its sign.
    return int(murmur2(key)) & 0x7FFFFFFF


def partition_of(key: bytes | None, everything: list[int], available: list[int]) -> int:
    """The partition of a key among `everything`, as Kafka's Java client chooses it."""
    if key is None:
        return random.choice(available or everything)  # noqa: S311 load is spread, nothing is hidden
    return everything[_hash(key) % len(everything)]


class KafkaSink:
    """Writes records in order of handing over, each at least once, acknowledged by all replicas."""

    def __init__(self, settings: SinkSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._renewed_at = 0.0
        self._partitions: dict[str, frozenset[int]] = {}

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        self._producer = await self._new_producer()

    async def send(self, record: OutgoingRecord) -> Awaitable[object]:
        """Hand a record over; what is returned is done when Kafka has it safely."""
        assert self._producer is not None  # noqa: S101 a sink is started before it is written to
        partition = record.partition
        if partition is not None and partition not in await self._partitions_of(record.topic):
            partition = None
        try:
            acknowledged: Awaitable[object] = await self._producer.send(
                record.topic,
                record.value,
                key=record.key,
                partition=partition,
                headers=record.headers,
            )
        except MessageSizeTooLargeError as error:
            raise RecordTooLarge(f"a record for {record.topic} is too large") from error
        return acknowledged

    async def recover(self) -> None:
        """Replace a producer whose writes fail: aiokafka does not mend a broken sequence itself."""
        async with self._renewing:
            if self._clock.monotonic() - self._renewed_at < _RENEWAL_WAIT:
                return
            old, self._producer = self._producer, await self._new_producer()
            self._renewed_at = self._clock.monotonic()
            log.warning("the producer was replaced after a failed write")
            if old is not None:
                await old.stop()

    async def stop(self) -> None:
        """Write what was handed over, then disconnect; idempotent."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await given_up_after(STOP_TIMEOUT, producer.stop(), "records not yet acknowledged")

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.client,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=0,
            # A batch counts as one record against its topic's limit.
            max_batch_size=min(BATCH_BYTES, self._settings.most_bytes),
            max_request_size=self._settings.most_bytes,
            # Typed as its default, which is a class that is called like this.
            partitioner=partition_of,  # pyright: ignore[reportArgumentType]
        )
        await started(producer, self._settings.client)
        return producer

    async def _partitions_of(self, topic: str) -> frozenset[int]:
        known = self._partitions.get(topic)
        if known is None:
            assert self._producer is not None  # noqa: S101 as in send
            known = frozenset(await self._producer.partitions_for(topic))
            self._partitions[topic] = known
        return known
