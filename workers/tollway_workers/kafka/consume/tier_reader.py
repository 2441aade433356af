"""Reads retry topics for a relay: the head of each partition, until its records are due."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from tollway_schemas.reading.consumer import RecordConsumer
from tollway_workers.clock import Clock
from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.connect import STOP_TIMEOUT, given_up_after, started, stopped
from tollway_workers.kafka.consume.received import received
from tollway_workers.kafka.group.committed import left_at
from tollway_workers.kafka.group.consumer_options import group_member
from tollway_workers.kafka.group.membership import say_goodbye
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord

log = structlog.get_logger(__name__)

#: Seconds between two looks at the heads of partitions: what is due is at most so late here.
TICK = 0.25
#: Bytes of a partition's records that one fetch brings, so what waits in memory is bounded by it.
_MOST_FETCHED = 65_536
#: Seconds that a rebalance waits for a batch that is being written, so that none is repeated.
_BATCH_WAIT = 5.0
#: Seconds between tries to read committed offsets while the broker is away.
_RETRY_WAIT = 0.5


class TierSource(Protocol):
    """The heads of retry topics' partitions. Records taken and not committed are read again."""

    async def start(self) -> None:
        """Join the relays' group. Raises BrokerUnavailable."""
        ...

    async def poll(self) -> None:
        """Read on where nothing of a partition waits; waits a moment. Never cancel it."""
        ...

    def wake(self) -> None:
        """Let a poll that waits return."""
        ...

    def take(self, due: Callable[[ReceivedRecord], bool], most: int) -> list[ReceivedRecord]:
        """At most `most` records that are due, from the head of each partition on."""
        ...

    async def commit(self, taken: Collection[ReceivedRecord]) -> None:
        """What was taken is safely written elsewhere. Failing is no error: it comes again."""
        ...

    async def leave(self) -> None:
        """Give the partitions to others at once; idempotent."""
        ...


def take_due(
    heads: Iterable[deque[ReceivedRecord]], due: Callable[[ReceivedRecord], bool], most: int
) -> list[ReceivedRecord]:
    """Remove and return what is due at the heads: what is behind a record that is not, is not."""
    taken: list[ReceivedRecord] = []
    for head in heads:
        while head and len(taken) < most and due(head[0]):
            taken.append(head.popleft())
    return taken


class KafkaTierSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One consumer of the relays' group.

    Mutable state: `_trackers` and `_heads` (of the partitions that are ours, with the records that
    were read and not taken), `_written` (set unless a batch is being written), `_uncommitted`
    (partitions of which something is written elsewhere and not committed).
    """

    def __init__(self, settings: SourceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._heads: dict[TopicPartition, deque[ReceivedRecord]] = {}
        self._written = asyncio.Event()
        self._written.set()
        self._uncommitted: set[TopicPartition] = set()
        self._consumer: RecordConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""
        self._admin = AIOKafkaAdminClient(**self._settings.client)
        await started(self._admin, self._settings.client)
        self._consumer = RecordConsumer(
            **group_member(self._settings),
            most_unpacked=self._settings.most_unpacked,
            max_partition_fetch_bytes=_MOST_FETCHED,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        self._consumer.subscribe(list(self._settings.topics), listener=self)
        await started(self._consumer, self._settings.client)

    async def poll(self) -> None:
        """Read on where nothing of a partition waits; waits a moment."""
        assert self._consumer is not None  # noqa: S101 a source is started before it is polled
        await self._commit_written()
        self._pause_where_heads_wait(self._consumer)
        try:
            # Always asked, even for nothing: Kafka must see that we live.
            batches = await self._consumer.getmany(timeout_ms=int(TICK * 1000))
        except KafkaError as error:
            log.warning(
                f"polling the retry topics failed; trying again in {_RETRY_WAIT:g} s",
                error=type(error).__name__,
            )
            await self._clock.sleep(_RETRY_WAIT)
            return
        for partition, records in batches.items():
            # Records arrive for partitions just revoked, too, and before `on_partitions_assigned`
            # has set where ours begin.
            if (head := self._heads.get(partition)) is not None:
                tracker = self._trackers[partition]
                head += [
                    r for r in received(partition, records, tracker) if tracker.start(r.offset)
                ]

    def wake(self) -> None:
        """Let a poll that waits return."""
        if self._consumer is not None:
            self._consumer.wake()

    def take(self, due: Callable[[ReceivedRecord], bool], most: int) -> list[ReceivedRecord]:
        """At most `most` records that are due, from the head of each partition on."""
        taken = take_due(self._heads.values(), due, most)
        if taken:
            self._written.clear()
        return taken

    async def commit(self, taken: Collection[ReceivedRecord]) -> None:
        """What was taken is safely written elsewhere. Failing is no error: it comes again."""
        for record in taken:
            record.tracker.finish(record.offset)
        self._uncommitted |= {TopicPartition(record.topic, record.partition) for record in taken}
        try:
            await self._commit_written()
        finally:
            self._written.set()

    async def leave(self) -> None:
        """Give the partitions to others at once; idempotent."""
        self._written.set()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            say_goodbye(consumer)
            await stopped(consumer, STOP_TIMEOUT, "leaving the relays")
        if self._admin is not None:
            admin, self._admin = self._admin, None
            await admin.close()

    # The two callbacks may be coroutines: aiokafka says so, its annotations do not.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """A rebalance begins: finish and commit the batch at hand, or it would come twice."""
        # Set before the wait, so that no further batch is taken meanwhile.
        self._heads.clear()
        await given_up_after(_BATCH_WAIT, self._written.wait(), "a batch of the relay")
        await given_up_after(_BATCH_WAIT, self._commit_written(), "a commit of the relay")
        self._trackers.clear()
        self._uncommitted.clear()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Collection[TopicPartition]
    ) -> None:
        """A rebalance is over: read on from the previous owner's commits."""
        consumer, admin = self._consumer, self._admin
        if consumer is None or admin is None:
            # This relay has left meanwhile.
            return
        found = await left_at(consumer, admin, self._settings.group, assigned)
        for name, left in found.items():
            partition = TopicPartition(*name)
            consumer.seek(partition, left.offset)
            self._trackers[partition] = OffsetTracker(left.offset)
            self._heads[partition] = deque()
        log.info("partitions of retry topics were assigned to this worker", owned=len(self._heads))

    async def _commit_written(self) -> None:
        """Commit what is not committed yet; after a failure the next poll commits it."""
        offsets = {
            partition: self._trackers[partition].committable()
            for partition in self._uncommitted & self._trackers.keys()
        }
        if self._consumer is None or not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info(
                "a rebalance refused a commit of retry topics: their new owners may put jobs back "
                "twice",
                error=type(error).__name__,
            )
        except KafkaError as error:
            log.warning(
                "a commit of retry topics failed; committing again with the next poll",
                error=type(error).__name__,
            )
        else:
            self._uncommitted -= offsets.keys()

    def _pause_where_heads_wait(self, consumer: RecordConsumer) -> None:
        ours = consumer.assignment()
        waiting = [
            partition for partition, head in self._heads.items() if head and partition in ours
        ]
        paused = consumer.paused()
        consumer.resume(*(paused - set(waiting)))
        # Pausing drops what was fetched ahead: only where it is new.
        consumer.pause(*(partition for partition in waiting if partition not in paused))

    def __repr__(self) -> str:
        waiting = sum(map(len, self._heads.values()))
        return f"<KafkaTierSource [{len(self._heads)} partitions | {waiting} records wait]>"
