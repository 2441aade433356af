"""A topic whose trouble holds up no other: a service's replies, marks of dead letters, the cache.

A service may delete its topic or revoke our rights at any time. An idempotent producer retries a
deleted topic for ever, and slows down other writes to the same broker. So each such topic has a
producer of its own, which is abandoned with its topic.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge, TopicUnavailable
from tollway_workers.kafka.connect import stopped
from tollway_workers.kafka.produce.batches import Batch, Producing
from tollway_workers.kafka.produce.partitioner import partition_of
from tollway_workers.kafka.topic_admin import MISSING, topic_state

log = structlog.get_logger(__name__)

#: Seconds that what was found out about a topic is believed.
_BELIEVED = 30.0
#: Seconds that an acknowledgement may take before the topic is checked.
_PATIENCE = 2.0
#: Seconds until a topic that does not exist is looked for once more: it may be in the making.
_ONCE_MORE = 1.0
#: Seconds after which a topic that exists takes nothing, although our own take what they are given.
_LONGEST = 30.0


#: Kafka's error codes that say nothing of a topic: a producer's sequence is broken, it is fenced.
_OF_THE_PRODUCER = {45, 46, 47, 48, 49, 51, 59, 90}
#: Seconds that a producer has to disconnect.
_DISCONNECT_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look has shown, and until when that is believed (monotonic seconds)."""

    partitions: int
    #: Why the topic takes nothing, empty where it does.
    why: str
    until: float


class Delivery:
    """Records on their way to such a topic in one batch, to be awaited as that is.

    Awaiting it raises TopicUnavailable or RecordTooLarge where they never get there.
    """

    __slots__ = ("_batch", "_topic")

    def __init__(self, topic: "IsolatedTopic", batch: Batch) -> None:
        self._topic = topic
        self._batch = batch

    def is_of(self, batch: Batch) -> bool:
        """Whether it tells of that batch."""
        return self._batch is batch

    def __await__(self) -> Generator[Any, None, Any]:
        return self._topic.written(self._batch).__await__()


