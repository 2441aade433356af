"""Jobs from Kafka: one consumer, its trackers, and commits that carry the offset map.

aiokafka is eager: every rebalance revokes everything and forgets positions. So the trackers of
partitions that stay are kept here, and reading goes on where it was.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from tollway_workers.clock import Clock
from tollway_workers.kafka.commits import commits_of
from tollway_workers.kafka.connect import STOP_TIMEOUT, given_up_after, started
from tollway_workers.kafka.settings import SourceSettings
from tollway_workers.policies.offsets import OffsetTracker
from tollway_workers.policies.record import ReceivedRecord

log = structlog.get_logger(__name__)

#: Seconds that a poll waits for records.
_POLL_WAIT = 0.2
#: Seconds that a full worker may go without polling; Kafka allows 300 (max_poll_interval_ms).
_FULL_WAIT = 1.0
#: Seconds between tries to read committed offsets while the broker is away.
_RETRY_WAIT = 0.5


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Takes each record once while its partition is ours, and commits what is complete.

    Mutable state: `_trackers` (partitions that are ours, or were before a rebalance that goes on),
    `_ready` (those whose position is set), `_held_back` (topics of full lanes), `last_commit`.
    """

    def __init__(self, settings: SourceSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._ready: set[TopicPartition] = set()
        self._held_back: frozenset[str] = frozenset()
        self._room = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        #: Monotonic seconds of the last commit that succeeded.
        self.last_commit: float | None = None
        self._commit_failures = 0
        #: Whether the group has given this member its (perhaps empty) part.
        self.joined = False

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""
        session = int(self._settings.session_timeout * 1000)
        self._admin = AIOKafkaAdminClient(**self._settings.client)
        await started(self._admin, self._settings.client)
        self._consumer = AIOKafkaConsumer(
            **self._settings.client,
            group_id=self._settings.group,
            group_instance_id=self._settings.instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=session,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=session,
            # JoinGroup waits for the slowest member, with the ordinary request timeout.
            request_timeout_ms=session + 10_000,
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=30_000,
            # Exactly one: aiokafka sends a JoinGroup for each.
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        self._consumer.subscribe(list(self._settings.topics), listener=self)
        await started(self._consumer, self._settings.client)

    async def poll(self, most: int) -> list[ReceivedRecord]:
        """At most `most` new records, each once while its partition is ours; waits a moment."""
        assert self._consumer is not None  # noqa: S101 a source is started before it is polled
        wanted = self._wanted() if most > 0 else []
        wait = int(_POLL_WAIT * 1000)
        if self._ready and not wanted:
            if await self._wait_for_room():
                return []
            # Kafka must see that we live, and nothing more may be read.
            self._consumer.pause(*self._ready)
            wanted, wait = list(self._ready), 0
        else:
            self._consumer.resume(*self._consumer.paused())
        try:
            # What a rebalance lets through in spite of a pause is taken too: its position has
            # passed, and a record that nobody took would be committed as if it were done.
            batches = await self._consumer.getmany(
                *wanted, timeout_ms=wait, max_records=max(most, 1)
            )
        except KafkaError as error:
            log.warning("poll failed, trying again", error=type(error).__name__)
            await self._clock.sleep(_RETRY_WAIT)
            return []
        return [
            record
            for partition, records in batches.items()
            for record in self._take(partition, records)
        ]

    def hold_back(self, topics: Collection[str]) -> None:
        """Read nothing more from exactly these topics, until told otherwise."""
        if self._held_back != (held_back := frozenset(topics)):
            self._held_back = held_back
            self._room.set()

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it never comes again."""
        record.tracker.finish(record.offset)

    async def commit(self) -> None:
        """Write down what is complete, whether or not anything changed: it proves that we live."""
        found = [
            (at, tracker, None if tracker.incomplete else await self._position(at))
            for at, tracker in tuple(self._trackers.items())
            if at in self._ready
        ]
        # What a rebalance took while positions were read is no longer ours to commit.
        await self._commit(
            {
                at: tracker.committable(position)
                for at, tracker, position in found
                if at in self._ready and self._trackers[at] is tracker
            }
        )

    async def leave(self) -> None:
        """Commit, and give the partitions to others at once; idempotent."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            final = self._commit(self._committable(self._ready), consumer)
            await given_up_after(STOP_TIMEOUT, final, "the last commit")
            if consumer._coordinator is not None:
                # Static members send no LeaveGroup on stop(): others would wait for the session.
                # Private, and there is no other way.
                consumer._coordinator._group_instance_id = None  # pyright: ignore
            await given_up_after(STOP_TIMEOUT, consumer.stop(), "leaving the group")
        if self._admin is not None:
            admin, self._admin = self._admin, None
            await admin.close()

    def take_commit_failures(self) -> int:
        """Commits that failed since this was last asked."""
        failures, self._commit_failures = self._commit_failures, 0
        return failures

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        return len(self._ready)

    # The two callbacks may be coroutines: aiokafka says so, its annotations do not.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """A rebalance begins: write down what is complete and wait for nothing else."""
        await self._commit(self._committable(self._ready))
        self._ready.clear()
        self.joined = False

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """A rebalance is over: go on where we were, or where the one before us was."""
        partitions = set(assigned)
        for partition in self._trackers.keys() - partitions:
            self._trackers.pop(partition).owned = False
        new = partitions - self._trackers.keys()
        for partition, tracker in (await self._committed(new)).items():
            self._trackers[partition] = tracker
        assert self._consumer is not None  # noqa: S101 only a started consumer is assigned anything
        for partition in partitions:
            self._consumer.seek(partition, self._trackers[partition].next_offset)
        self._ready = partitions
        self.joined = True
        self._room.set()
        log.info("partitions assigned", owned=len(partitions), new=len(new))

    def _wanted(self) -> list[TopicPartition]:
        return [
            partition
            for partition in self._ready
            if partition.topic not in self._held_back and self._trackers[partition].has_room
        ]

    async def _wait_for_room(self) -> bool:
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), _FULL_WAIT)
        except TimeoutError:
            return False
        return True

    def _take(self, partition: TopicPartition, records: Iterable[Any]) -> list[ReceivedRecord]:
        # Records arrive before on_partitions_assigned returns, and for partitions just revoked.
        if partition not in self._ready:
            return []
        tracker = self._trackers[partition]
        return [
            ReceivedRecord(
                partition.topic,
                partition.partition,
                record.offset,
                record.key,
                record.value,
                record.headers,
                record.timestamp / 1000,
                tracker,
            )
            for record in records
            if tracker.start(record.offset, record.timestamp / 1000)
        ]

    def _committable(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str]]:
        return {partition: self._trackers[partition].committable() for partition in partitions}

    async def _commit(
        self,
        offsets: dict[TopicPartition, tuple[int, str]],
        consumer: AIOKafkaConsumer | None = None,
    ) -> None:
        consumer = consumer or self._consumer
        if not offsets or consumer is None:
            return
        sent = self._clock.monotonic()
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # A rebalance overtook us: it has committed itself, or the next commit says it again.
            self._commit_failures += 1
            log.info("commit overtaken by a rebalance", error=type(error).__name__)
        except KafkaError as error:
            self._commit_failures += 1
            log.warning("commit failed, the next one says it again", error=type(error).__name__)
        else:
            self.last_commit = sent

    async def _committed(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetTracker]:
        """Trackers as the owners before us left them; waits for a broker that is away."""
        while partitions:
            try:
                assert self._admin is not None  # noqa: S101 open as long as the consumer
                found = await commits_of(self._admin, self._settings.group, partitions)
            except KafkaError as error:
                log.warning("cannot read committed offsets", error=type(error).__name__)
                await self._clock.sleep(_RETRY_WAIT)
                continue
            return await self._trackers_of(partitions, found)
        return {}

    async def _trackers_of(
        self, partitions: Collection[TopicPartition], found: dict[TopicPartition, Any]
    ) -> dict[TopicPartition, OffsetTracker]:
        assert self._consumer is not None  # noqa: S101 only a started consumer is assigned anything
        committed = {p: found[p] for p in partitions if p in found and found[p].offset >= 0}
        trackers = {p: OffsetTracker(at.offset, at.metadata) for p, at in committed.items()}
        if fresh := [partition for partition in partitions if partition not in committed]:
            await self._consumer.seek_to_beginning(*fresh)
            for partition in fresh:
                trackers[partition] = OffsetTracker(await self._consumer.position(partition))
        return trackers

    async def _position(self, partition: TopicPartition) -> int | None:
        """Where reading goes on, past transaction markers and the like."""
        if self._consumer is None:
            return None
        try:
            position: int = await self._consumer.position(partition)
        except IllegalStateError:
            return None
        return position

    def __repr__(self) -> str:
        return f"<KafkaSource {self._settings.instance_id} [{len(self._ready)} partitions]>"
