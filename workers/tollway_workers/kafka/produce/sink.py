"""Outcomes to Kafka: one idempotent producer, acknowledged by all in-sync replicas."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from functools import partial
from types import MappingProxyType

import structlog
from aiokafka import AIOKafkaProducer

from tollway_workers.clock import Clock
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.kafka.produce.batches import Batches, Producing
from tollway_workers.kafka.produce.isolated_topic import IsolatedTopic
from tollway_workers.kafka.produce.partitioner import partition_of
from tollway_workers.kafka.produce.topic_limits import TopicLimits

log = structlog.get_logger(__name__)

#: Bytes. With the default of 16 kB every sender of a full batch wakes at once: at 2,000 calls in
#: flight and journal records of 3 kB that costs more than the rest of the job.
BATCH_BYTES = 1_048_576
#: Seconds after which an unanswered request is sent again, over a new connection. Less than the
#: watchdog's patience: a connection that died is mended before the process is given up.
_REQUEST_TIMEOUT = 20.0
#: Seconds that a producer has to disconnect once nothing is on its way, or is waited for.
_DISCONNECT_TIMEOUT = 1.0
#: Seconds that a topic's number of partitions is remembered: topics grow.
_REMEMBERED = 30.0
#: Bytes that a record takes in its batch at most besides its own, with `_HEADER_BYTES` a header.
_RECORD_BYTES = 64
_HEADER_BYTES = 10


class KafkaSink:
    """Writes records in order of handing over, each at least once, acknowledged by all replicas."""

    def __init__(
        self,
        settings: SinkSettings,
        clock: Clock,
        topics: Collection[str] = (),
        isolated: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`topics`: those that will be written; others are met one by one.

        `isolated`: those whose trouble must not touch the others, with what becomes of the records
        of each where it takes none.
        """
        self._settings = settings
        self._topics = topics
        self._limits = TopicLimits(settings.client, settings.most_bytes, clock)
        self._reading_limits: asyncio.Task[None] | None = None
        self._clock = clock
        self._new_producer = partial(open_producer, settings, self._limits, clock)
        self._producing: Producing | None = None
        self._renewing = asyncio.Lock()
        self._isolated = {
            name: IsolatedTopic(
                name,
                settings.client,
                clock,
                self._new_producer,
                self._written_at,
                instead=instead,
            )
            for name, instead in isolated.items()
        }
        #: Producers that were replaced, by the task that waits for what is on its way.
        self._retired: dict[asyncio.Task[None], Producing] = {}
        #: By topic: its number of partitions, and until when that is believed.
        self._partitions: dict[str, tuple[int, float]] = {}

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        await self._limits.ask(self._topics)
        self._producing = await self._new_producer()
        self._reading_limits = asyncio.create_task(self._limits.run(), name="topic limits")

    async def send(self, record: OutgoingRecord) -> Awaitable[object]:
        """Hand a record over; what is returned is done when Kafka has it safely."""
        size, most = size_of(record), self._limits.known(record.topic)
        if most is None:
            most = await self._limits.of(record.topic)
        if size > most:
            raise RecordTooLarge(f"a record for {record.topic} is too large")
        if (apart := self._isolated.get(record.topic)) is not None:
            return await apart.send(record, size)
        known = self._partitions.get(record.topic)
        if known is None or known[1] < self._clock.monotonic():
            known = await self._count_partitions(record.topic)
        partition = record.partition
        if partition is None or partition >= known[0]:
            partition = partition_of(record.key, known[0])
        assert self._producing is not None  # noqa: S101 a sink is started before it is written to
        return self._producing.batches.add((record.topic, partition), record, size)

    async def recover(self) -> None:
        """Replace the producer if a write of its failed; others of its may still arrive.

        Raises BrokerUnavailable.
        """
        async with self._renewing:
            for apart in self._isolated.values():
                apart.recover()
            old = self._producing
            if old is None or not old.batches.broken:
                return
            self._producing = await self._new_producer()
            log.warning("a write failed: a new producer was started in place of the old one")
            old.batches.retire()
            retiring = asyncio.create_task(_retire(old), name="a replaced producer")
            self._retired[retiring] = old
            retiring.add_done_callback(self._retired.pop)

    async def stop(self) -> None:
        """Write what was handed over, then disconnect; idempotent."""
        if self._reading_limits is not None:
            self._reading_limits.cancel()
        retiring = [*self._retired]
        for apart in self._isolated.values():
            bounded = apart.stop(STOP_TIMEOUT - 2 * _DISCONNECT_TIMEOUT)
            retiring.append(asyncio.create_task(bounded, name="an isolated topic"))
        if self._producing is not None:
            last, self._producing = self._producing, None
            retiring.append(asyncio.create_task(_retire(last), name="the last producer"))
        if not retiring:
            return
        _, waiting = await asyncio.wait(retiring, timeout=STOP_TIMEOUT - _DISCONNECT_TIMEOUT)
        if waiting:
            log.warning(
                "Kafka is away: stopping without its acknowledgements, so what it did not "
                "acknowledge is read and written again"
            )
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)

    @property
    def waiting_since(self) -> float | None:
        """Monotonic seconds: since when Kafka owes an acknowledgement; None where it owes none."""
        producing = [*self._retired.values(), *([self._producing] if self._producing else [])]
        owed = (each.batches.oldest for each in producing)
        return min((since for since in owed if since is not None), default=None)

    def _written_at(self) -> float:
        return float("-inf") if self._producing is None else self._producing.batches.written_at

    async def _count_partitions(self, topic: str) -> tuple[int, float]:
        assert self._producing is not None  # noqa: S101 as in send
        count = len(await self._producing.producer.partitions_for(topic))
        known = self._partitions[topic] = count, self._clock.monotonic() + _REMEMBERED
        return known


async def open_producer(settings: SinkSettings, limits: TopicLimits, clock: Clock) -> Producing:
    """A connected producer, and no batches yet. Raises BrokerUnavailable."""
    producer = AIOKafkaProducer(
        **settings.client,
        acks="all",
        enable_idempotence=True,
        compression_type=settings.compression,
        linger_ms=0,
        request_timeout_ms=int(_REQUEST_TIMEOUT * 1000),
        # A batch counts as one record against its topic's limit.
        max_batch_size=min(BATCH_BYTES, settings.most_bytes),
        max_request_size=settings.most_bytes,
    )
    await started(producer, settings.client)
    return Producing(producer, Batches(producer, limits, clock))


async def _retire(old: Producing) -> None:
    """Wait for what is on its way, however long that takes, and disconnect."""
    try:
        await old.batches.flush()
    finally:
        await stopped(old.producer, _DISCONNECT_TIMEOUT, "disconnecting a producer")


def size_of(record: OutgoingRecord) -> int:
    """Bytes of a record in its batch, or a few more."""
    size = _RECORD_BYTES + len(record.value) + len(record.key or b"")
    for name, value in record.headers:
        size += _HEADER_BYTES + len(name) + len(value or b"")
    return size