class IsolatedTopic:
    """State: `_producing` (from the first record on), `_found`, `_looking` (one look at a time)."""

    def __init__(
        self,
        name: str,
        client: dict[str, Any],
        clock: Clock,
        open_producer: Callable[[], Awaitable[Producing]],
        ours_written: Callable[[], float] = lambda: -inf,
        *,
        instead: str | None = None,
    ) -> None:
        """`ours_written`: when our own topics last took something, in monotonic seconds; `instead`:
        what becomes of its records where the topic takes none, for the operator; None where who
        writes says that itself.
        """
        self._name = name
        self._client = client
        self._clock = clock
        self._open_producer = open_producer
        self._ours_written = ours_written
        self._instead = instead
        self._producing: Producing | None = None
        #: The last of each partition.
        self._deliveries: dict[int, Delivery] = {}
        self._opening = asyncio.Lock()
        self._found: _Found | None = None
        self._looking: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect before there is anything to send. Raises as `send`."""
        await self._look_again()
        self._taking()
        await self._opened()

    async def send(self, record: OutgoingRecord, size: int) -> Delivery:
        """Hand a record over. Raises TopicUnavailable, or BrokerUnavailable while Kafka is away."""
        (delivery,) = await self.send_all([(record, size)])
        return delivery

    async def send_all(self, records: Sequence[tuple[OutgoingRecord, int]]) -> list[Delivery]:
        """The same of many records with their sizes: the delivery of each."""
        await self._look_again()
        partitions = self._taking()
        producing = self._producing or await self._opened()
        deliveries: list[Delivery] = []
        for record, size in records:
            partition = record.partition
            if partition is None or partition >= partitions:
                partition = partition_of(record.key, partitions)
            batch = producing.batches.add((self._name, partition), record, size)
            delivery = self._deliveries.get(partition)
            if delivery is None or not delivery.is_of(batch):
                delivery = self._deliveries[partition] = Delivery(self, batch)
            deliveries.append(delivery)
        return deliveries

    async def written(self, batch: Batch) -> object:
        """Return once a batch is written; after a long wait, check that the topic still exists."""
        since = self._clock.monotonic()
        while True:
            patience = asyncio.timeout(_PATIENCE)
            try:
                async with patience:
                    return await batch
            except TimeoutError:
                if not patience.expired():
                    raise
                await self._look_why(since)
            except (KafkaError, ConnectionError) as error:
                self._taking()
                raise self._said(error, batch) from error

    def recover(self) -> None:
        """Replace the producer if a write of its failed."""
        if self._producing is not None and self._producing.batches.broken:
            self._drop()

    def abandon(self) -> None:
        """Give up what is on its way, and its producer; it may arrive all the same."""
        self._drop()

    async def stop(self, seconds: float) -> None:
        """Write what was handed over, for so long at most, and disconnect; idempotent."""
        producing, self._producing = self._producing, None
        if producing is not None:
            try:
                async with asyncio.timeout(seconds):
                    await producing.batches.flush()
            except TimeoutError:
                log.warning(
                    "a topic acknowledged nothing in time: stopping without it",
                    topic=self._name,
                )
            await _disconnected(producing)
        if self._dropping:
            await asyncio.wait(self._dropping)

    async def _look_again(self) -> None:
        """Look, where what was found is not believed any more."""
        found = self._found
        if found is None or found.until < self._clock.monotonic():
            try:
                await self._look()
            except BrokerUnavailable:
                if found is None:
                    raise

    def _taking(self) -> int:
        """Partitions that take records. Raises TopicUnavailable where the topic takes none."""
        if self._found is None:
            return 1
        if self._found.why:
            raise TopicUnavailable(self._name, self._found.why)
        return self._found.partitions

    async def _opened(self) -> Producing:
        async with self._opening:
            if self._producing is None:
                self._producing = await self._open_producer()
            return self._producing

    def _said(self, error: Exception, batch: Batch) -> Exception:
        """What an error means for a record of the batch."""
        if isinstance(error, MessageSizeTooLargeError):
            return RecordTooLarge(f"for {self._name}") if batch.records == 1 else error
        if not _refuses_for_good(error):
            return error
        self._unavailable(f"takes no records ({type(error).__name__})")
        return TopicUnavailable(self._name, f"takes no records ({type(error).__name__})")

    async def _look_why(self, since: float) -> None:
        """Raise TopicUnavailable where the topic never takes it; return where Kafka is away."""
        try:
            await self._look()
        except (BrokerUnavailable, KafkaError, OSError):
            return
        self._taking()
        if self._clock.monotonic() - since > _LONGEST and self._ours_written() > since:
            self._unavailable("takes no records")
            self._taking()

    async def _look(self) -> None:
        """Refresh `_found`; raises BrokerUnavailable. Concurrent callers share one look-up."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._find_out(), name="an isolated topic")
            # Every waiter may have been cancelled.
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._looking)

    async def _find_out(self) -> None:
        state = await topic_state(self._client, self._name)
        if state == MISSING:
            await asyncio.sleep(_ONCE_MORE)
            state = await topic_state(self._client, self._name)
        if isinstance(state, str):
            self._unavailable(state)
            return
        if self._found is not None and self._found.partitions > state:
            # It was made anew: what is on its way to partitions that are gone is written again.
            self._drop()
        elif self._found is not None and self._found.why:
            log.info("a topic takes records again", topic=self._name)
        self._found = _Found(state, "", self._clock.monotonic() + _BELIEVED)

    def _unavailable(self, why: str) -> None:
        if self._instead and (self._found is None or self._found.why != why):
            log.warning(
                f"a topic takes no records, and holds up no other: {self._instead}",
                topic=self._name,
                why=why,
            )
        self._found = _Found(0, why, self._clock.monotonic() + _BELIEVED)
        self._drop()

    def _drop(self) -> None:
        """Give the producer up, and whatever is still on its way through it."""
        producing, self._producing = self._producing, None
        if producing is not None:
            dropping = asyncio.create_task(_disconnected(producing), name="a dropped producer")
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)


async def _disconnected(producing: Producing) -> None:
    """Give up what is on its way, and disconnect."""
    producing.batches.drop()
    await stopped(producing.producer, _DISCONNECT_TIMEOUT)


def _refuses_for_good(error: Exception) -> bool:
    """Whether Kafka has said that it does not take this here, now or later."""
    code: int = getattr(error, "errno", 0)
    passes: bool = getattr(error, "retriable", True)
    return not passes and code > 0 and code not in _OF_THE_PRODUCER
